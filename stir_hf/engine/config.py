"""Options of an inversion."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from stir_hf.engine.constraints import CONSTRAINTS, Box, Constraint, Free
from stir_hf.engine.rules import RULES, Rule
from stir_hf.engine.starts import STARTS, Start
from stir_hf.engine.tolerance import Tolerance
from stir_hf.errors import RequestError, as_count, as_flag
from stir_hf.registry import option, spelt

if TYPE_CHECKING:
    from stir_hf.inputs.base import Kind


@dataclass(frozen=True)
class InversionConfig:
    """Options of an inversion. A score depends on all of them.

    Method, start and constraint are names, perhaps with options (`adam-polyak:length=1`), or
    objects; they are stored as objects. `steps` and `start` default to those of the method,
    `constraint` to that of the kind of input (`on`).
    """

    method: Rule = option(
        "adam-polyak",
        "Update rule. paper: the original algorithm. smooth: regularised; its scores are not"
        " comparable with the others.",
        metavar="NAME",
        registry=RULES,
    )
    steps: int = option(
        None,
        "Most passes per input, one forward and one backward each; default: the method's.",
        metavar="N",
    )
    tolerance: float | str = option(
        0.02,
        "An input with at most this relative error counts as converged and stops early (paper never"
        " stops early). spread:X: error over the spread of the representations.",
        metavar="X",
    )
    start: Start = option(
        None,
        "Start of the descent; default: noise, or grey for smooth.",
        metavar="NAME",
        registry=STARTS,
    )
    draws: int = option(
        1, "Inversions per input, each from another start.", metavar="K", identifies=False
    )
    seed: int = option(
        0, "Seed of the starts, used with the index of the input and the draw.", metavar="N"
    )
    exact: bool = option(
        False, "Store inversions as float32 arrays; default: images as 8-bit PNG files.", off="png"
    )
    constraint: Constraint | None = option(
        None,
        "Set in which inversions lie; default: box for images, none for vectors.",
        metavar="NAME",
        registry=CONSTRAINTS,
    )

    def __post_init__(self) -> None:
        self._keep("method", RULES.parse(self.method))
        start: Any = self.start
        self._keep("start", STARTS.parse(self.method.default_start if start is None else start))
        if self.constraint is not None:
            self._keep("constraint", CONSTRAINTS.parse(self.constraint))
        steps: Any = self.steps
        self._keep("steps", self.method.default_steps if steps is None else steps)
        for name, least in (("steps", 1), ("draws", 1), ("seed", 0)):
            self._keep(name, as_count(name, getattr(self, name), least))
        self._keep("tolerance", Tolerance.parse(self.tolerance).plain)
        self._keep("exact", as_flag("exact", self.exact))
        if self.draws > 1 and self.start.shared and not self.start.random:
            start = STARTS.text(self.start)
            raise RequestError(
                f"draws={self.draws} with start={start!r} repeats the same inversion; use draws=1"
            )

    @property
    def good_enough(self) -> Tolerance:
        """The tolerance, parsed."""
        return Tolerance.parse(self.tolerance)

    def on(self, kind: "Kind") -> "InversionConfig":
        """The options for inputs of a kind, with the default constraint filled in.

        Raises:
            RequestError: a box for inputs without bounds, or a method that filters along space for
                inputs without space.
        """
        if self.method.needs_space and not kind.space:
            raise RequestError(
                f"method {RULES.text(self.method)!r} filters along space, which {kind.name}s do not"
                " have; use adam-polyak"
            )
        if kind.bounds is None and isinstance(self.constraint, Box):
            raise RequestError(f"{kind.name}s have no bounds; use constraint=none, not a box")
        if self.constraint is not None:
            return self
        return replace(self, constraint=Free() if kind.bounds is None else Box(*kind.bounds))

    @property
    def bound_by(self) -> Constraint:
        """The constraint; requires options from `on`.

        Raises:
            ValueError: the kind of input is not known yet.
        """
        if self.constraint is None:
            raise ValueError("the constraint depends on the kind of input: call `on` first")
        return self.constraint

    def _keep(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def spelling(self) -> dict[str, Any]:
        """The identity of the inversion as JSON: every field except `draws` and those at their
        neutral value.
        """
        _ = self.bound_by
        known = {f.name: f.metadata for f in fields(self)}
        return {
            name: known[name]["registry"].spelling(value) if "registry" in known[name] else value
            for name, value in spelt(self).items()
            if known[name].get("identifies", True)
        }

    @classmethod
    def from_spelling(cls, spelling: Mapping[str, Any]) -> "InversionConfig":
        """Read a spelling, for one draw. A field that was left out takes its neutral value; fields
        of later versions are ignored.

        Raises:
            RequestError: a part or one of its options that this version does not have.
        """
        found = {}
        for field in fields(cls):
            if field.name in spelling:
                value, registry = spelling[field.name], field.metadata.get("registry")
                found[field.name] = value if registry is None else registry.build(value)
            elif field.metadata["neutral"] is not MISSING:
                found[field.name] = field.metadata["neutral"]
        return cls(**found)
