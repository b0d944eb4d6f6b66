"""Writes docs/families.md from the figures of `make verify`.

`python -m tests.families.table` writes the page.
"""

import json
import re
from math import sqrt
from textwrap import fill
from typing import Any

from stir_hf.engine.tolerance import LOOSE
from tests.conftest import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "families.json"
SIZES = ROOT / "benchmarks" / "results" / "native_sizes.json"
PAGE = ROOT / "docs" / "families.md"
BOUND = sqrt((LOOSE / 0.02) ** 2 - 1)
"""Of the mean's length over the spread: above it the default tolerance is loose."""
TEMPLATE = (ROOT / "tests" / "families" / "page.md").read_text("utf-8")


def pairs(found: dict[str, Any]) -> str:
    """The rows of networks of different native sizes."""
    rows = []
    for score in found["scores"]:
        model, reference = (score[side].partition("#")[0] for side in ("model", "reference"))
        told = [re.search(r"by (\d+%) \(median\)", note) for note in score["notes"]]
        canvas = next((match[1] for match in told if match), "below 1%")
        debiased, error = score["debiased"], score["relative_error"]["median"]
        rows.append(
            f"| {model} | {reference} | {score['stir']:.2f} | {debiased['stir']:.2f} |"
            f" {debiased['floor']:.2f} | {score['ceiling']:.3f} | {error:.3f} | {canvas} |"
        )
    return "\n".join(rows)


def _short(layer: str) -> str:
    """A layer's name, its middle left out where it is long."""
    name = layer.removeprefix("output of ")
    return name if len(name) <= 50 else f"{name[:20]}…{name[-28:]}"


def _wrapped(line: str) -> str:
    return fill(line, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def page(found: dict[str, Any], sizes: dict[str, Any]) -> str:
    """The page, from the figures of the families and of the native sizes."""
    rows = []
    for name, one in found["families"].items():
        rows.append(
            f"| {name} | {_short(one['layer'])} | {one['width']} | {one['size']} |"
            f" {one['own']:.0e} | {one['mean_over_spread']:.2g} |"
            f" {one['error']['median']:.3f} ({one['error']['max']:.3f}) |"
        )
    refused = [_wrapped(f"- {name}: {line}") for name, line in found["refused"].items()]
    ratios = [one["mean_over_spread"] for one in found["families"].values()]
    return TEMPLATE.format(
        bound=BOUND,
        loose=sum(ratio > BOUND for ratio in ratios),
        rows=len(ratios),
        version=found["environment"]["transformers"],
        images=found["images"],
        count=len({name.partition(" (")[0] for name in found["families"]}),
        families="\n".join(rows),
        refused="\n".join(refused),
        pairs=pairs(sizes),
        sized=sizes["scores"][0]["num_samples"],
        steps=sizes["config"]["steps"],
        accuracy=" and ".join(
            f"{sizes['accuracy'][name]:.2f}" for name in ("vit-cifar10", "convnext-cifar10")
        ),
    )


def made() -> str:
    """The page, from the figures that are kept."""
    found, sizes = (json.loads(path.read_text("utf-8")) for path in (RESULTS, SIZES))
    return page(found, sizes)


def write() -> None:
    """Put the page where it is read."""
    PAGE.write_text(made(), "utf-8")


if __name__ == "__main__":
    write()
