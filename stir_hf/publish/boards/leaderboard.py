"""The models judged on a repo's inversions, from its scores and from the models' own repos."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

from stir_hf import hub
from stir_hf.errors import RequestError
from stir_hf.publish.boards.networks import id_key, present_ids, repo_of, together
from stir_hf.publish.boards.reported import reported
from stir_hf.publish.scores import LARGEST, is_score, read, too_large
from stir_hf.report.board import Board
from stir_hf.report.board_lines import Line, ranked
from stir_hf.results import COMPARED

_log = logging.getLogger("stir_hf")
_TOLD = 20
"""The number of those left out that are told one by one."""
_SCALE = ("measure_least", "measure_most", "measure_closer")
_ABOUT = ("reference", "reference_revision", "reference_layer", "dataset", "split")


_LACKED = ("accepted_", "measure_", "unconverged_")
"""Beginnings of the names of columns which a score may well lack."""


@dataclass(frozen=True)
class Leaderboard:
    """All boards of a repo."""

    repo: str
    commit: str
    boards: tuple[Board, ...]
    left_out: tuple[str, ...]
    """A line for each file and each reported result that cannot be used."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data: what `stir-hf leaderboard --json` prints."""
        plain = [board.to_dict() for board in self.boards]
        about = {"repo": self.repo, "commit": self.commit}
        return {**about, "boards": plain, "left_out": list(self.left_out)}


def leaderboard(repo_id: str) -> list[Board]:
    """A board for each inversion set, judged layer, measure and number of samples: never mixed,
    each with one line per network, the highest debiased score first.

    Scores are what those who pushed them say; a file that cannot be used is left out, and a log
    line names it.

    Args:
        repo_id: a dataset repo with scores, `id` or `id@revision`.

    Raises:
        RequestError: no such repo, or no scores in it that can be used.
    """
    return list(collect(repo_id).boards)


@hub.one_run()
def collect(repo_id: str) -> Leaderboard:
    """Return the boards of `leaderboard`, and a line for each thing that was left out."""
    name, revision = hub.split_revision(repo_id, "dataset")
    if hub.is_there(name) and name.count("/") != 1:
        raise RequestError(f"{repo_id} is a folder here; give a dataset repo, NAMESPACE/NAME")
    found = hub.resolve(name, revision, "dataset")
    scored, left_out = _scored(found)
    claimed, odd = reported(found.repo_id) if found.reachable else ([], [])
    left_out += odd
    for line in left_out[:_TOLD]:
        _log.warning(f"left out: {line}")
    if len(left_out) > _TOLD:
        _log.warning(f"left out: {len(left_out) - _TOLD} more")
    hubs = [(r["model"], r["model_revision"]) for r, _ in scored if r["model_revision"]]
    ids = present_ids(hubs) if found.reachable else {}
    rows = [_Scored(row, ids, path) for row, path in scored]
    rows += [_Scored(row, ids, path, reported=True) for row, path in claimed]
    boards: dict[tuple[Any, ...], list[_Scored]] = {}
    for one in rows:
        boards.setdefault(tuple(one.row[name] for name in COMPARED), []).append(one)
    if not boards:
        raise RequestError(
            f"dataset {repo_id} holds no scores"
            + (" that can be used" if left_out else "; `stir-hf push` sends some")
        )
    made = tuple(_board(found, boards[key]) for key in sorted(boards, key=_order))
    made = tuple(sorted(made, key=lambda one: all(line.reported for line in one.lines)))
    return Leaderboard(found.repo_id, found.commit, made, tuple(left_out))


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The place of a board: of one set, layer and measure, that of the most samples comes first."""
    *names, num_samples, draws = key
    return *names, -num_samples, draws


def _scored(found: hub.Found) -> tuple[list[tuple[dict[str, Any], str]], list[str]]:
    """The rows of the scores of a repo with their files, and a line for each file without one; a
    RequestError if there are files and none can be fetched.
    """
    whose = f"{found.called} at {found.commit[:8]}"
    sizes = {path: found.sizes.get(path, 0) for path in sorted(found.files) if is_score(path)}
    files = [path for path, size in sizes.items() if size <= LARGEST]
    left_out = [
        f"{path} of {whose} cannot be used: {too_large(size)}"
        for path, size in sizes.items()
        if size > LARGEST
    ]
    with suppress(RequestError):  # of those that did not come each is asked for below
        hub.fetch(found, files)
    rows, lost = [], []
    for path in files:
        try:
            folder = hub.fetch(found, [path])
        except RequestError as error:
            left_out.append(f"{path} of {whose} cannot be fetched: {error}")
            lost.append(error)
            continue
        try:
            rows.append((read(folder / path, whose), path))
        except RequestError as error:
            left_out.append(str(error))
    if lost and len(lost) == len(files):
        raise lost[0]
    return rows, left_out


class _Scored:
    """A score and what is known of the network that it is of."""

    def __init__(
        self, row: Mapping[str, Any], ids: Mapping[str, str], source: str, *, reported: bool = False
    ) -> None:
        self.row, self.source, self.reported = row, source, reported
        self.at = row["model_revision"]
        name = str(row["model"])
        plain = repo_of(name) if self.at or reported else name
        self.model = ids.get(id_key(name), plain) if self.at else plain

    @property
    def told(self) -> tuple[str, float | None]:
        """The model and its STIR: all that a reported result tells."""
        return self.model.casefold(), self.row["stir"]

    def keys(self, networks: Mapping[tuple[str, float | None], str]) -> dict[str, Any]:
        """The values that other scores of its network have in common with it; `networks` are those
        of the files' scores of models on the Hub, by what they tell.
        """
        named, network = self.model.casefold(), self.row["network_id"]
        if self.reported:
            network = networks.get(self.told)
        return {
            "network_id": network,
            "commit": (named, self.at) if self.at else None,
            "reported": named if network is None else None,
        }

    def completeness(self) -> tuple[bool, int, int, bool, str]:
        """The least is that of the score which is shown."""
        lacking = sum(
            value is None for name, value in self.row.items() if not name.startswith(_LACKED)
        )
        proposed = self.reported and "pull request" in self.source
        return self.reported, self.row["left_out"] or 0, lacking, proposed, self.source


def _board(found: hub.Found, scores: Sequence[_Scored]) -> Board:
    told = {name: _commonest(one.row[name] for one in scores) for name in _ABOUT}
    networks = {one.told: one.row["network_id"] for one in scores if one.at}
    groups = together([one.keys(networks) for one in scores])
    scales = [tuple(one.row[name] for name in _SCALE) for one in scores]
    scale = dict(zip(_SCALE, _commonest(s if s[-1] else None for s in scales) or (), strict=False))
    lines = (_line([scores[i] for i in places], scale) for places in groups)
    key = {name: scores[0].row[name] for name in COMPARED}
    return Board(found.repo_id, found.commit, **key, **told, lines=ranked(lines))


def _commonest(values: Iterator[Any]) -> Any:
    counted = Counter(value for value in values if value is not None)
    return max(counted, key=lambda value: counted[value], default=None)


def _line(scores: Sequence[_Scored], scale: Mapping[str, Any]) -> Line:
    """Return the line of one network: its most complete score, on the scale of the board."""
    shown = min(scores, key=_Scored.completeness)
    values = [one.row["stir"] for one in scores if one.row["stir"] is not None]
    found = {
        **shown.row,
        **scale,
        "model": shown.model,
        "revision": shown.at,
        "relative_error": shown.row["relative_error_median"],
        "source": shown.source,
        "reported": shown.reported,
        "also": tuple(one.source for one in scores if one is not shown),
        "spread": max(values) - min(values) if values else 0.0,
        "notes": tuple(shown.row["notes"] or ()),
    }
    return Line(**{field.name: found[field.name] for field in fields(Line)})
