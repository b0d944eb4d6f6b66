"""The models judged on a repo's inversions, from its scores and from the models' own repos."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stir_hf import hub
from stir_hf.errors import RequestError, one_line
from stir_hf.publish.benchmark import read_notes
from stir_hf.publish.patience import is_of_the_hub
from stir_hf.publish.scores import FOLDER, read

_log = logging.getLogger("stir_hf")
COLUMNS = ("model", "STIR", "debiased", "floor", "error", "converged", "method", "from")


@dataclass(frozen=True)
class Line:
    """One model's score."""

    model: str
    stir: float | None
    stir_debiased: float | None
    floor: float | None
    relative_error: float | None
    """Median."""
    converged: float | None
    method: str | None
    source: str
    """`scores`, or the model's own repo: `.eval_results`."""


@dataclass(frozen=True)
class Board:
    """Scores that may be compared: of one inversion set, layer, measure and number of images."""

    inversions: str
    """16 digits of the set's identity."""
    reference: str | None
    layer: str
    measure: str
    num_samples: int
    draws: int
    lines: tuple[Line, ...]
    """The highest STIR first."""


_Key = tuple[str, str, str, int, int]


def boards(repo_id: str) -> list[Board]:
    """A table for each set, judged layer, measure and number of images: never mixed.

    Args:
        repo_id: a dataset repo with scores, `id` or `id@revision`.

    Raises:
        RequestError: no such repo, or no scores in it.
    """
    name, revision = hub.split_revision(repo_id, "dataset")
    found = hub.resolve(name, revision, "dataset")
    files = sorted(f for f in found.files if f.startswith(f"{FOLDER}/") and f.endswith(".parquet"))
    folder = hub.fetch(found, files) if files else found.folder
    lines: dict[_Key, list[Line]] = {}
    references: dict[str, str] = {}
    for row in (read(folder / path) for path in files):
        references[row["inversions"]] = row["reference"]
        lines.setdefault(_key(row), []).append(_line(row))
    for key, line in _reported(name):
        there = lines.setdefault(key, [])
        if not any(_same(line, other) for other in there):
            there.append(line)
    if not lines:
        raise RequestError(f"dataset {repo_id} holds no scores; `stir-hf push` sends some")
    return [
        Board(key[0], references.get(key[0]), *key[1:], lines=tuple(sorted(some, key=_rank)))
        for key, some in sorted(lines.items())
    ]


def _key(row: dict[str, Any]) -> _Key:
    names = ("inversions", "layer", "measure", "num_samples", "draws")
    inversions, layer, measure, count, draws = (row[name] for name in names)
    return inversions, layer, measure, count, draws


def _line(row: dict[str, Any]) -> Line:
    revision = row["model_revision"]
    model = str(row["model"])
    return Line(
        model if revision is None or "@" in model else f"{model}@{revision[:8]}",
        row["stir"],
        row["stir_debiased"],
        row["floor"],
        row["relative_error_median"],
        row["converged"],
        row["method"],
        FOLDER,
    )


def _reported(repo_id: str) -> Iterator[tuple[_Key, Line]]:
    """What the Hub's own leaderboard of the repo shows, derived models included; what is no number
    there is passed over.
    """
    import huggingface_hub

    api = huggingface_hub.HfApi()
    try:
        found = hub.again(
            lambda: api.get_dataset_leaderboard(repo_id, base_model_only=False),
            f"dataset {repo_id}",
        )
    except Exception as error:  # of several libraries; what is not of the Hub goes on
        if not is_of_the_hub(error):
            raise
        if hub.status_of(error) not in (400, 404):  # those: it is no Benchmark of the Hub
            _log.warning(f"without what models' own repos report: {one_line(error)}")
        return
    for entry in found:
        notes, value = read_notes(entry.notes), _number(entry.value)
        if value is None:
            continue
        key = notes.get("set", "not told"), notes.get("layer", "?"), notes.get("measure", "?")
        counts = (int(_number(notes.get(name)) or 0) for name in ("n", "draws"))
        line = Line(
            entry.model_id,
            value,
            _number(notes.get("stir_debiased")),
            _number(notes.get("floor")),
            _number(notes.get("error")),
            None,
            notes.get("method"),
            ".eval_results" + (f" (PR {entry.pull_request})" if entry.pull_request else ""),
        )
        count, draws = counts
        yield (*key, count, draws), line


def _same(line: Line, other: Line) -> bool:
    """Whether a model's own repo repeats a score that is there."""
    return line.model == other.model.partition("@")[0] and line.stir == other.stir


def _number(given: Any) -> float | None:
    try:
        found = float(given)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _rank(line: Line) -> tuple[float, str]:
    return (-line.stir if line.stir is not None else 2.0), line.model


def boards_text(found: Sequence[Board]) -> str:
    """All of them as Markdown."""
    return "\n\n".join(map(_text, found))


def _text(board: Board) -> str:
    of = f" of {board.reference}" if board.reference else ""
    draws = f", {board.draws} draws" if board.draws > 1 else ""
    title = (
        f"Inversions {board.inversions}{of}: layer {board.layer}, {board.measure},"
        f" {board.num_samples} images{draws}"
    )
    rows = [
        (
            line.model,
            *map(_shown, (line.stir, line.stir_debiased, line.floor, line.relative_error)),
            "–" if line.converged is None else f"{line.converged:.0%}",
            line.method or "–",
            line.source,
        )
        for line in board.lines
    ]
    widths = [max(len(row[i]) for row in (COLUMNS, *rows)) for i in range(len(COLUMNS))]
    parts = [COLUMNS, tuple("-" * width for width in widths), *rows]
    table = [" | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in parts]
    return "\n".join([title, "", *(f"| {line} |" for line in table)])


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
