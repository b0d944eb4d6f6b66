"""All that one push sends, staged in a folder, and what a repo is to hold with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stir_hf.data.located import CARD, listed
from stir_hf.data.manifest import FILE_NAME, Manifest, json_text
from stir_hf.publish import score_rows, scores
from stir_hf.publish.benchmark import EVAL, eval_yaml
from stir_hf.publish.cards import Shown, card
from stir_hf.publish.config import ShareConfig
from stir_hf.publish.packing import Packed, without_paths
from stir_hf.publish.sources import sources_of_score
from stir_hf.publish.state import Change, Content, State
from stir_hf.report import heat_map, labels
from stir_hf.results import StirResult


@dataclass(frozen=True)
class Parcel:
    """All that one push sends, staged in a folder."""

    sets: tuple[Packed, ...]
    rows: tuple[dict[str, Any], ...]
    """Of the scores."""
    files: dict[str, Content] = field(repr=False)
    """The scores, the result and its figures, by path."""

    @classmethod
    def pack(
        cls, sets: Sequence[Path], result: StirResult | None, into: Path, share: ShareConfig
    ) -> "Parcel":
        """Stage it; nothing is sent."""
        packed = [Packed.pack(one, into, without_images=share.without_images) for one in sets]
        rows: list[dict[str, Any]] = []
        files: dict[str, Content] = {}
        if result is not None:
            clean = StirResult.from_dict(without_paths(result.to_dict()))
            rows = list(score_rows.rows_of(replace(clean, moves=result.moves)))
            for row in rows:
                path = score_rows.write(row, into / scores.FOLDER)
                files[f"{scores.FOLDER}/{path.name}"] = Content(path)
            size = max((score.num_samples for score in clean.scores), default=0)
            name = f"{clean.config['hash']}-{size}"
            files[f"results/{name}.json"] = Content(json_text(clean.to_dict()).encode())
            files |= {p: Content(f) for p, f in _drawn(clean, name, into).items()}
        return cls(tuple(packed), tuple(rows), files)

    @property
    def closed(self) -> tuple[str, ...]:
        """Why it should not be public."""
        of_sets = [why for one in self.sets for why in one.closed]
        hashes = {one.manifest.hash[:16] for one in self.sets}
        of_scores = [
            why
            for row in self.rows
            if row["inversions"] not in hashes or row["model_revision"] is not None
            for why in sources_of_score(row)
        ]
        return tuple(dict.fromkeys([*of_sets, *of_scores]))

    @property
    def words(self) -> str:
        """What becomes public."""
        told = []
        for one in self.sets:
            names, count = one.manifest.names, one.record["figures"]["rows"]
            originals = "" if one.record["without_images"] else f"images of {names['dataset']} and "
            told.append(f"{originals}{count} inversions by {names['reference']}")
        return ", ".join(told) or "scores"

    @property
    def title(self) -> str:
        """Of the commit or pull request."""
        names = dict.fromkeys(one.manifest.names["reference"] for one in self.sets)
        if names:
            return f"STIR inversions of {', '.join(names)}"
        return f"STIR of {', '.join(dict.fromkeys(row['model'] for row in self.rows))}"

    def change(self, state: State, repo_id: str, *, benchmark: bool = True) -> Change:
        """What the repo is to hold, given what it holds; `benchmark`: `eval.yaml`, too."""
        before = (state.read(CARD) or b"").decode()
        there = records_in(state)
        known = {Manifest.read(path.parent).hash: config for config, path in there.items()}
        files = {
            path: content
            for path, content in self.files.items()
            if path not in state.files or not path.startswith(f"{scores.FOLDER}/")
        }
        gone: set[str] = set()
        for one in self.sets:
            change = one.change(state, known.get(one.manifest.hash))
            files |= change.files
            gone |= change.removed
        shown = {config: Shown.read(config, path.read_bytes()) for config, path in there.items()}
        for path, content in files.items():
            if path.endswith(f"/{FILE_NAME}"):
                slug = path.partition("/")[0]
                shown[slug] = Shown.read(slug, content.read())
        sets = [shown[slug] for slug in sorted(shown)]
        scored = any(p.startswith(f"{scores.FOLDER}/") for p in (*state.files, *files))
        text = card(repo_id, sets, before, scored=scored)
        files[CARD] = Content(text.encode())
        if self.sets and benchmark:
            files[EVAL] = Content(eval_yaml(repo_id, sets, state.read(EVAL)).encode())
        return Change(files, frozenset(gone))


def records_in(state: State) -> dict[str, Path]:
    """`inversions.json` of each set that the card of a repo lists, fetched; no rows are."""
    card_there = (state.read(CARD) or b"").decode()
    paths = {config: f"{config}/{FILE_NAME}" for config in listed(card_there)}
    return {config: state.local(p) for config, p in paths.items() if p in state.files}


def _drawn(result: StirResult, name: str, into: Path) -> dict[str, Path]:
    """Heat maps where there are more than two models."""
    found = {}
    if len(labels(result)) > 2:
        for value in ("stir", "similarity"):
            figure = heat_map(result, value).get_figure(root=True)
            assert figure is not None
            path = into / f"{name}-{value}.png"
            figure.savefig(path, dpi=100, bbox_inches="tight", metadata={"Software": None})
            found[f"figures/{path.name}"] = path
    return found
