"""Options of an inversion."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from stir_hf.engine.constraints import CONSTRAINTS, Box, Constraint, Free
from stir_hf.engine.domain import Domain
from stir_hf.engine.objectives import OBJECTIVES, Objective, RelativeError
from stir_hf.engine.plan import Plan, Represent
from stir_hf.engine.restarts import Restarts
from stir_hf.engine.rules import RULES, Rule
from stir_hf.engine.starts import STARTS, Start
from stir_hf.engine.tolerance import Tolerance
from stir_hf.errors import RequestError, as_count, as_flag, as_weight
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
        "Update rule. paper: the original algorithm. smooth, smooth-linear: regularised; their"
        " scores are not comparable with the others.",
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
        "Start of the descent, or given:FOLDER for starts of yours; default: noise, grey for smooth"
        " and metamer, other for smooth-linear.",
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
        "Set in which inversions lie, such as l2:radius=2; default: box for images, none for"
        " vectors.",
        metavar="NAME",
        registry=CONSTRAINTS,
    )
    objective: Objective = option(
        "relative_error",
        "What is minimised, such as controversial:model=ID. adam, paper and metamer take all.",
        metavar="NAME",
        registry=OBJECTIVES,
        neutral=RelativeError(),
    )
    restarts: int | str = option(
        None,
        "Starts per input, of which the best inversion is kept; stalled: a second one where the"
        " descent stalls. Default: stalled, 1 for paper and metamer.",
        metavar="K",
        neutral=1,
    )
    diverse: float = option(
        0.0,
        "Weight of the distance between the inversions of one input, with --draws.",
        metavar="W",
        neutral=0.0,
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
        self._keep("objective", OBJECTIVES.parse(self.objective))
        restarts: Any = self.restarts
        if restarts is None:
            varies = self.start.random and not self.start.shared
            restarts = self.method.default_restarts if varies else 1
        self._keep("restarts", Restarts.parse(restarts).plain)
        self._keep("diverse", as_weight("diverse", self.diverse))
        self._check_together()

    def _check_together(self) -> None:
        """Raise RequestError for options that contradict each other."""
        if not self.start.random:
            start = STARTS.text(self.start)
            for name, value in (("draws", self.draws), ("restarts", self.restarts)):
                if value != 1:
                    raise RequestError(
                        f"{name}={value} with start={start!r} repeats the same inversion; use"
                        f" {name}=1"
                    )
        known = self.objective.least_is_zero and not self.diverse
        if self.method.needs_least and not known:
            because = (
                f"diverse={self.diverse:g}"
                if self.diverse
                else f"objective {OBJECTIVES.text(self.objective)!r}"
            )
            raise RequestError(
                f"method {RULES.name_of(self.method)!r} needs an objective whose least value is"
                f" known to be 0, and that of {because} is not; use adam or paper"
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
        if self.diverse and self.draws == 1:
            raise RequestError(
                f"diverse={self.diverse:g} is a distance between draws; use draws=2 or more"
            )
        if self.method.needs_space and not kind.space:
            raise RequestError(
                f"method {RULES.text(self.method)!r} filters along space, which {kind.name}s do not"
                " have; use adam-polyak"
            )
        if self.objective.needs_space and not kind.space:
            raise RequestError(
                f"objective {OBJECTIVES.text(self.objective)!r} compares neighbours in space, which"
                f" {kind.name}s do not have; leave out tv and blur"
            )
        if (found := self.constraint) is not None and found.needs_space and not kind.space:
            raise RequestError(
                f"constraint {CONSTRAINTS.text(found)!r} has frequencies in space, which"
                f" {kind.name}s do not have; use none"
            )
        if found is not None and found.other_coordinates and self.method.needs_space:
            raise RequestError(
                f"method {RULES.text(self.method)!r} filters {kind.name}s, and constraint"
                f" {CONSTRAINTS.text(found)!r} has other unknowns; use adam-polyak"
            )
        if kind.bounds is None and isinstance(self.constraint, Box):
            raise RequestError(f"{kind.name}s have no bounds; use constraint=none, not a box")
        if self.constraint is not None:
            return self
        return replace(self, constraint=Free() if kind.bounds is None else Box(*kind.bounds))

    def domain(self, kind: "Kind") -> Domain:
        """The domain of a descent with inputs of a kind; requires options from `on`."""
        return Domain(self.bound_by, kind.space, kind.bounds)

    def plan(self, kind: "Kind", others: Sequence[Represent] = ()) -> Plan:
        """What a descent does with every input of a kind; `others` are the further models of the
        objective.
        """
        return Plan(
            self.method,
            self.domain(kind),
            self.steps,
            self.good_enough.value,
            self.objective,
            tuple(others),
            self.diverse,
            Restarts.parse(self.restarts),
        )

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


def named(config: InversionConfig, networks: Sequence[str] | None) -> InversionConfig:
    """The options with the names of the objective's further models in place of their hashes."""
    if not config.objective.networks or not networks:
        return config
    return replace(config, objective=config.objective.of_networks(networks))
