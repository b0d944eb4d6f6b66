"""Scores that owners of models report in their repos (`.eval_results`), as the Hub lists them for a
dataset. They are claims, which are only checked for plausible values.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stir_hf.errors import one_line, printable
from stir_hf.hub import again, is_of_the_hub, status_of
from stir_hf.publish.scores import COLUMNS, checked

_log = logging.getLogger("stir_hf")
RESULTS = ".eval_results"
_NAMES = {
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
"""Columns of a score, by their names in the notes of a reported result."""


@dataclass(frozen=True)
class Reported:
    """One reported result, as a row like those of `scores.read`, with its location."""

    row: Mapping[str, Any]
    source: str


def reported(repo_id: str) -> tuple[list[Reported], list[str]]:
    """Fetch the results for a dataset from the Hub, including derived models: the usable ones, and
    a line for each of the others.
    """
    found: list[Reported] = []
    left_out: list[str] = []
    for entry in _listed(repo_id):
        try:
            found.append(_read(entry))
        except (ValueError, TypeError, OverflowError) as error:
            name = printable(entry.get("modelId"))[:100]
            left_out.append(f"{RESULTS} of model {name} cannot be used: {one_line(error)}")
    return found, left_out


def _listed(repo_id: str) -> Iterator[Mapping[str, Any]]:
    import huggingface_hub

    api = huggingface_hub.HfApi()
    try:
        listed = again(
            lambda: api.get_dataset_leaderboard(repo_id, base_model_only=False),
            f"dataset {repo_id}",
        )
    except Exception as error:  # of several libraries; what is not of the Hub goes on
        if not is_of_the_hub(error) and not isinstance(error, KeyError | TypeError | ValueError):
            raise
        if status_of(error) not in (400, 404):  # those: it is no Benchmark of the Hub
            _log.warning(f"without what models' own repos report: {one_line(error)}")
        return
    for entry in listed:
        yield {
            "modelId": entry.model_id,
            "value": entry.value,
            "notes": entry.notes,
            "filename": entry.filename,
            "pull": entry.pull_request,
        }


def _read(entry: Mapping[str, Any]) -> Reported:
    """Read one entry.

    Raises:
        ValueError: a value out of range or missing, or notes that do not identify the score.
    """
    notes = read_notes(entry["notes"])
    given = {column: notes.get(name) for name, column in _NAMES.items()}
    row = checked({"model": entry["modelId"], "stir": entry["value"], **given}, parse=True)
    if row["stir"] is None:
        raise ValueError("'stir' is no number")
    pull = f" (pull request {int(entry['pull'])})" if entry["pull"] else ""
    return Reported(
        {**dict.fromkeys(COLUMNS), **row}, printable(entry["filename"] or RESULTS)[:100] + pull
    )


def read_notes(text: Any) -> dict[str, str]:
    """Read the notes that `benchmark.notes_of` wrote; {} for other notes."""
    parts = [part.strip().partition("=") for part in str(text or "")[:2000].split(";")]
    return {name: value for name, equals, value in parts if equals and value != "none"}
