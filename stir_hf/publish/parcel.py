"""The content of one push, staged in a folder, and the resulting content of a repo."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stir_hf.data.sets.located import CARD, listed
from stir_hf.data.sets.manifest import FILE_NAME, Manifest, json_text
from stir_hf.errors import RequestError
from stir_hf.publish import score_rows, scores
from stir_hf.publish.benchmark import EVAL, eval_yaml
from stir_hf.publish.cards import card, installed, places_in
from stir_hf.publish.config import ShareConfig
from stir_hf.publish.packing import Packed, without_paths
from stir_hf.publish.repo import Repo
from stir_hf.publish.requirement import EXAMPLE, requirement
from stir_hf.publish.scored import ScoreFiles, is_score
from stir_hf.publish.sources import sources_of_score
from stir_hf.publish.state import Change, Content, State
from stir_hf.report import heat_map, labels
from stir_hf.report.cards import Held, Shown
from stir_hf.report.markup import is_repo
from stir_hf.results import StirResult

_PLAIN = re.compile(r"[\w./-]+", re.ASCII)
_HEAT_MAP = re.compile(r"figures/[0-9a-f]{16}-(\d{1,9})-stir\.png", re.ASCII)
_MOST_FIGURES = 4
PUBLISHED = "published"
"""The key under which `score` records inversions of the Hub, `id` or `id@revision`, in
`StirResult.config`.
"""


@dataclass(frozen=True)
class Parcel:
    """The content of one push, staged in a folder."""

    sets: tuple[Packed, ...]
    rows: tuple[dict[str, Any], ...]
    """The scores."""
    files: dict[str, Content] = field(repr=False)
    """The scores, the result and its figures, by path."""
    scored: ScoreFiles = field(repr=False)
    package: str | None = None
    """The requirement for pip in the card."""
    proposed: bool = False
    """True if it is sent as a pull request."""
    places: tuple[str, ...] = ()
    """Public repos that hold the inversions of the scores."""
    told: dict[str, None] = field(default_factory=dict, repr=False)
    """Lines for the user, each shown once even if the push is retried."""

    @classmethod
    def pack(
        cls, sets: Sequence[Path], result: StirResult | None, into: Path, share: ShareConfig
    ) -> "Parcel":
        """Collect the content; nothing is sent, and no rows are exported."""
        packed = [Packed.of(one, into, without_images=share.without_images) for one in sets]
        rows: list[dict[str, Any]] = []
        ours: dict[str, tuple[Content, dict[str, Any]]] = {}
        files: dict[str, Content] = {}
        places = _public(result)
        if result is not None:
            clean = StirResult.from_dict(without_paths(result.to_dict()))
            if not places:
                clean.config.pop(PUBLISHED, None)
            rows = list(score_rows.rows_of(replace(clean, displacements=result.displacements)))
            for row in rows:
                path = score_rows.write(row, into / scores.FOLDER)
                ours[f"{scores.FOLDER}/{path.name}"] = Content(path), row
            files |= {path: content for path, (content, _) in ours.items()}
            size = max((score.num_samples for score in clean.scores), default=0)
            name = f"{clean.config['hash']}-{size}"
            files[f"results/{name}.json"] = Content(json_text(clean.to_dict()).encode())
            files |= {p: Content(f) for p, f in _drawn(clean, name, into).items()}
        scored = ScoreFiles(ours)
        how: Any = {"package": share.package, "proposed": share.create_pr, "places": places}
        return cls(tuple(packed), tuple(rows), files, scored, **how)

    def export(self) -> None:
        """Write all files of the sets, so that errors are found before a repo is created."""
        for one in self.sets:
            assert one.files
            _ = one.picture

    @property
    def closed(self) -> tuple[str, ...]:
        """The reasons why it should not be public."""
        of_sets = [why for one in self.sets for why in one.sources.closed]
        hashes = {one.manifest.hash[:16] for one in self.sets}
        of_scores = [
            why
            for row in self.rows
            if row["inversion_set"] not in hashes or row["model_revision"] is not None
            for why in sources_of_score(row)
        ]
        return tuple(dict.fromkeys([*of_sets, *of_scores]))

    @property
    def words(self) -> str:
        """The content that becomes public, in words."""
        told = []
        for one in self.sets:
            names, count = one.manifest.names, len(one.inversions)
            originals = "" if one.without_images else f"originals of {names['dataset']} and "
            told.append(f"{originals}{count} inversions by {names['reference']}")
        return ", ".join(told) or "scores"

    @property
    def title(self) -> str:
        """The title of the commit or pull request."""
        names = dict.fromkeys(one.manifest.names["reference"] for one in self.sets)
        if names:
            return f"STIR inversions of {', '.join(names)}"
        return f"STIR of {', '.join(dict.fromkeys(row['model'] for row in self.rows))}"

    def change(self, state: State, repo_id: str, *, benchmark: bool = True) -> Change:
        """The change to the repo, given its present files; with `benchmark`, also of
        `eval.yaml`.
        """
        before, there = _card(state), records_in(state)
        known = {Manifest.read(path.parent).hash: config for config, path in there.items()}
        bare = self.proposed and not self.sets and scores.FOLDER in _configs(state)
        files = {
            path: content
            for path, content in self.files.items()
            if (path not in state.files if is_score(path) else not bare)
        }
        if bare:
            return Change(files)
        gone: set[str] = set()
        for one in self.sets:
            change = one.change(state, known.get(one.manifest.hash))
            files |= change.files
            gone |= change.removed
        after = Change(files, frozenset(gone))
        figures = _figures(state, after)
        places = sorted({*self.places, *places_in(before)} - {repo_id})
        held = Held(_sets(state, after, there), *self.scored.rows(state), figures, places)
        place = self.package or installed(before) or requirement()
        if place is None:
            self.told[
                "the card cannot say where stir-hf is installed from; push again with --package"
                f" '{EXAMPLE}', which says it"
            ] = None
        files[CARD] = Content(card(repo_id, held, before, place).encode())
        if self.sets and benchmark:
            files[EVAL] = Content(eval_yaml(repo_id, held.sets, state.read(EVAL)).encode())
        return after


def records_in(state: State) -> dict[str, Path]:
    """Fetch `inversions.json` of each set in the card of a repo, without rows.

    Raises:
        RequestError: the card cannot be read.
    """
    paths = {config: f"{config}/{FILE_NAME}" for config in _configs(state)}
    return {config: state.local(p) for config, p in paths.items() if p in state.files}


def _public(result: StirResult | None) -> tuple[str, ...]:
    """The repo of the inversions behind a result, if it is public."""
    place = str((result.config if result else {}).get(PUBLISHED, "")).partition("@")[0]
    return (place,) if is_repo(place) and Repo(place).is_private() is False else ()


def _card(state: State) -> str:
    try:
        return (state.read(CARD) or b"").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(
            f"{CARD} of {state.kind} {state.repo_id} at {state.sha} is no UTF-8 text"
        ) from error


def _configs(state: State) -> list[str]:
    try:
        return listed(_card(state))
    except RequestError as error:
        raise RequestError(f"{state.kind} {state.repo_id}: {error}") from error


def _sets(state: State, after: Change, there: Mapping[str, Path]) -> list[Shown]:
    """All sets in the repo after the push, by name."""
    records = {config: path.read_bytes() for config, path in there.items()}
    for path, content in after.files.items():
        if path.endswith(f"/{FILE_NAME}"):
            records[path.partition("/")[0]] = content.read()
    sizes = {path: file.size for path, file in state.files.items() if path not in after.removed}
    sizes |= {path: content.size for path, content in after.files.items()}
    found = []
    for slug in sorted(records):
        rows = [p for p in sizes if p.startswith(f"{slug}/") and p.endswith(".parquet")]
        picture = f"figures/{slug}.png"
        drawn = picture if picture in sizes and _PLAIN.fullmatch(picture) else None
        found.append(Shown.read(slug, records[slug], sum(sizes[p] for p in rows), drawn))
    return found


def _figures(state: State, after: Change) -> list[str]:
    """The heat maps in the repo after the push, those with the most inputs first."""
    found = [m for p in {*state.files, *after.files} if (m := _HEAT_MAP.fullmatch(p))]
    return [m[0] for m in sorted(found, key=lambda m: (-int(m[1]), m[0]))[:_MOST_FIGURES]]


def _drawn(result: StirResult, name: str, into: Path) -> dict[str, Path]:
    """Draw heat maps if there are more than two models and scores for half of the cells."""
    found, count = {}, len(labels(result))
    if count > 2 and len(result.scores) >= count * (count - 1) / 2:
        for value in ("stir", "similarity"):
            figure = heat_map(result, value).get_figure(root=True)
            assert figure is not None
            path = into / f"{name}-{value}.png"
            figure.savefig(path, dpi=100, bbox_inches="tight", metadata={"Software": None})
            found[f"figures/{path.name}"] = path
    return found
