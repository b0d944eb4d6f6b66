"""One inversion set, staged to be sent."""

import os
import re
import tempfile
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from stir_hf.data.sets.export import columns, export, row_digests
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sets.manifest import FILE_NAME, Manifest, json_text
from stir_hf.errors import RequestError
from stir_hf.publish.sources import sources_of
from stir_hf.publish.state import Change, Content, State
from stir_hf.report import pairs
from stir_hf.results import RelativeError, SpreadError

_PART = r"[^\s/'\":;,()<>|]+"
_PATH = re.compile(
    r"(?P<address>https?://\S+)"
    rf"|(?:file://|(?<![\w./]))(?:~[\w.-]*|/{_PART})(?:/+{_PART})+"
    r"|[A-Za-z]:\\[^\s'\":;,()<>|]+"
)


@dataclass(frozen=True)
class Packed:
    """One inversion set, staged."""

    manifest: Manifest
    record: dict[str, Any]
    """The content of `inversions.json` on the Hub."""
    files: tuple[Path, ...]
    picture: Path
    closed: tuple[str, ...]

    @classmethod
    def pack(cls, folder: Path, into: Path, *, without_images: bool) -> "Packed":
        """Write what is sent of a set: its rows and a picture.

        Args:
            folder: of the set.
            into: where it is written.
            without_images: leave the originals out.

        Raises:
            RequestError: no finished set, or originals left out that nobody could fetch.
        """
        inversions = Inversions.read(folder)
        manifest = _without_paths(inversions.manifest)
        without_images = without_images or not inversions.has_originals
        about = sources_of(manifest.names)
        if without_images and manifest.names.get("data_revision") is None:
            raise RequestError(
                f"--without-images: nobody could fetch the images of {manifest.names['dataset']},"
                " which is not on the Hub"
            )
        files = export(folder, into / manifest.slug, without_images=without_images)
        picture = into / f"{manifest.slug}.png"
        figure = pairs([inversions], originals=not without_images)
        figure.savefig(picture, dpi=100, bbox_inches="tight", metadata={"Software": None})
        above, left = ~inversions.converged, inversions.spread_error
        figures = {
            "rows": len(inversions),
            "relative_error": asdict(RelativeError.of(inversions.relative_error)),
            "spread_error": None if left is None else asdict(SpreadError.of(left)),
            "converged": float((~above).mean()),
        }
        record = {
            **manifest.to_dict(),
            "figures": figures,
            "licence": about.licence,
            "without_images": without_images,
            "figure": f"figures/{manifest.slug}.png",
        }
        return cls(manifest, record, tuple(files), picture, about.closed)

    def change(self, state: State, slug: str | None) -> Change:
        """Say what the repo is to hold of this set; `slug` is its name there, if it is listed.

        Raises:
            RequestError: other bytes for a row that is published.
        """
        name = slug or self.manifest.slug
        ours = {f"{name}/{path.name}": Content(path) for path in self.files}
        theirs = {p for p in state.files if p.startswith(f"{name}/") and p.endswith(".parquet")}
        record, gone = self.record, frozenset(theirs - set(ours))
        if slug is not None:
            there = Manifest.read(state.local(f"{name}/{FILE_NAME}").parent)
            record = self._with(there)
            ours, gone = self._joined(state, ours, theirs)
            if not ours and not gone and there.complete == record["complete"]:
                return Change({})
        files = {
            **ours,
            f"{name}/{FILE_NAME}": Content(json_text(record).encode()),
            record["figure"]: Content(self.picture),
        }
        return Change(files, gone)

    def _with(self, there: Manifest) -> dict[str, Any]:
        """The record, with what is published already."""
        done = there.complete or {"num_samples": 0, "draws": 0}
        both = self.manifest.finished(done["num_samples"], done["draws"])
        runs = [*there.runs, *(run for run in self.manifest.runs if run not in there.runs)]
        return {**self.record, "complete": both.complete, "runs": runs}

    def _joined(
        self, state: State, ours: dict[str, Content], theirs: set[str]
    ) -> tuple[dict[str, Content], frozenset[str]]:
        """Find our files that are new beside those there, and those there that they replace."""
        extra = sorted(theirs - set(ours))
        if not extra:
            return ours, frozenset()
        there = [state.local(path) for path in extra]
        if any(columns(path) != columns(self.files[0]) for path in there):
            raise RequestError(
                f"{state.repo_id} holds {self.manifest.slug} with other columns (with or without"
                " the originals); push it as it is there, or to another repo"
            )
        other = row_digests(there)
        replaced = set(other) <= set(self._rows)
        for key, theirs_of in other.items():
            digest, label = self._rows.get(key, theirs_of)
            if digest != theirs_of[0]:
                raise RequestError(
                    f"{state.repo_id} holds another inversion of image {key[0]} (draw {key[1]}) in"
                    f" {self.manifest.slug}, made with the same settings on another machine; push"
                    " to another repo, or score on what is published"
                )
            if label != theirs_of[1] and not replaced:
                raise RequestError(
                    f"{state.repo_id} holds another label of image {key[0]} in"
                    f" {self.manifest.slug}; push all images that it holds, which corrects them"
                    " there, or push to another repo"
                )
        if replaced:
            return ours, frozenset(extra)
        return ({}, frozenset()) if set(self._rows) <= set(other) else (ours, frozenset())

    @cached_property
    def _rows(self) -> dict[tuple[int, int], tuple[str, int | None]]:
        return row_digests(list(self.files))


def _without_paths(manifest: Manifest) -> Manifest:
    plain = without_paths({"names": manifest.names, "runs": list(manifest.runs)})
    return replace(manifest, names=plain["names"], runs=tuple(plain["runs"]))


def without_paths(value: Any) -> Any:
    """Plain data in which every path is its last name alone, whatever machine it is of."""
    if isinstance(value, str):
        for place in (str(Path.home()), tempfile.gettempdir(), os.getcwd()):
            value = value.replace(f"{place}/", "/./")
        return _PATH.sub(_last_name, value)
    if isinstance(value, dict):
        return {without_paths(name): without_paths(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(one) for one in value]
    return value


def _last_name(found: re.Match[str]) -> str:
    return found["address"] or re.split(r"[/\\]", found[0])[-1]
