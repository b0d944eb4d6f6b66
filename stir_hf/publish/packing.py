"""Packing one inversion set into the files of a repo."""

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from stir_hf._version import __version__
from stir_hf.data.files.shards import files_of
from stir_hf.data.identity import hash_of
from stir_hf.data.sets.export import columns, export, row_digests
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sets.manifest import FILE_NAME, Manifest, json_text
from stir_hf.errors import RequestError
from stir_hf.publish.sources import Sources, sources_of
from stir_hf.publish.state import Change, Content, State
from stir_hf.report import drawable, pairs
from stir_hf.results import RelativeError, SpreadError

_PART = r"[^\s/'\":;,()<>|]+"
_PATH = re.compile(
    r"(?P<address>https?://\S+)"
    rf"|(?:file://|(?<![\w./]))(?:~[\w.-]*|/{_PART})(?:/+{_PART})+"
    r"|[A-Za-z]:\\[^\s'\":;,()<>|]+"
)


@dataclass(frozen=True)
class Packed:
    """One inversion set to push; its rows are exported only if the repo lacks them."""

    inversions: Inversions
    manifest: Manifest
    """The manifest of the set, without paths."""
    sources: Sources
    without_images: bool
    into: Path
    """The folder in which files are written."""

    @classmethod
    def of(cls, folder: Path, into: Path, *, without_images: bool) -> "Packed":
        """Read a set; nothing is written.

        Args:
            folder: the folder of the set.
            into: a folder for its files.
            without_images: leave out the originals.

        Raises:
            RequestError: no finished set, or originals left out that nobody could fetch.
        """
        inversions = Inversions.read(folder)
        manifest = _without_paths(inversions.manifest)
        without_images = without_images or not inversions.has_originals
        if without_images and manifest.names.get("data_revision") is None:
            raise RequestError(
                f"--without-images: nobody could fetch the originals of {manifest.names['dataset']},"
                " which is not on the Hub"
            )
        return cls(inversions, manifest, sources_of(manifest.names), without_images, into)

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The files of the exported rows."""
        into = self.into / self.manifest.slug
        return tuple(export(self.inversions.path, into, without_images=self.without_images))

    @cached_property
    def picture(self) -> Path | None:
        """A figure of the first pairs; None for inputs that cannot be drawn."""
        if not drawable(self.inversions):
            return None
        path = self.into / f"{self.manifest.slug}.png"
        figure = pairs([self.inversions], originals=not self.without_images)
        figure.savefig(path, dpi=100, bbox_inches="tight", metadata={"Software": None})
        return path

    @cached_property
    def _figures(self) -> dict[str, Any]:
        inversions = self.inversions
        left = inversions.spread_error
        return {
            "rows": len(inversions),
            "relative_error": asdict(RelativeError.of(inversions.relative_error)),
            "spread_error": None if left is None else asdict(SpreadError.of(left)),
            "converged": float(inversions.converged.mean()),
        }

    @cached_property
    def _made_from(self) -> str:
        """A hash of everything that determines the exported files."""
        rows = sorted(Content(path).digests[0] for path in files_of(self.inversions.path))
        names, complete = self.manifest.names, self.manifest.complete
        return hash_of([__version__, names, complete, self.without_images, rows])

    def _files_hash(self) -> str:
        """A hash of the exported files, comparable to `_hash_there`."""
        every = [*self.files, *([self.picture] if self.picture else [])]
        return hash_of({path.name: Content(path).digests[0] for path in every})

    def change(self, state: State, slug: str | None) -> Change:
        """The change to the repo for this set; `slug` is its name there, if it is listed.

        Raises:
            RequestError: a row differs from the published one.
        """
        name = slug or self.manifest.slug
        path, figure = f"{name}/{FILE_NAME}", f"figures/{self.manifest.slug}.png"
        drawn = {figure} if drawable(self.inversions) else set()
        theirs = {p for p in state.files if p.startswith(f"{name}/") and p.endswith(".parquet")}
        if slug is not None:
            record = json.loads(state.read(path) or b"{}")
            there = Manifest.from_dict(record, path)
            made = {"made_from": self._made_from, "files": _hash_there(state, theirs | drawn)}
            if {key: record.get(key) for key in made} == made:
                return Change({path: self._record({**made, "figures": record["figures"]}, there)})
        ours = {f"{name}/{file.name}": Content(file) for file in self.files}
        gone = frozenset(theirs - set(ours))
        if slug is not None:
            ours, gone = self._joined(state, ours, theirs)
            if not ours and not gone and there.complete == self._with(there)["complete"]:
                return Change({})
        made = {"made_from": self._made_from, "files": self._files_hash()}
        record = self._record({**made, "figures": self._figures}, there if slug else None)
        picture = {figure: Content(self.picture)} if self.picture else {}
        return Change({**ours, path: record, **picture}, gone)

    def _record(self, made: Mapping[str, Any], there: Manifest | None) -> Content:
        """The new `inversions.json` of the repo; `there` is the published one."""
        record = {
            **self.manifest.to_dict(),
            **({} if there is None else self._with(there)),
            "figures": made["figures"],
            "licence": self.sources.licence,
            "without_images": self.without_images,
            "figure": f"figures/{self.manifest.slug}.png" if drawable(self.inversions) else None,
            "made_from": made["made_from"],
            "files": made["files"],
        }
        return Content(json_text(record).encode())

    def _with(self, there: Manifest) -> dict[str, Any]:
        """The finished prefix and the runs, including published ones."""
        done = there.complete or {"num_samples": 0, "draws": 0}
        both = self.manifest.finished(done["num_samples"], done["draws"])
        runs = [*there.runs, *(run for run in self.manifest.runs if run not in there.runs)]
        return {"complete": both.complete, "runs": runs}

    def _joined(
        self, state: State, ours: dict[str, Content], theirs: set[str]
    ) -> tuple[dict[str, Content], frozenset[str]]:
        """The files to add, and the published files that they replace."""
        extra = sorted(theirs - set(ours))
        if not extra:
            return ours, frozenset()
        there = [state.local(path) for path in extra]
        if any(columns(path) != columns(self.files[0]) for path in there):
            raise RequestError(
                f"{state.repo_id} holds {self.manifest.slug} with other columns (with or without"
                " the originals); push it as it is there, or to another repo"
            )
        name = self.inversions.kind.name
        other = row_digests(there)
        replaced = set(other) <= set(self._rows)
        for key, theirs_of in other.items():
            digest, label = self._rows.get(key, theirs_of)
            if digest != theirs_of[0]:
                raise RequestError(
                    f"{state.repo_id} holds another inversion of {name} {key[0]} (draw {key[1]}) in"
                    f" {self.manifest.slug}, made with the same settings on another machine; push"
                    " to another repo, or score on what is published"
                )
            if label != theirs_of[1] and not replaced:
                raise RequestError(
                    f"{state.repo_id} holds another label of {name} {key[0]} in"
                    f" {self.manifest.slug}; push all {name}s that it holds, which corrects them"
                    " there, or push to another repo"
                )
        if replaced:
            return ours, frozenset(extra)
        return ({}, frozenset()) if set(self._rows) <= set(other) else (ours, frozenset())

    @cached_property
    def _rows(self) -> dict[tuple[int, int], tuple[str, int | None]]:
        return row_digests(list(self.files))


def _hash_there(state: State, paths: Iterable[str]) -> str | None:
    """A hash of files in a repo; None if one is not in the Hub's storage."""
    found: dict[str, str] = {}
    for path in paths:
        if (stored := getattr(state.files.get(path), "lfs", None)) is None:
            return None
        found[path.rpartition("/")[2]] = stored.sha256
    return hash_of(found)


def _without_paths(manifest: Manifest) -> Manifest:
    plain = without_paths({"names": manifest.names, "runs": list(manifest.runs)})
    return replace(manifest, names=plain["names"], runs=tuple(plain["runs"]))


def without_paths(value: Any) -> Any:
    """Plain data with every path, of any operating system, replaced by its last part."""
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
