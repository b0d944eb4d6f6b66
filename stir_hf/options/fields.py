"""The options of a dataclass: its fields that have a help text."""

from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, get_args, get_type_hints

from stir_hf.registry import Registry


@dataclass(frozen=True)
class Option:
    """One option."""

    name: str
    annotation: Any
    """The type of what a caller may give."""
    default: Any
    help: str
    metavar: str | None
    off: str | None
    """The flag that turns a switch off."""
    many: bool
    parts: Registry[Any] | None
    """The registry of an option whose values are parts with options of their own."""

    @property
    def flag(self) -> str:
        """The option as it is written on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def kind(self) -> Any:
        """The type that a command line gives: int, float, bool, str, or a number or a text."""
        given = set(get_args(self.annotation) or (self.annotation,))
        if {float, str} <= given:
            return _number_or_text
        if {int, str} <= given:
            return _whole_or_text
        return next((kind for kind in (bool, int, float) if kind in given), str)

    @property
    def text(self) -> str:
        """The help, with the names of the parts that can be given."""
        if self.parts is None:
            return self.help
        default = "" if self.default is None else f"; default: {self.default}"
        return f"{self.help} One of {', '.join(self.parts.names)}{default}."

    def written(self, value: Any) -> Any:
        """A value as a command line gives it: a part by its name and options."""
        if self.parts is None or value is None or isinstance(value, str):
            return value
        if self.many:
            several = [self.parts.text(one) for one in value]
            return several[0] if len(several) == 1 else several
        return self.parts.text(value)


def options_of(*configs: type[Any]) -> Iterator[Option]:
    """Return the options of some dataclasses, in their order."""
    for config in configs:
        kinds = get_type_hints(config)
        for f in fields(config):
            if "help" in f.metadata:
                yield _option(f, kinds[f.name])


def _option(field: "Field[Any]", kind: Any) -> Option:
    about = field.metadata
    default = None if field.default is MISSING else field.default
    many, parts = bool(about.get("many")), about.get("registry")
    accepted = str | Sequence[str] if many else kind
    if parts is not None:
        accepted = str | Sequence[str] if many else str | kind
    if "accepts" in about:
        accepted |= about["accepts"]
    if default is None and type(None) not in get_args(accepted):
        accepted |= None
    return Option(
        field.name,
        accepted,
        default,
        about["help"],
        about.get("metavar"),
        about.get("off"),
        many,
        parts,
    )


def _whole_or_text(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
