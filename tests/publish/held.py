"""Scores and sets as a repo holds them, without the networks that made them."""

import json
from typing import Any

from stir_hf.publish.cards import card
from stir_hf.report.cards import Held, Shown

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SET = "5c9542d524a9b1be"
HOSTILE = (
    "a|b",
    "a\\|b",
    "| x | 9.999 | 0 | 1 | 1 | 9 | 100% |",
    "line\n| forged | 9.999 | 0 | 1 | 1 | 9 | 100% |",
    "line\r\n\r\n# Forged",
    "`code` and ``more",
    "`",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &#60;",
    "](http://evil.example) [x",
    "[x](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "http://evil.example/a",
    "www.evil.example",
    "me@evil.example",
    "<http://evil.example>",
    "[x]: http://evil.example",
    "**bold** _it_ ~~no~~",
    "--> <!-- stir-hf: end -->",
    "<!-- stir-hf: begin",
    "```\n# Forged\n```",
    "--- \n- x",
    "{{ 7 * 7 }} {% raw %}",
    "\x1b[31mred\x1b[0m",
    "\u202egnp",
    "\ud800",
    "",
    " ",
    "a: b # c",
    "x" * 4000,
    "evil/x](http://evil.example)",
    "../../etc/passwd",
    "evil.example/a..b",
)
"""Names that are meant to be more than names."""


def row(model: str = "lab/one", **changed: Any) -> dict[str, Any]:
    """A score that can be read."""
    stir = changed.get("stir_debiased", 0.8)
    low, high = (None, None) if stir is None else (stir - 0.1, stir + 0.1)
    return {
        "model": model,
        "model_revision": COMMIT,
        "layer": "penultimate",
        "reference": "lab/robust-0",
        "reference_revision": COMMIT,
        "reference_layer": "penultimate",
        "inversion_set": SET,
        "measure": "linear_cka",
        "stir": 0.82,
        "similarity": 0.9,
        "floor": 0.1,
        "ceiling": 0.999,
        "stir_debiased": 0.8,
        "similarity_debiased": 0.88,
        "floor_debiased": 0.0,
        "ceiling_debiased": 0.998,
        "num_samples": 60,
        "draws": 1,
        "converged": 0.9,
        "dataset": "lab/images",
        "dataset_revision": COMMIT,
        "split": "test",
        "notes": [],
        "network_id": "0" * 16,
        **{"interval_low": low, "interval_high": high},
        **changed,
    }


def shown(slug: str = "robust-0", **names: Any) -> Shown:
    """A set; `names` are those of its reference and dataset."""
    adam = {"length": 1.5, "momentum": 0.9, "decay": 0.7, "half": 100.0}
    engine = {
        "method": {"name": "adam-polyak", "version": 1, **adam},
        "start": {"name": "noise", "version": 1},
        "constraint": {"name": "box", "version": 1},
        **{"steps": 60, "tolerance": 0.02, "seed": 0, "exact": True},
    }
    record = {
        "format": 2,
        "identity": {
            "network": {"weights": "0" * 64, "precision": {"dtype": "float32"}},
            "data": {"order": "permuted", "rows": 60, "first": ["0" * 16] * 4},
            "canvas": {"kind": "image", "mode": "L", "size": [28, 30]},
            "engine": engine,
        },
        "probe": [0.0],
        "first_start": "a",
        "names": {
            "reference": "lab/robust-0",
            "layer": "penultimate",
            "revision": COMMIT,
            "dataset": "lab/images",
            "config_name": None,
            "split": "test",
            "data_revision": COMMIT,
            "image_column": "image",
            "notes": ["3 images left out that could not be read: 1, 2, 3"],
            **names,
        },
        "complete": {"num_samples": 60, "draws": 2},
        "figures": {
            "rows": 120,
            "relative_error": {"median": 0.031, "mean": 0.04, "p95": 0.09},
            "spread_error": {"median": 0.04, "mean": 0.05, "p95": 0.1},
            "converged": 0.03,
        },
        "licence": "mit",
        "without_images": False,
    }
    return Shown.read(slug, json.dumps(record).encode(), 128_000, f"figures/{slug}.png")


def text_of(held: Held, before: str = "", place: str | None = None) -> str:
    """The card of lab/iris."""
    return card("lab/iris", held, before, place)
