"""One inversion set, and the change that publishing it makes to a repo."""

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
from stir_hf.publish.repo import Change, Content, State
from stir_hf.publish.rights import Source
from stir_hf.report import drawable, pairs
from stir_hf.report.figures import png
from stir_hf.results import RelativeError, SpreadError

DPI = 100
"""The resolution of published figures."""
_PART = r"[^\s/'\":;,()<>|]+"
_PATH = re.compile(
    r"(?P<address>https?://\S+)"
    rf"|(?:file://|(?<![\w./]))(?:~[\w.-]*|/{_PART})(?:/+{_PART})+"
    r"|[A-Za-z]:\\[^\s'\":;,()<>|]+"
)


@dataclass(frozen=True)
class Packed:
    """One inversion set to be sent; its rows are exported when a repo turns out to lack them."""

    inversions: Inversions
    manifest: Manifest
    """The record of what made it, without paths."""
    sources: tuple[Source, Source]
    """The dataset and the reference."""
    without_images: bool
    into: Path
    """The folder in which files are written."""

    @classmethod
    def of(cls, folder: Path, into: Path, *, without_images: bool) -> "Packed":
        """Read the record of the set in `folder`; nothing is written.

        Raises:
            RequestError: no finished set, or originals left out that nobody could fetch.
        """
        inversions = Inversions.read(folder)
        there = inversions.manifest
        names = without_paths(there.names)
        manifest = replace(there, names=names, runs=tuple(without_paths(there.runs)))
        dataset = Source("dataset", names["dataset"], names.get("data_revision"))
        reference = Source("reference", names["reference"], names.get("revision"))
        without_images = without_images or not inversions.has_originals
        if without_images and dataset.commit is None:
            raise RequestError(
                f"--without-images: nobody could fetch the originals of {dataset.name}, which is"
                " not on the Hub"
            )
        return cls(inversions, manifest, (dataset, reference), without_images, into)

    @property
    def kind(self) -> str:
        """The kind of input: `image`, `vector`."""
        return str(self.manifest.identity["canvas"]["kind"])

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The rows, exported."""
        into = self.into / self.manifest.slug
        return tuple(export(self.inversions.path, into, without_images=self.without_images))

    @cached_property
    def picture(self) -> str | None:
        """The path of a figure of the first pairs; None for inputs that cannot be drawn."""
        return f"figures/{self.manifest.slug}.png" if drawable(self.inversions) else None

    @cached_property
    def drawn(self) -> dict[str, Content]:
        """The figure by its path."""
        if self.picture is None:
            return {}
        figure = pairs([self.inversions], originals=not self.without_images)
        return {self.picture: Content(png(figure, DPI))}

    def change(self, state: State, slug: str | None) -> Change:
        """Return the change that publishes this set; `slug` is its name in the repo, if listed.

        Raises:
            RequestError: other bytes for a row that is published.
        """
        name = slug or self.manifest.slug
        path = f"{name}/{FILE_NAME}"
        theirs = {p for p in state.files if p.startswith(f"{name}/") and p.endswith(".parquet")}
        record: dict[str, Any] = {} if slug is None else json.loads(state.read(path) or b"{}")
        there = None if slug is None else Manifest.from_dict(record, path)
        sent = theirs | ({self.picture} if self.picture else set())
        kept = {"made_from": self._made_from, "files": _hash_there(state, sent)}
        if kept.items() <= record.items():
            return Change({path: self._record(there, record["figures"], **kept)})
        ours = {f"{name}/{file.name}": Content(file) for file in self.files}
        gone = frozenset(theirs - set(ours))
        if there is not None:
            ours, gone = self._joined(state, ours, sorted(gone))
            if not ours and not gone and there.complete == self._with(there)["complete"]:
                return Change({})
        whole = {**{file.name: Content(file) for file in self.files}, **self.drawn}
        files = hash_of({p.rpartition("/")[2]: content.sha256 for p, content in whole.items()})
        made = self._record(there, self._figures, made_from=self._made_from, files=files)
        return Change({**ours, path: made, **self.drawn}, gone)

    @cached_property
    def _made_from(self) -> str:
        """A hash of all that the exported files follow from."""
        rows = sorted(Content(path).sha256 for path in files_of(self.inversions.path))
        names, complete = self.manifest.names, self.manifest.complete
        return hash_of([__version__, names, complete, self.without_images, rows])

    @property
    def _figures(self) -> dict[str, Any]:
        """The numbers that the card shows."""
        inversions, left = self.inversions, self.inversions.spread_error
        return {
            "rows": len(inversions),
            "relative_error": asdict(RelativeError.of(inversions.relative_error)),
            "spread_error": None if left is None else asdict(SpreadError.of(left)),
            "converged": float(inversions.converged.mean()),
        }

    def _record(self, there: Manifest | None, figures: Mapping[str, Any], **made: Any) -> Content:
        """`inversions.json` to be published; `there` is the manifest that is published already."""
        record = {
            **self.manifest.to_dict(),
            **({} if there is None else self._with(there)),
            "figures": figures,
            "licence": self.sources[0].licence,
            "without_images": self.without_images,
            "figure": self.picture,
            **made,
        }
        return Content(json_text(record).encode())

    def _with(self, there: Manifest) -> dict[str, Any]:
        """The finished prefix and the runs, those that are published included."""
        done = there.complete or {"num_samples": 0, "draws": 0}
        both = self.manifest.finished(done["num_samples"], done["draws"])
        runs = [*there.runs, *(run for run in self.manifest.runs if run not in there.runs)]
        return {"complete": both.complete, "runs": runs}

    def _joined(
        self, state: State, ours: dict[str, Content], extra: list[str]
    ) -> tuple[dict[str, Content], frozenset[str]]:
        """Find our files that are new beside others that are there, and those that they replace."""
        if not extra:
            return ours, frozenset()
        slug, there = self.manifest.slug, [state.local(path) for path in extra]
        held = {name for path in there for name in columns(path)}
        if unlike := held ^ set(columns(self.files[0])):
            raise RequestError(
                f"{state.repo_id} holds {slug} with other columns (differing:"
                f" {', '.join(sorted(unlike))}); push it as it is there, or to another repo"
            )
        other, mine = row_digests(there), row_digests(list(self.files))
        replaced = set(other) <= set(mine)
        for (index, draw), theirs in other.items():
            digest, label = mine.get((index, draw), theirs)
            if digest != theirs[0]:
                raise RequestError(
                    f"{state.repo_id} holds another inversion of {self.kind} {index} (draw {draw})"
                    f" in {slug}, made with the same settings on another machine; push to another"
                    " repo, or score on what is published"
                )
            if label != theirs[1] and not replaced:
                raise RequestError(
                    f"{state.repo_id} holds another label of {self.kind} {index} in {slug}; push"
                    f" all {self.kind}s that it holds, which corrects them there, or push to"
                    " another repo"
                )
        if replaced:
            return ours, frozenset(extra)
        return ({}, frozenset()) if set(mine) <= set(other) else (ours, frozenset())


def _hash_there(state: State, paths: Iterable[str]) -> str | None:
    """A hash of files that a repo holds; None where one is not in the Hub's storage."""
    stored = {path: getattr(state.files.get(path), "lfs", None) for path in paths}
    found = {p.rpartition("/")[2]: lfs.sha256 for p, lfs in stored.items() if lfs is not None}
    return hash_of(found) if len(found) == len(stored) else None


def without_paths(value: Any) -> Any:
    """Return plain data with every path cut to its last part, also paths of other machines."""
    if isinstance(value, str):
        for place in (str(Path.home()), tempfile.gettempdir(), os.getcwd()):
            value = value.replace(f"{place}/", "/./")
        return _PATH.sub(lambda m: m["address"] or re.split(r"[/\\]", m[0])[-1], value)
    if isinstance(value, dict):
        return {without_paths(name): without_paths(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(one) for one in value]
    return value
