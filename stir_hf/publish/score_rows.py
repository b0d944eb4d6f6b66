"""Rows of a dataset from the scores of a result, and a file from a row."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import datasets
import pyarrow.parquet as pq

from stir_hf.data.sets.manifest import json_text
from stir_hf.engine import InversionConfig
from stir_hf.engine.config import named
from stir_hf.errors import RequestError
from stir_hf.publish.scores import COLUMNS, name_of
from stir_hf.results import Column, Displacement, Score, StirResult, columns, published

_PER_INPUT = {
    "index": Column("int64", several=True),
    "draw": Column("int32", several=True),
    **dict.fromkeys(
        ("relative_distance", "cosine", "relative_error"), Column("float32", several=True)
    ),
}
"""The columns with one value per sample and draw."""


def engine_columns() -> dict[str, Column]:
    """Return the columns of the options that identify an inversion, by name."""
    types = {int: columns.COUNT, bool: columns.FLAG, float: columns.ERROR}
    hints = get_type_hints(InversionConfig)
    found = {}
    for field in fields(InversionConfig):
        if field.metadata.get("identifies", True):
            found[field.name] = types.get(hints[field.name], columns.TEXT)
            if field.name == "restarts":  # a number or a word
                found[field.name] = columns.TEXT
            if field.name == "tolerance":  # two, each of numbers: one is of the spread
                found |= dict.fromkeys(("tolerance", "spread_tolerance"), columns.ERROR)
    return found


def features() -> datasets.Features:
    """Return the columns of config `scores`; the last five have one value per sample and draw."""
    known = {**COLUMNS, **engine_columns(), "environment": columns.TEXT, **_PER_INPUT}
    found: Any = {}
    for name, column in known.items():
        value = datasets.Value(column.dtype)
        found[name] = datasets.List(value) if column.several else value
    return datasets.Features(found)


def rows_of(result: StirResult) -> Iterator[dict[str, Any]]:
    """Yield one row per score.

    Raises:
        RequestError: a result of an older stir-hf, which does not say what made its inversions.
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
        beside = {n: [] if moved is None else getattr(moved, n).tolist() for n in _PER_INPUT}
        yield {**_about(score, made[score.inversion_set], about, result), **beside}


def _about(
    score: Score, made: dict[str, Any], model: dict[str, Any], result: StirResult
) -> dict[str, Any]:
    return {
        **published(score),
        "model_revision": model.get("revision"),
        "reference_revision": made["revision"],
        **_engine(named(InversionConfig.from_spelling(made["engine"]), made.get("objective"))),
        "dataset": made["dataset"],
        "dataset_revision": made["data_revision"],
        "split": made["split"],
        "dtype": model.get("dtype"),
        "environment": json_text(result.environment),
    }


def _engine(config: InversionConfig) -> dict[str, Any]:
    """Return the values of `engine_columns`: a part as text, a tolerance in one of two columns."""
    known = engine_columns()
    values = {}
    for field in (field for field in fields(config) if field.name in known):
        value, registry = getattr(config, field.name), field.metadata.get("registry")
        values[field.name] = registry.text(value) if registry else value
    values["restarts"] = str(config.restarts)
    tolerance = config.good_enough
    return {
        **values,
        "tolerance": None if tolerance.of_spread else tolerance.value,
        "spread_tolerance": tolerance.value if tolerance.of_spread else None,
    }


def write(row: dict[str, Any], into: Path) -> Path:
    """Write one row and return the path of its file."""
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{name_of(row)}.parquet"
    known = features()
    whole = [{name: row.get(name) for name in known}]
    pq.write_table(datasets.Dataset.from_list(whole, features=known).data.table, path)
    return path
