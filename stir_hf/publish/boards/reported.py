"""Scores that models' owners report in the models' own repos: `.eval_results`, as the Hub lists
them for a dataset. They are claims; nothing of them is checked but that they are possible.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import huggingface_hub as hub

from stir_hf.errors import one_line, printable
from stir_hf.hub import again, is_of_the_hub, status_of
from stir_hf.publish.scores import COLUMNS, checked

_log = logging.getLogger("stir_hf")
RESULTS = ".eval_results"
_NOTED = {
    "set": "inversion_set",
    "layer": "layer",
    "measure": "measure",
    "n": "num_samples",
    "draws": "draws",
    "method": "method",
    "error": "relative_error_median",
    "floor": "floor",
    "stir_debiased": "stir_debiased",
}
"""Columns of a score by the names that the notes of a reported result give them."""


def reported(repo_id: str) -> tuple[list[tuple[dict[str, Any], str]], list[str]]:
    """Ask the Hub for a dataset's results, those of derived models included; return those that can
    be used, each as a row like those of `scores.read` with its file, and a line for each of the
    others.
    """
    found = []
    left_out: list[str] = []
    for entry in _listed(repo_id):
        try:
            found.append(_read(entry))
        except (ValueError, TypeError, OverflowError) as error:
            name = printable(entry.model_id)[:100]
            left_out.append(f"{RESULTS} of model {name} cannot be used: {one_line(error)}")
    return found, left_out


def _listed(repo_id: str) -> Iterable[Any]:
    ask = partial(hub.HfApi().get_dataset_leaderboard, repo_id, base_model_only=False)
    try:
        return again(ask, f"dataset {repo_id}")
    except Exception as error:  # of several libraries; what is not of the Hub goes on
        if not is_of_the_hub(error) and not isinstance(error, KeyError | TypeError | ValueError):
            raise
        if status_of(error) not in (400, 404):  # those: it is no Benchmark of the Hub
            _log.warning(f"without what models' own repos report: {one_line(error)}")
        return ()


def _read(entry: Any) -> tuple[dict[str, Any], str]:
    """The row of an entry, and its file; ValueError if it has no number, or one out of range."""
    notes = read_notes(entry.notes)
    given = {column: notes.get(name) for name, column in _NOTED.items()}
    row = checked({"model": entry.model_id, "stir": entry.value, **given}, parse=True)
    if row["stir"] is None:
        raise ValueError("'stir' is no number")
    pull = f" (pull request {int(entry.pull_request)})" if entry.pull_request else ""
    source = printable(entry.filename or RESULTS)[:100] + pull
    return {**dict.fromkeys(COLUMNS), **row}, source


def notes_of(row: Mapping[str, Any]) -> str:
    """The text beside the number, in one line that `read_notes` reads back."""
    shown = {name: _short(row[column]) for name, column in _NOTED.items()}
    version = json.loads(row.get("environment") or "{}").get("stir_hf") or ""
    shown["framework"] = f"stir-hf {version}".rstrip()
    return "; ".join(f"{name}={value}" for name, value in shown.items())


def _short(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "none" if value is None else str(value)


def read_notes(text: Any) -> dict[str, str]:
    """The inverse of `notes_of`; of others' notes, nothing."""
    parts = [part.strip().partition("=") for part in str(text or "")[:2000].split(";")]
    return {name: value for name, equals, value in parts if equals and value != "none"}
