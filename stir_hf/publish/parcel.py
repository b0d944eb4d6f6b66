"""All files of one push, staged in a folder, and the change that they make to a repo."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stir_hf.data.sets.located import CARD, listed
from stir_hf.data.sets.manifest import FILE_NAME, Manifest, json_text
from stir_hf.errors import RequestError
from stir_hf.publish import score_rows, scores
from stir_hf.publish.benchmark import EVAL, eval_yaml
from stir_hf.publish.cards import card, installed, places_in
from stir_hf.publish.config import ShareConfig
from stir_hf.publish.packing import DPI, Packed, without_paths
from stir_hf.publish.repo import Change, Content, Repo, State
from stir_hf.publish.rights import sources_of_score
from stir_hf.publish.spaces.requirement import EXAMPLE, requirement
from stir_hf.report import labels
from stir_hf.report.cards import Held, Row, Shown
from stir_hf.report.figures import figures, png
from stir_hf.report.markup import is_repo
from stir_hf.results import StirResult

_log = logging.getLogger("stir_hf")
_PLAIN = re.compile(r"[\w./-]+", re.ASCII)
_HEAT_MAP = re.compile(r"figures/[0-9a-f]{16}-(\d{1,9})-matrix\.png", re.ASCII)
_MOST_FIGURES, _MOST_READ = 4, 300
"""The most heat maps on a card, and the most score files of others that a push fetches for it."""
PUBLISHED = "published"
"""The key under which `score` records inversions of the Hub, `id` or `id@revision`, in
`StirResult.config`.
"""


@dataclass(frozen=True)
class ScoreFiles:
    """The score files of a repo and of a push; each is read once, even if the push is retried."""

    ours: Mapping[str, tuple[Content, Row]]
    """The files of the push, by path."""
    _read: dict[str, Row | None] = field(default_factory=dict, repr=False)

    def rows(self, state: State) -> tuple[list[Row], int]:
        """Return the rows of existing and new files, and the number of files that were not read
        since there are too many. A file that cannot be read is left out and named in the log.
        """
        same = {p for p, (content, _) in self.ours.items() if state.holds(p, content)}
        theirs = sorted({p for p in state.files if scores.is_score(p)} - same)
        mine = [row for p, (_, row) in self.ours.items() if p in same or p not in state.files]
        there = [self._row(state, path) for path in theirs[:_MOST_READ]]
        return [*mine, *(row for row in there if row is not None)], len(theirs[_MOST_READ:])

    def _row(self, state: State, path: str) -> Row | None:
        file, whose = state.files[path], f"dataset {state.repo_id}"
        key = f"{path} {file.blob_id}"
        if key not in self._read:
            try:
                if file.size > scores.LARGEST:
                    why = scores.too_large(file.size)
                    raise RequestError(f"{path} of {whose} cannot be used: {why}")
                self._read[key] = scores.read(state.local(path), whose)
            except RequestError as error:
                _log.warning("left out of the card: %s", error)
                self._read[key] = None
        return self._read[key]


@dataclass(frozen=True)
class Parcel:
    """All files of one push, staged in a folder."""

    sets: tuple[Packed, ...]
    files: dict[str, Content] = field(repr=False)
    """The scores, the result and its figures, by path."""
    scored: ScoreFiles = field(repr=False)
    share: ShareConfig
    places: tuple[str, ...] = ()
    """Public repos that hold the inversions of the scores."""
    told: dict[str, None] = field(default_factory=dict, repr=False)
    """Lines for the user; each once, however often the push is tried."""

    @classmethod
    def pack(
        cls, sets: Sequence[Path], result: StirResult | None, into: Path, share: ShareConfig
    ) -> "Parcel":
        """Gather the files; nothing is sent, and no rows are exported."""
        packed = tuple(Packed.of(one, into, without_images=share.without_images) for one in sets)
        if result is None:
            return cls(packed, {}, ScoreFiles({}), share)
        places = _public(result)
        clean = StirResult.from_dict(without_paths(result.to_dict()))
        if not places:
            clean.config.pop(PUBLISHED, None)
        ours: dict[str, tuple[Content, Row]] = {}
        for row in score_rows.rows_of(replace(clean, displacements=result.displacements)):
            path = score_rows.write(row, into / scores.FOLDER)
            ours[f"{scores.FOLDER}/{path.name}"] = Content(path), row
        size = max((score.num_samples for score in clean.scores), default=0)
        name = f"{clean.config['hash']}-{size}"
        files = {path: content for path, (content, _) in ours.items()}
        files[f"results/{name}.json"] = Content(json_text(clean.to_dict()).encode())
        return cls(packed, files | _drawn(clean, name), ScoreFiles(ours), share, places)

    def export(self) -> None:
        """Write all files of the sets, so that errors are found before a repo is created."""
        for one in self.sets:
            assert one.files
            _ = one.drawn

    @property
    def rows(self) -> list[Row]:
        """The scores."""
        return [row for _, row in self.scored.ours.values()]

    @property
    def closed(self) -> tuple[str, ...]:
        """The reasons why it should not be public."""
        hashes = {one.manifest.hash[:16] for one in self.sets}
        sources = [source for one in self.sets for source in one.sources]
        for row in self.rows:
            if row["inversion_set"] not in hashes or row["model_revision"] is not None:
                sources += sources_of_score(row)
        return tuple(dict.fromkeys(why for one in sources if (why := one.closed)))

    @property
    def words(self) -> str:
        """The things that become public, in words."""
        told = []
        for one in self.sets:
            names, count = one.manifest.names, len(one.inversions)
            originals = "" if one.without_images else f"{one.kind}s of {names['dataset']} and "
            told.append(f"{originals}{count} inversions by {names['reference']}")
        return ", ".join(told) or "scores"

    @property
    def title(self) -> str:
        """The title of the commit or pull request."""
        names = dict.fromkeys(one.manifest.names["reference"] for one in self.sets)
        if names:
            return f"STIR inversions of {', '.join(names)}"
        return f"STIR of {', '.join(dict.fromkeys(row['model'] for row in self.rows))}"

    def change(self, state: State, *, benchmark: bool = True) -> Change:
        """Return the change to a repo that holds `state`; with `eval.yaml` if `benchmark`."""
        before, there = state.card, records_in(state)
        known = {Manifest.read(path.parent).hash: config for config, path in there.items()}
        bare = self.share.create_pr and not self.sets and scores.FOLDER in _configs(state)
        files = {
            path: content
            for path, content in self.files.items()
            if (path not in state.files if scores.is_score(path) else not bare)
        }
        if bare:
            return Change(files)
        gone: set[str] = set()
        for one in self.sets:
            change = one.change(state, known.get(one.manifest.hash))
            files |= change.files
            gone |= change.removed
        after = Change(files, frozenset(gone))
        places = sorted({*self.places, *places_in(before)} - {state.repo_id})
        sets, maps = _sets(state, after, there), _heat_maps(state, after)
        held = Held(sets, *self.scored.rows(state), maps, places)
        place = self.share.package or installed(before) or requirement()
        if place is None:
            self.told[
                "the card cannot say where stir-hf is installed from; push again with --package"
                f" '{EXAMPLE}', which says it"
            ] = None
        files[CARD] = Content(card(state.repo_id, held, before, place).encode())
        if self.sets and benchmark:
            told = eval_yaml(state.repo_id, held.sets, state.read(EVAL))
            files[EVAL] = Content(told.encode())
        return after


def records_in(state: State) -> dict[str, Path]:
    """Fetch `inversions.json` of each set that the card of a repo lists; no rows are fetched.

    Raises:
        RequestError: a card that cannot be read.
    """
    paths = {config: f"{config}/{FILE_NAME}" for config in _configs(state)}
    return {config: state.local(p) for config, p in paths.items() if p in state.files}


def _public(result: StirResult) -> tuple[str, ...]:
    """The repo of the inversions that a result was made on, if it is public."""
    place = str(result.config.get(PUBLISHED, "")).partition("@")[0]
    return (place,) if is_repo(place) and Repo(place).is_private() is False else ()


def _configs(state: State) -> list[str]:
    try:
        return listed(state.card)
    except RequestError as error:
        raise RequestError(f"{state.kind} {state.repo_id}: {error}") from error


def _sets(state: State, after: Change, there: Mapping[str, Path]) -> list[Shown]:
    """All sets that the repo holds afterwards, by name."""
    records = {config: path.read_bytes() for config, path in there.items()}
    for path, content in after.files.items():
        if path.endswith(f"/{FILE_NAME}"):
            records[path.partition("/")[0]] = content.read()
    files = {path: file for path, file in state.files.items() if path not in after.removed}
    sizes = {path: file.size for path, file in {**files, **after.files}.items()}
    found = []
    for slug in sorted(records):
        rows = [p for p in sizes if p.startswith(f"{slug}/") and p.endswith(".parquet")]
        picture = f"figures/{slug}.png"
        drawn = picture if picture in sizes and _PLAIN.fullmatch(picture) else None
        found.append(Shown.read(slug, records[slug], sum(sizes[p] for p in rows), drawn))
    return found


def _heat_maps(state: State, after: Change) -> list[str]:
    """The heat maps that the repo holds afterwards, of the most inputs first."""
    found = [m for p in {*state.files, *after.files} if (m := _HEAT_MAP.fullmatch(p))]
    return [m[0] for m in sorted(found, key=lambda m: (-int(m[1]), m[0]))[:_MOST_FIGURES]]


def _drawn(result: StirResult, name: str) -> dict[str, Content]:
    """The heat maps of a result with more than two models and at least half of the scores."""
    count = len(labels(result))
    drawn = figures(result) if len(result.scores) >= count * (count - 1) / 2 else {}
    return {f"figures/{name}-{kind}.png": Content(png(one, DPI)) for kind, one in drawn.items()}
