"""The options of each verb: a frozen dataclass of the dataclasses that they configure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, get_type_hints

from stir_hf.data.sets.choice import SetConfig
from stir_hf.data.sets.folder import OutputConfig
from stir_hf.data.sets.parts import PartConfig
from stir_hf.data.sources.spec import DataSpec
from stir_hf.engine import InversionConfig
from stir_hf.errors import RequestError, closest
from stir_hf.models.load.spec import LayerConfig, LoadConfig, check_layer
from stir_hf.options.fields import options_of
from stir_hf.publish.config import PublishConfig, ShareConfig
from stir_hf.registry import option
from stir_hf.runtime import ProcessConfig, RunConfig
from stir_hf.scoring import JudgeConfig

ELSEWHERE = {
    "revision": "revision= names neither the models nor the data here; write id@revision for any of"
    " them",
    "processor": "processor= belongs to one of the models; give that one as load_encoder(model,"
    " processor=…)",
    "config_name": "config_name is a configuration of a dataset; choose one"
    " inversion set of several with set (--set)",
}
"""Hints at options that a verb does not take and that have a place of their own."""


@dataclass(frozen=True)
class PairConfig:
    """The layer of the second of two models."""

    reference_layer: str | None = option(
        None, "Layer of the reference, as --layer.", metavar="NAME"
    )

    def __post_init__(self) -> None:
        check_layer("reference_layer", self.reference_layer)


@dataclass(frozen=True)
class Options:
    """The options of a verb."""

    verb: ClassVar[str]

    @classmethod
    def configs(cls) -> dict[str, type[Any]]:
        """Return the dataclass of each field."""
        kinds = get_type_hints(cls)
        return {f.name: kinds[f.name] for f in fields(cls)}

    @classmethod
    def of(cls, given: Mapping[str, object], **fixed: Mapping[str, Any]) -> Self:
        """Sort keyword options into the dataclasses that they configure; `fixed` are values that
        are no options, by the field that takes them.

        Raises:
            RequestError: an unknown option, or a value that its dataclass does not take.
        """
        names = {
            field: [o.name for o in options_of(config)] for field, config in cls.configs().items()
        }
        known = {name: None for some in names.values() for name in some}
        for name in given:
            if name not in known:
                hint = f"unknown option {name!r}; {closest(name, known)}"
                raise RequestError(ELSEWHERE.get(name, hint))
        return cls(
            **{
                field: config(
                    **fixed.get(field, {}), **{n: given[n] for n in names[field] if n in given}
                )
                for field, config in cls.configs().items()
            }
        )


@dataclass(frozen=True)
class RunOptions(Options):
    """The options of every verb that runs networks."""

    load: LoadConfig
    run: RunConfig
    processes: ProcessConfig
    output: OutputConfig
    publish: PublishConfig
    layer: LayerConfig

    def layers(self, count: int) -> list[str | None]:
        """Return the layer that is read in each of `count` models."""
        return [self.layer.layer] * count


@dataclass(frozen=True)
class InversionOptions(RunOptions):
    """The options of every verb that makes inversions."""

    data: DataSpec
    inversion: InversionConfig

    @property
    def judging(self) -> JudgeConfig:
        """The measure that the inversions must be enough for."""
        return JudgeConfig()


@dataclass(frozen=True)
class InvertOptions(InversionOptions):
    """The options of `invert`."""

    verb = "invert"
    part: PartConfig


@dataclass(frozen=True)
class MatrixOptions(InversionOptions):
    """The options of `matrix`."""

    verb = "matrix"
    judge: JudgeConfig

    @property
    def judging(self) -> JudgeConfig:
        """The measure of the scores."""
        return self.judge


@dataclass(frozen=True)
class CompareOptions(MatrixOptions):
    """The options of `compare`."""

    verb = "compare"
    pair: PairConfig

    def layers(self, count: int) -> list[str | None]:
        """Return the layer of the model and that of the reference."""
        return [*super().layers(count - 1), self.pair.reference_layer]


@dataclass(frozen=True)
class ScoreOptions(RunOptions):
    """The options of `score`."""

    verb = "score"
    sets: SetConfig
    judge: JudgeConfig


@dataclass(frozen=True)
class PushOptions(Options):
    """The options of `push`."""

    verb = "push"
    share: ShareConfig


VERBS: dict[str, type[Options]] = {
    options.verb: options
    for options in (CompareOptions, InvertOptions, ScoreOptions, MatrixOptions, PushOptions)
}
"""The options of each verb, by its name."""

INVERTING: dict[str, type[InversionOptions]] = {
    options.verb: options for options in (CompareOptions, InvertOptions, MatrixOptions)
}
"""The options of the verbs that make inversions, by name."""

SECTIONS: dict[str, tuple[type[Any], ...]] = {
    "Data": (DataSpec, PartConfig, SetConfig),
    "Layers and measure": (LayerConfig, PairConfig, JudgeConfig),
    "Inversion": (InversionConfig,),
    "Running": (LoadConfig, RunConfig, ProcessConfig),
    "Results": (OutputConfig,),
    "Publishing, with --push-to": (PublishConfig,),
}
"""The headings of the help, and the dataclasses whose options stand under each."""


def sections(verb: str) -> dict[str, list[str]]:
    """Return the names of a verb's options by the heading under which the help shows them."""
    configs = VERBS[verb].configs().values()
    found = {
        title: [o.name for o in options_of(*(one for one in some if one in configs))]
        for title, some in SECTIONS.items()
    }
    return {title: names for title, names in found.items() if names}
