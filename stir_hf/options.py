"""Keyword and command-line options, written once: as fields of the dataclasses that they configure.

From those fields and the registries come the flags with their help, the hints at what was meant,
the command that repeats a run, and the table of options in the documentation (`python -m
stir_hf.options` prints it).
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, get_args, get_origin, get_type_hints

import click

from stir_hf.data.identity import hash_of
from stir_hf.data.sets.choice import SetConfig
from stir_hf.data.sets.folder import OutputConfig
from stir_hf.data.sets.manifest import Manifest
from stir_hf.data.sets.parts import PartConfig
from stir_hf.data.sources.spec import DataSpec
from stir_hf.engine import InversionConfig
from stir_hf.errors import RequestError, closest
from stir_hf.models import Opened
from stir_hf.models.load.spec import LayerConfig, LoadConfig, check_layer
from stir_hf.publish.config import PublishConfig, ShareConfig
from stir_hf.registry import Registry, option
from stir_hf.runtime import ProcessConfig, RunConfig
from stir_hf.scoring import JudgeConfig
from stir_hf.similarity import MEASURES


@dataclass(frozen=True)
class PairConfig:
    """What belongs to one of two models."""

    reference_layer: str | None = option(
        None, "Layer of the reference, as --layer.", metavar="NAME"
    )

    def __post_init__(self) -> None:
        check_layer("reference_layer", self.reference_layer)


_WORK = (LoadConfig, RunConfig, ProcessConfig)
_KEPT = (OutputConfig, PublishConfig)
SPECS: dict[str, tuple[type[Any], ...]] = {
    "compare": (LayerConfig, PairConfig, DataSpec, InversionConfig, *_WORK, JudgeConfig, *_KEPT),
    "invert": (LayerConfig, DataSpec, PartConfig, InversionConfig, *_WORK, *_KEPT),
    "score": (LayerConfig, SetConfig, *_WORK, JudgeConfig, *_KEPT),
    "matrix": (LayerConfig, DataSpec, InversionConfig, *_WORK, JudgeConfig, *_KEPT),
    "push": (ShareConfig,),
}
"""What each verb is configured by."""

SECTIONS: dict[str, tuple[type[Any], ...]] = {
    "Data": (DataSpec, PartConfig, SetConfig),
    "Layers and measure": (LayerConfig, PairConfig, JudgeConfig),
    "Inversion": (InversionConfig,),
    "Running": (LoadConfig, RunConfig, ProcessConfig),
    "Results": (OutputConfig,),
    "Publishing, with --push-to": (PublishConfig,),
}
"""The headings of the help, and what is under each."""

_IN_PYTHON = ("given",)
"""Parts that a command line cannot ask for, as they take tensors."""

_UNRECORDED = (LayerConfig, PairConfig, ProcessConfig, OutputConfig, PublishConfig)
"""What a result records elsewhere, or not."""


@dataclass(frozen=True)
class Option:
    """One option, as its field has it."""

    name: str
    kind: Any
    """The type of its value, or what makes one of a text."""
    default: Any
    help: str
    metavar: str | None
    off: str | None
    """Of a switch: the flag that turns it off."""
    many: bool
    parts: Registry[Any] | None
    """Of an option that is a part with options of its own: what there is."""

    @property
    def flag(self) -> str:
        """How it is written on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def text(self) -> str:
        """Its help, with the names of the parts that can be given."""
        if self.parts is None:
            return self.help
        default = "" if self.default is None else f"; default: {self.default}"
        names = (name for name in self.parts.names if name not in _IN_PYTHON)
        return f"{self.help} {', '.join(names)}{default}."

    def written(self, value: Any) -> Any:
        """A value as it is given: of a part, its name and options."""
        if self.parts is None or value is None or isinstance(value, str):
            return value
        return self.parts.text(value)


def options_of(*specs: type[Any]) -> Iterator[Option]:
    """The options of some dataclasses: their fields that have a help text."""
    for spec in specs:
        kinds = get_type_hints(spec)
        for f in fields(spec):
            about = f.metadata
            if "help" in about:
                default = None if f.default is MISSING else f.default
                yield Option(
                    f.name,
                    _plain(kinds[f.name]),
                    default,
                    about["help"],
                    about.get("metavar"),
                    about.get("off"),
                    bool(about.get("many")),
                    about.get("registry"),
                )


def _plain(kind: Any) -> Any:
    """int, float, bool or str of an annotation such as `int | None`; for a number or a text, what
    tells them apart.
    """
    if {float, str} <= set(get_args(kind)):
        return _number_or_text
    kinds = [k for k in (get_args(kind) or (kind,)) if k in (int, float, bool)]
    if get_origin(kind) is None and kind in (int, float, bool):
        return kind
    return kinds[0] if kinds else str


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def sorted_into(
    given: Mapping[str, Any], verb: str, filled: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Any, ...]:
    """Keyword options sorted into the dataclasses that a verb is configured by, in their order.

    Args:
        given: the options.
        verb: `compare`, `invert`, `score` or `matrix`.
        filled: fields that are no options, by the name of their dataclass.

    Raises:
        RequestError: an unknown option, or a value that its dataclass does not take.
    """
    specs = SPECS[verb]
    known = {o.name: None for o in options_of(*specs)}
    for name in given:
        if name == "revision":
            raise RequestError(
                "revision= names neither the models nor the data here; write id@revision for any"
                " of them"
            )
        if name == "processor":
            raise RequestError(
                "processor= belongs to one of the models; give that one as"
                " load_encoder(model, processor=…)"
            )
        if name not in known:
            raise RequestError(f"unknown option {name!r}; {closest(name, known)}")
    return tuple(
        spec(
            **(filled or {}).get(spec.__name__, {}),
            **{
                f.name: given[f.name]
                for f in fields(spec)
                if f.name in given and "help" in f.metadata
            },
        )
        for spec in specs
    )


def asked_for(
    verb: str, networks: Sequence[Opened], sets: Sequence[Manifest], configured: Sequence[Any]
) -> dict[str, Any]:
    """What a result records of its request: names, revisions resolved to commits, every option,
    and a hash.

    Equal hashes, the same run: the verb, the networks, the inversion sets and the measure, but not
    how many images.
    """
    found: dict[str, Any] = {"command": verb}
    found["models"] = [
        {
            "model": n.label,
            "revision": n.encoder.commit,
            "layer": n.encoder.layer,
            "dtype": n.identity["precision"]["dtype"],
            "processor_class": n.encoder.preprocessing.processor,
        }
        for n in networks
    ]
    found["data"] = [
        {**s.names, "engine": s.identity["engine"], "hash": s.hash[:16]}
        for s in {s.hash: s for s in sets}.values()
    ]
    for config in configured:
        if not isinstance(config, _UNRECORDED):
            found |= {o.name: o.written(getattr(config, o.name)) for o in options_of(type(config))}
    found["inversion_sets"] = [s.hash[:16] for s in sets]
    same = [
        verb,
        [hash_of(n.identity) for n in networks],
        [s.hash for s in sets],
        [MEASURES.spelling(c.measure) for c in configured if isinstance(c, JudgeConfig)],
    ]
    return {**found, "hash": hash_of(same)[:16]}


def click_parameters(
    verb: str, changed: Mapping[str, Mapping[str, Any]] | None = None
) -> list[click.Parameter]:
    """All options of a verb for the command line; None stands for what was not given.

    Args:
        verb: the verb.
        changed: further arguments of `click.Option`, by the option's name.
    """
    found: list[click.Parameter] = []
    for each in options_of(*SPECS[verb]):
        more: dict[str, Any] = {"default": None, "help": each.text}
        if each.kind is bool:
            more["is_flag"] = True
        else:
            more |= {"type": each.kind, "metavar": each.metavar, "multiple": each.many}
        more |= (changed or {}).get(each.name, {})
        names = f"{each.flag}/--{each.off}" if each.off else each.flag
        found.append(click.Option([names, each.name], **more))
    return found


def sections(verb: str) -> dict[str, list[str]]:
    """The options of a verb by the heading under which the help shows them."""
    found = {
        title: [o.name for o in options_of(*(spec for spec in SPECS[verb] if spec in specs))]
        for title, specs in SECTIONS.items()
    }
    return {title: names for title, names in found.items() if names}


def command(verb: str, arguments: Sequence[str], options: Mapping[str, Any]) -> str:
    """The command line that asks for the same, as one line for a POSIX shell; options at their
    default are left out.
    """
    words = ["stir-hf", verb, *map(str, arguments)]
    known = {o.name: o for o in options_of(*SPECS[verb])}
    for name, value in options.items():
        each = known.get(name)
        if each is None:
            words += [f"--{name.replace('_', '-')}", str(value)]
        elif value is None or value in (each.default, ()):
            continue
        elif each.kind is bool:
            words += [each.flag] if value else [f"--{each.off}"] if each.off else []
        else:
            values = value if each.many and not isinstance(value, str) else [value]
            words += [word for one in values for word in (each.flag, str(each.written(one)))]
    return shlex.join(words)


def table() -> str:
    """Every option and every part, as Markdown."""
    lines = ["| flag, keyword | commands | default | what it is |", "|---|---|---|---|"]
    verbs: dict[tuple[str, str], list[str]] = {}
    found: dict[tuple[str, str], Option] = {}
    for verb, specs in SPECS.items():
        for each in options_of(*specs):
            key = each.name, each.help
            verbs.setdefault(key, []).append(verb)
            found[key] = each
    for key, each in found.items():
        flag = f"{each.flag}/--{each.off}" if each.off else each.flag
        default = "" if each.default in (None, ()) else f"`{each.default}`"
        lines.append(
            f"| `{flag}`, `{each.name}` | {', '.join(verbs[key])} | {default} | {each.text} |"
        )
    for each in found.values():
        if each.parts is not None:
            lines += ["", f"`{each.name}` is one of:", "", *_described(each.parts)]
    return "\n".join(lines) + "\n"


def _described(parts: Registry[Any]) -> Iterable[str]:
    for name in parts.names:
        where = " From Python alone." if name in _IN_PYTHON else ""
        yield f"- `{name}`: {parts.describe(name)}.{where}"


if __name__ == "__main__":
    click.echo(table(), nl=False)
