"""Manifests that are written by hand."""

from typing import Any

NAMES: dict[str, Any] = {
    "reference": "lab/model",
    "layer": "output",
    "revision": None,
    "dataset": "lab/images",
    "config_name": None,
    "split": "test",
    "data_revision": None,
    "image_column": "image",
    "notes": [],
}


def how(method: str, start: str) -> dict[str, Any]:
    return {"method": {"name": method, "version": 1}, "start": {"name": start, "version": 1}}


def identity(
    canvas: dict[str, Any], rows: int, seed: int = 0, tolerance: float = 0.02, exact: bool = False
) -> dict[str, Any]:
    """The identity of a set of float32 representations, by Polyak's steps from noise."""
    return {
        "network": {"weights": "w", "precision": {"dtype": "float32"}},
        "canvas": canvas,
        "data": {"order": "permuted", "rows": rows, "first": []},
        "engine": {
            **how("adam-polyak", "noise"),
            "constraint": {"name": "box", "version": 1},
            "steps": 2,
            "seed": seed,
            "tolerance": tolerance,
            "exact": exact,
        },
    }


CANVAS: dict[str, Any] = {"kind": "image", "mode": "RGB", "size": [4, 5]}
