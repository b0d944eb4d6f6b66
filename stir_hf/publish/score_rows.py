"""The scores of a result as rows of a dataset, and a row as a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq

from stir_hf.data.sets.manifest import json_text
from stir_hf.engine import CONSTRAINTS, RULES, STARTS, InversionConfig
from stir_hf.errors import RequestError
from stir_hf.publish.scores import COLUMNS, name_of
from stir_hf.results import Column, Displacement, Score, StirResult, published


def _feature(column: Column) -> Any:
    value = datasets.Value(column.dtype)
    return datasets.List(value) if column.several else value


_COLUMNS: Any = {
    **{name: _feature(column) for name, column in COLUMNS.items()},
    "environment": datasets.Value("string"),
    "index": datasets.List(datasets.Value("int64")),
    "draw": datasets.List(datasets.Value("int32")),
    **dict.fromkeys(
        ("relative_distance", "cosine", "relative_error"),
        datasets.List(datasets.Value("float32")),
    ),
}
FEATURES = datasets.Features(_COLUMNS)
"""The columns of config `scores`; the last five have one value per input and draw."""


def rows_of(result: StirResult) -> Iterator[dict[str, Any]]:
    """One row per score.

    Raises:
        RequestError: a result from an older stir-hf, without the provenance of its inversions.
    """
    models = {(m["model"], m["layer"]): m for m in result.config.get("models", ())}
    made = {d["hash"]: d for d in result.config.get("data", ()) if "hash" in d}
    moves: list[Displacement | None] = [*result.displacements] or [None] * len(result.scores)
    for score, moved in zip(result.scores, moves, strict=True):
        if score.inversion_set not in made or not score.network_id:
            raise RequestError(
                f"the score of {score.model} is of an older stir-hf, which did not keep what made"
                " it; run the same command again"
            )
        about = models.get((score.model, score.layer), {})
        yield {**_about(score, made[score.inversion_set], about, result), **_per_input(moved)}


def _about(
    score: Score, made: dict[str, Any], model: dict[str, Any], result: StirResult
) -> dict[str, Any]:
    engine = InversionConfig.from_spelling(made["engine"])
    tolerance = engine.good_enough
    return {
        **published(score),
        "model_revision": model.get("revision"),
        "reference_revision": made["revision"],
        "method": RULES.text(engine.method),
        "start": STARTS.text(engine.start),
        "constraint": CONSTRAINTS.text(engine.bound_by),
        "steps": engine.steps,
        "seed": engine.seed,
        "tolerance": None if tolerance.of_spread else tolerance.value,
        "spread_tolerance": tolerance.value if tolerance.of_spread else None,
        "dataset": made["dataset"],
        "dataset_revision": made["data_revision"],
        "split": made["split"],
        "dtype": model.get("dtype"),
        "environment": json_text(result.environment),
    }


def _per_input(moved: Displacement | None) -> dict[str, Any]:
    names = ("index", "draw", "relative_distance", "cosine", "relative_error")
    return {name: [] if moved is None else getattr(moved, name).tolist() for name in names}


def write(row: dict[str, Any], into: Path) -> Path:
    """Write one row, and return the path of its file."""
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{name_of(row)}.parquet"
    whole = [{name: row.get(name) for name in FEATURES}]
    pq.write_table(datasets.Dataset.from_list(whole, features=FEATURES).data.table, path)
    return path
