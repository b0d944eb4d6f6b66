"""`inversions.json`: the provenance of an inversion set, and its finished prefix."""

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from stir_hf.data.files.broken import BrokenError
from stir_hf.data.files.schema import fault_of, read_json
from stir_hf.data.identity import hash_of, other_entries, same_probe, same_spread, slug
from stir_hf.errors import RequestError, one_line, printable
from stir_hf.results.parts import known_fields

FILE_NAME = "inversions.json"
FORMAT = 2


@dataclass(frozen=True)
class Manifest:
    """The provenance of an inversion set, and its finished prefix."""

    identity: dict[str, Any]
    """The hashed part: `network`, `canvas`, `data` and `engine`."""
    probe: list[float]
    """Values of the reference's representation of a fixed probe; compared, not hashed."""
    first_start: str
    """Hash of the start of the first original; compared, not part of the identity."""
    names: dict[str, Any] = field(default_factory=dict)
    """Names of the reference, its layer and the dataset in results."""
    complete: dict[str, int] | None = None
    """The largest finished prefix, as `num_samples` and `draws`; None if there is none yet."""
    spread: float | None = None
    """Spread of the representations of the first originals, if the tolerance is relative to it:
    measured before the first inversion and used by all; compared, not hashed.
    """
    runs: tuple[dict[str, Any], ...] = ()
    """Conditions of each run that continued the set: device, threads, batch size, versions."""
    originals: dict[str, list[float]] = field(default_factory=dict)
    """Values of the reference's representations of the first originals, by canvas hash; compared,
    not hashed.
    """
    settings: dict[str, Any] = field(default_factory=dict)
    """The entries of the reference's configuration that may change its outputs; compared, not
    hashed.
    """
    others: tuple[dict[str, Any], ...] = ()
    """Of each further model of the objective its `probe` and `settings`; compared, not hashed."""

    @property
    def hash(self) -> str:
        """64 hexadecimal digits of the identity."""
        return hash_of(self.identity)

    @property
    def slug(self) -> str:
        """The name of the set's folder."""
        return slug(self.names.get("reference", ""), self.hash)

    @property
    def dtype(self) -> str:
        """The dtype in which the reference ran."""
        return str(self.identity["network"]["precision"]["dtype"])

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read the manifest of a set; fields of later versions are ignored.

        Raises:
            BrokenError: a broken file of any kind.
            RequestError: no such file, or a later format.
        """
        path = folder / FILE_NAME
        try:
            found = read_json(path)
        except OSError as error:
            raise RequestError(f"{path} cannot be read: {one_line(error)}") from error
        except ValueError as error:
            raise BrokenError(path, one_line(error)) from error
        return cls.from_dict(found, path)

    @classmethod
    def from_dict(cls, found: Any, path: str | Path) -> "Manifest":
        """Make a manifest from the content of its file; `path` names the file in messages.

        Raises:
            BrokenError: the content is not that of a manifest.
            RequestError: a later format.
        """
        if not isinstance(found, Mapping) or "identity" not in found:
            raise BrokenError(path, "it is of an older stir-hf; make the inversions again")
        number = found.get("format")
        if isinstance(number, int) and number > FORMAT:
            raise RequestError(
                f"{path} is of format {number}; this stir-hf reads format {FORMAT}: update stir-hf"
            )
        if number is True or number != FORMAT:
            raise BrokenError(path, f"format must be {FORMAT}")
        if (fault := fault_of(found)) is not None:
            raise BrokenError(path, fault)
        runs, others = (tuple(found.get(name, ())) for name in ("runs", "others"))
        return known_fields(cls, found, runs=runs, others=others, names=_shown(found["names"]))

    def to_dict(self) -> dict[str, Any]:
        """The content of the file."""
        return {"format": FORMAT, **asdict(self)}

    def write(self, folder: Path) -> None:
        """Write the file atomically."""
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{FILE_NAME}.{uuid.uuid4().hex[:8]}.partial"
        partial.write_text(json_text(self.to_dict()), "utf-8")
        os.replace(partial, folder / FILE_NAME)

    def check_continues(self, there: "Manifest", folder: Path) -> None:
        """Raise RequestError if `there` was made with another network or other starts."""
        if (why := self.differs(there)) is not None:
            raise RequestError(
                f"{folder} was made by a model with the same weights but different outputs ({why});"
                " choose another --out"
            )
        for mine, theirs in zip(self.others, there.others, strict=False):
            told = other_entries(mine["settings"], theirs["settings"])
            if told or not same_probe(mine["probe"], theirs["probe"], self.dtype):
                raise RequestError(
                    f"{folder} was made with a further model of the same weights but different"
                    f" outputs{': ' * bool(told)}{', '.join(told)}; choose another --out"
                )
        if self.first_start != there.first_start:
            raise RequestError(
                f"{folder} was begun from other starts than this version draws; choose"
                " another --out"
            )
        if not same_spread(self.spread, there.spread, self.dtype):
            raise RequestError(
                f"{folder} was made with a tolerance relative to the spread {there.spread}, this"
                f" run has the spread {self.spread}; give every part the same --num-samples, or"
                " choose another --out"
            )

    def differs(self, other: "Manifest") -> str | None:
        """The difference between the networks of two manifests of equal identity, or None."""
        if told := other_entries(self.settings, other.settings):
            return f"its configuration differs: {', '.join(told)}"
        both = [h for h in self.originals if h in other.originals]
        pairs = [
            (self.probe, other.probe),
            *((self.originals[h], other.originals[h]) for h in both),
        ]
        if all(same_probe(one, two, self.dtype) for one, two in pairs):
            return None
        return "its representations differ: its forward pass or a constant in it has changed"

    def finished(self, num_samples: int, draws: int) -> "Manifest":
        """Return a copy that records a finished prefix, unless a larger one is recorded."""
        there = self.complete or {"num_samples": 0, "draws": 0}
        if (num_samples, draws) <= (there["num_samples"], there["draws"]):
            return self
        return replace(self, complete={"num_samples": num_samples, "draws": draws})


def _shown(value: Any) -> Any:
    """Replace characters in names that a terminal would not show as they are."""
    if isinstance(value, dict):
        return {name: _shown(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shown(inner) for inner in value]
    return printable(value) if isinstance(value, str) else value


def json_text(value: Any) -> str:
    """Plain data as the JSON text of files."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
