"""How an inversion is made: frozen, typed, validated where it is made."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from stir_hf.engine.constraints import CONSTRAINTS, Constraint
from stir_hf.engine.rules import RULES, Rule
from stir_hf.engine.starts import STARTS, Start
from stir_hf.engine.tolerance import Tolerance
from stir_hf.errors import RequestError, as_count, as_flag
from stir_hf.registry import option, spelt


@dataclass(frozen=True)
class InversionConfig:
    """How an inversion is made. Everything here is part of what a score means.

    Method, start and constraint are given by name, with options of their own
    (`adam-polyak:length=1`), or as parts; they are kept as parts. `steps` and `start` are the
    method's unless given.
    """

    method: Rule = option(
        "adam-polyak",
        "Update rule; paper is the original's; smooth finds other inversions, so other scores.",
        metavar="NAME",
        registry=RULES,
    )
    steps: int = option(
        None,
        "Most passes per image, one forward and one backward each; default: the method's.",
        metavar="N",
    )
    tolerance: float | str = option(
        0.02,
        "Relative error at or below which an image counts as converged, and at which its descent"
        " ends, but by paper; spread:X takes the error over the spread of the representations.",
        metavar="X",
    )
    start: Start = option(
        None,
        "Where the descent begins; default: noise, and grey for smooth.",
        metavar="NAME",
        registry=STARTS,
    )
    draws: int = option(
        1, "Inversions per image, each from a start of its own.", metavar="K", identifies=False
    )
    seed: int = option(
        0, "Seed of the starts, together with the image's index and the draw.", metavar="N"
    )
    exact: bool = option(
        False, "Keep the inverted images as float32 arrays, or as 8-bit PNG (default).", off="png"
    )
    constraint: Constraint = option(
        "box",
        "Where the inverted images may lie.",
        metavar="NAME",
        registry=CONSTRAINTS,
    )

    def __post_init__(self) -> None:
        self._keep("method", RULES.parse(self.method))
        start: Any = self.start
        self._keep("start", STARTS.parse(self.method.default_start if start is None else start))
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
        """The tolerance with what it is relative to."""
        return Tolerance.parse(self.tolerance)

    def _keep(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def spelling(self) -> dict[str, Any]:
        """What identifies the engine, for JSON: every field but `draws`, and but for those at
        their neutral value.
        """
        known = {f.name: f.metadata for f in fields(self)}
        return {
            name: known[name]["registry"].spelling(value) if "registry" in known[name] else value
            for name, value in spelt(self).items()
            if known[name].get("identifies", True)
        }

    @classmethod
    def from_spelling(cls, spelling: Mapping[str, Any]) -> "InversionConfig":
        """The configuration that was spelt, of one draw; what was left out takes its neutral value.

        What a later version added is passed over.

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
