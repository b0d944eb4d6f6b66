"""Scores as rows of a dataset: one parquet file for each, named by what it is the score of."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq

from stir_hf.data.identity import hash_of
from stir_hf.data.manifest import json_text
from stir_hf.engine import RULES, STARTS, Tolerance
from stir_hf.errors import RequestError, one_line
from stir_hf.results import ANCHORS, Moves, Score, StirResult

FOLDER = "scores"
_TEXT, _REAL, _COUNT = (datasets.Value(t) for t in ("string", "float64", "int64"))
ERRORS = ("median", "mean", "p95")
COLUMNS: Any = {
    "model": _TEXT,
    "model_revision": _TEXT,
    "layer": _TEXT,
    "reference": _TEXT,
    "reference_revision": _TEXT,
    "reference_layer": _TEXT,
    "inversions": _TEXT,
    "measure": _TEXT,
    **dict.fromkeys(ANCHORS, _REAL),
    **{f"{name}_debiased": _REAL for name in ANCHORS},
    "num_samples": _COUNT,
    "draws": _COUNT,
    "left_out": _COUNT,
    **{f"relative_error_{name}": _REAL for name in ERRORS},
    **{f"spread_error_{name}": _REAL for name in ERRORS},
    "converged": _REAL,
    "method": _TEXT,
    "start": _TEXT,
    "steps": _COUNT,
    "tolerance": _REAL,
    "spread_tolerance": _REAL,
    "seed": _COUNT,
    "dataset": _TEXT,
    "dataset_revision": _TEXT,
    "split": _TEXT,
    "dtype": _TEXT,
    "notes": datasets.List(_TEXT),
    "network": _TEXT,
    "environment": _TEXT,
    "index": datasets.List(datasets.Value("int64")),
    "draw": datasets.List(datasets.Value("int32")),
    "relative_distance": datasets.List(datasets.Value("float32")),
    "cosine": datasets.List(datasets.Value("float32")),
    "relative_error": datasets.List(datasets.Value("float32")),
}
FEATURES = datasets.Features(COLUMNS)
"""The columns of config `scores`; the last five have one value per image and draw."""


def name_of(row: dict[str, Any]) -> str:
    """16 hexadecimal digits: of what a score is, not of its value; equal for a repeated score."""
    names = ("model", "model_revision", "network", "inversions", "measure", "num_samples", "draws")
    return hash_of([row[name] for name in names])[:16]


def rows_of(result: StirResult) -> Iterator[dict[str, Any]]:
    """One row per score.

    Raises:
        RequestError: a result of an older stir-hf, which does not say what made its inversions.
    """
    models = {(m["model"], m["layer"]): m for m in result.config.get("models", ())}
    made = {d["hash"]: d for d in result.config.get("data", ()) if "hash" in d}
    moves: list[Moves | None] = [*result.moves] or [None] * len(result.scores)
    for score, moved in zip(result.scores, moves, strict=True):
        if score.inversions not in made or not score.network:
            raise RequestError(
                f"the score of {score.model} is of an older stir-hf, which did not keep what made"
                " it; run the same command again"
            )
        about = models.get((score.model, score.layer), {})
        yield {**_about(score, made[score.inversions], about, result), **_per_image(moved)}


def _about(
    score: Score, made: dict[str, Any], model: dict[str, Any], result: StirResult
) -> dict[str, Any]:
    engine = made["inversion"]
    values = {f"{name}_debiased": getattr(score.debiased, name, None) for name in ANCHORS}
    errors = {
        f"{which}_{name}": getattr(getattr(score, which), name, None)
        for which in ("relative_error", "spread_error")
        for name in ERRORS
    }
    tolerance = Tolerance.parse(engine["tolerance"])
    plain = asdict(score)
    same = ("model", "layer", "reference", "reference_layer", "inversions", "measure", *ANCHORS)
    more = ("num_samples", "draws", "left_out", "converged", "network")
    return {
        **{name: plain[name] for name in (*same, *more)},
        **values,
        **errors,
        "model_revision": model.get("revision"),
        "reference_revision": made["revision"],
        "method": RULES.text(RULES.build(engine["method"])),
        "start": STARTS.text(STARTS.build(engine["start"])),
        **{name: engine[name] for name in ("steps", "seed")},
        "tolerance": None if tolerance.of_spread else tolerance.value,
        "spread_tolerance": tolerance.value if tolerance.of_spread else None,
        "dataset": made["dataset"],
        "dataset_revision": made["data_revision"],
        "split": made["split"],
        "dtype": model.get("dtype"),
        "notes": list(score.notes),
        "environment": json_text(result.environment),
    }


def _per_image(moved: Moves | None) -> dict[str, Any]:
    names = ("index", "draw", "relative_distance", "cosine", "relative_error")
    return {name: [] if moved is None else getattr(moved, name).tolist() for name in names}


def write(row: dict[str, Any], into: Path) -> Path:
    """Write one row; returns its file."""
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{name_of(row)}.parquet"
    whole = [{name: row.get(name) for name in FEATURES}]
    pq.write_table(datasets.Dataset.from_list(whole, features=FEATURES).data.table, path)
    return path


def read(path: Path) -> dict[str, Any]:
    """The row of one file; fields of later versions are kept."""
    try:
        (row,) = pq.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise RequestError(f"{FOLDER}/{path.name} cannot be used: {one_line(error)}") from error
    found: dict[str, Any] = row
    return found
