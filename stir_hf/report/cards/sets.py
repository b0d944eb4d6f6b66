"""An inversion set as its card shows it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stir_hf.data.sets.manifest import FILE_NAME, Manifest
from stir_hf.engine import CONSTRAINTS, OBJECTIVES, RULES, STARTS
from stir_hf.errors import RequestError, cut, one_line, printable
from stir_hf.inputs import Kind, kind_of
from stir_hf.report.estimates import size
from stir_hf.report.markup import LONGEST_NAME, code, linked, prose

NAMED = ("reference", "reference_revision", "dataset", "dataset_revision", "split")
_BROKEN = (ValueError, TypeError, KeyError, AttributeError, IndexError)


@dataclass(frozen=True)
class Shown:
    """A set as its card shows it."""

    slug: str
    record: Mapping[str, Any]
    """The content of its `inversions.json` on the Hub."""
    size: int = 0
    """The size of its rows, in bytes."""
    picture: str | None = None
    """The path of its first images, drawn."""

    @classmethod
    def read(cls, slug: str, text: bytes, size: int = 0, picture: str | None = None) -> "Shown":
        """Read a set from its `inversions.json` on the Hub; the rest as the fields.

        Raises:
            RequestError: no JSON object.
        """
        try:
            return cls(slug, dict(json.loads(text)), size, picture)
        except _BROKEN as error:
            raise _broken(slug, error) from error

    @property
    def manifest(self) -> Manifest:
        """The record of what made it."""
        return Manifest.from_dict(self.record, f"{self.slug}/{FILE_NAME}")

    @property
    def named(self) -> dict[str, Any]:
        """The reference and the data, as the columns of a score name them."""
        names = self.manifest.names
        keys = ("reference", "revision", "dataset", "data_revision", "split")
        return {name: names.get(key) for name, key in zip(NAMED, keys, strict=True)}

    @property
    def rows(self) -> int:
        """The number of pairs."""
        return int((self.record.get("figures") or {}).get("rows") or 0)

    @property
    def split(self) -> str:
        """The name of its split here: the source's, as far as that is a name."""
        name = str(self.record["names"].get("split") or "").partition("[")[0]
        plain = len(name) <= 60 and name.isascii() and name.replace("_", "").isalnum()
        return name if plain else "images"

    def context(self) -> dict[str, Any]:
        """The values that the template takes: numbers, and Markdown.

        Raises:
            RequestError: a record that lacks something, or holds something else.
        """
        try:
            return {**self._context(), **self._figures()}
        except RequestError:
            raise
        except _BROKEN as error:
            raise _broken(self.slug, error) from error

    def _context(self) -> dict[str, Any]:
        made, licence = self.manifest, self.record.get("licence")
        engine, names = made.identity["engine"], made.names
        complete = made.complete or {"num_samples": 0, "draws": 0}
        return {
            "slug": self.slug,
            "heading": code(self.slug),
            "split": self.split,
            "kind": kind_of(made.identity["canvas"]).name,
            "figure": self.picture,
            "without_images": bool(self.record.get("without_images")),
            "licence": prose(", ".join([licence] if isinstance(licence, str) else licence or [])),
            "hash": made.hash[:16],
            "reference": linked(names["reference"], names.get("revision"), "model"),
            "dataset": linked(names["dataset"], names.get("data_revision"), "dataset"),
            **{name: names.get(name) and code(names[name]) for name in ("layer", "config_name")},
            "source_split": names.get("split") and code(names["split"]),
            "revision": names.get("revision") and code(str(names["revision"])[:12]),
            "data_revision": names.get("data_revision") and code(str(names["data_revision"])[:12]),
            "num_samples": int(complete["num_samples"]),
            "draws": int(complete["draws"]),
            "canvas": _inputs(kind_of(made.identity["canvas"])),
            "method": code(RULES.text(RULES.build(engine["method"]))),
            "start": code(STARTS.text(STARTS.build(engine["start"]))),
            "constraint": code(CONSTRAINTS.text(CONSTRAINTS.build(engine["constraint"]))),
            "objective": _objective(engine, names),
            "steps": int(engine["steps"]),
            "tolerance": code(engine["tolerance"]),
            "seed": int(engine["seed"]),
            "exact": bool(engine.get("exact")),
            "size": size(self.size) if self.size else None,
            "cited": _cited(names),
            "notes": [prose(note) for note in names.get("notes") or [] if str(note).strip()],
        }

    def _figures(self) -> dict[str, Any]:
        """The errors of the inversions; nothing where they are not recorded."""
        figures = self.record.get("figures")
        if not figures:
            return {"error": None, "spread_error": None}
        spread = figures.get("spread_error")
        return {
            "error": {name: float(figures["relative_error"][name]) for name in ("median", "p95")},
            "spread_error": spread and {name: float(spread[name]) for name in ("median", "p95")},
            "converged": float(figures["converged"]),
        }


def _objective(engine: Mapping[str, Any], names: Mapping[str, Any]) -> str | None:
    """The objective with its further models by name; None for the usual one."""
    if "objective" not in engine:
        return None
    objective = OBJECTIVES.build(engine["objective"])
    models = names.get("objective")
    return code(OBJECTIVES.text(objective.of_networks(models) if models else objective))


def _inputs(kind: Kind) -> str:
    """A kind of input in words: its name, its shape and the texts of its spelling."""
    spelling = {**kind.spelling(), "kind": None}
    texts = [code(value) for value in spelling.values() if isinstance(value, str)]
    return " ".join([kind.name, "×".join(map(str, kind.shape)), *texts])


def _cited(names: Mapping[str, Any]) -> str:
    """The dataset and the reference, in characters that mean nothing to BibTeX."""
    text = f" of {names['dataset']} by {names['reference']}"
    return cut(re.sub(r"[^\w.@/# -]", "", printable(text)), LONGEST_NAME)


def _broken(slug: str, error: BaseException) -> RequestError:
    told = one_line(error)
    return RequestError(f"{slug}/{FILE_NAME} is broken: {type(error).__name__}: {told}")
