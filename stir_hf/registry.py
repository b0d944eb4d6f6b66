"""Named parts with options of their own: each is a frozen dataclass, and its fields give its
options, their help and its spelling.

A part is written `name` or `name:option=value,option=value`. What identifies an inversion is its
spelling: the name, the version and every option that is not at its neutral value, the value that
keeps the behaviour from before the option existed. So a default may change and an option may be
added, and what was made before keeps its identity.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_origin, get_type_hints

from stir_hf.errors import RequestError, closest

Part = TypeVar("Part")


class OptionError(RequestError):
    """The value of an option of a part has the wrong type."""


def option(
    default: Any,
    text: str,
    *,
    metavar: str | None = None,
    neutral: Any = dataclasses.MISSING,
    **more: Any,
) -> Any:
    """Return a dataclass field that is an option.

    Args:
        default: its default; for a required option, `dataclasses.MISSING`.
        text: one sentence of help.
        metavar: the placeholder in the help, such as `N`.
        neutral: the value at which it is left out of a spelling.
        more: further metadata, such as `registry`; `accepts`, a type that is taken as well; `rest`,
            for the one option of a part that is written without its name; `network`, for an option
            that is a model, given by its name or as an object.
    """
    metadata = {"help": text, "metavar": metavar, "neutral": neutral, **more}
    return dataclasses.field(default=default, metadata=metadata)


def spelt(part: Any) -> dict[str, Any]:
    """Return the fields of a dataclass of options that are not at their neutral value."""
    values = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
    neutral = {
        f.name: f.metadata.get("neutral", dataclasses.MISSING) for f in dataclasses.fields(part)
    }
    return {name: value for name, value in values.items() if value != neutral[name]}


@dataclass(frozen=True)
class _Entry(Generic[Part]):
    make: Callable[..., Part]
    version: int


class Registry(Generic[Part]):
    """The parts of one kind, by name.

    RULES: Registry[Rule] = Registry("method")

    @RULES.add("paper")
    @dataclass(frozen=True)
    class Paper: ...
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, _Entry[Part]] = {}
        self._also: dict[str, str] = {}

    def add(
        self, name: str, *, version: int = 1, also: str | None = None
    ) -> Callable[[type[Any]], type[Any]]:
        """Enter a frozen dataclass whose fields are its options, as a decorator.

        Args:
            name: lower-case letters, digits, - and _.
            version: rises when its numbers change beyond rounding.
            also: another name by which it is read.

        Raises:
            ValueError: a name that is taken by another class, or that cannot be written; raised
                when a class is decorated.
        """

        def enter(part: type[Any]) -> type[Any]:
            if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
                raise ValueError(
                    f"{self.kind} {name!r}: a name is lower-case letters, digits, - and _"
                )
            there = self._entries.get(name)
            if there is not None and _home(there.make) != _home(part):
                raise ValueError(f"{self.kind} {name!r} is taken by {there.make.__qualname__}")
            self._entries[name] = _Entry(part, version)
            if also is not None:
                self._also[also] = name
            return part

        return enter

    def remove(self, name: str) -> None:
        """Remove a part."""
        del self._entries[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts, in the order in which they were entered."""
        return tuple(self._entries)

    def describe(self, name: str) -> str:
        """Return the first line of a part's docstring, and its options with their defaults."""
        part: Any = self._entries[name].make
        text = " ".join((part.__doc__ or "").partition("\n\n")[0].split()).rstrip(".")
        options = [f"{f.name}={_written(f.default)}" for f in dataclasses.fields(part)]
        return text + (f" ({', '.join(options)})" if options else "")

    def parse(self, given: "str | Part") -> Part:
        """Return the part of a name with options; a part itself is checked.

        Raises:
            RequestError: an unknown name or option, or a value that the option does not take.
        """
        if not isinstance(given, str):
            name, names = self.name_of(given), dataclasses.fields(given)  # type: ignore[arg-type]
            return self._make(name, {f.name: getattr(given, f.name) for f in names})
        name, _, rest = given.partition(":")
        name = self._also.get(name, name)
        if (whole := self._rest(name)) is not None:
            return self._make(name, {whole: rest} if rest else {})
        options = [item.partition("=") for item in rest.split(",") if item]
        return self._make(name, {key.strip(): value.strip() for key, _, value in options})

    def _rest(self, name: str) -> str | None:
        """The option of a part that is written without its name, if it has one."""
        fields = dataclasses.fields(self._find(name).make)  # type: ignore[arg-type]
        return next((f.name for f in fields if f.metadata.get("rest")), None)

    def name_of(self, part: Part) -> str:
        """Return the name under which the class of a part was entered.

        Raises:
            RequestError: the class was not entered.
        """
        for name, entry in self._entries.items():
            if entry.make is type(part):
                return name
        raise RequestError(f"{self.kind} must be one of {', '.join(self.names)}, not {part!r}")

    def text(self, part: Part) -> str:
        """Return the text that `parse` reads: the name, and the options not at their defaults; a
        folder of this machine is left out.
        """
        given = [(f, getattr(part, f.name)) for f in dataclasses.fields(part)]  # type: ignore[arg-type]
        given = [pair for pair in given if not pair[0].metadata.get("rest")]
        options = [f"{f.name}={_written(value)}" for f, value in given if value != f.default]
        return self.name_of(part) + (f":{','.join(options)}" if options else "")

    def spelling(self, part: Part) -> dict[str, Any]:
        """Return the identity of a part: name, version, and options not at their neutral value."""
        name = self.name_of(part)
        return {"name": name, "version": self._entries[name].version, **spelt(part)}

    def build(self, spelling: Mapping[str, Any]) -> Part:
        """Return the part of a spelling; an option that was left out takes its neutral value.

        Raises:
            RequestError: an unknown name or option, or a version other than this package's.
        """
        options = {key: value for key, value in spelling.items() if key not in ("name", "version")}
        name = str(spelling["name"])
        entry = self._find(name)
        if spelling["version"] != entry.version:
            raise RequestError(
                f"{self.kind} {name!r} is of version {spelling['version']}; this stir-hf has"
                f" {entry.version}"
            )
        fields = dataclasses.fields(entry.make)  # type: ignore[arg-type]
        neutral = {f.name: f.metadata.get("neutral", dataclasses.MISSING) for f in fields}
        left_out = {
            key: value for key, value in neutral.items() if value is not dataclasses.MISSING
        }
        return self._make(name, {**left_out, **options})

    def _find(self, name: str) -> "_Entry[Part]":
        if name not in self._entries:
            raise RequestError(
                f"{self.kind} {name!r} is unknown; {closest(name, self._entries, shown=10)}"
            )
        return self._entries[name]

    def _make(self, name: str, options: dict[str, Any]) -> Part:
        make = self._find(name).make
        kinds = get_type_hints(make)
        fields = dataclasses.fields(make)  # type: ignore[arg-type]
        known = [f.name for f in fields]
        kinds |= {f.name: object for f in fields if f.metadata.get("network")}
        for f in fields:
            if f.default is dataclasses.MISSING and f.name not in options:
                raise RequestError(
                    f"{self.kind} {name!r} needs its option {f.name!r}: {name}:{f.name}=…"
                )
        for key in options:
            if key not in known:
                hint = closest(key, known) or "it has none"
                raise RequestError(f"{self.kind} {name!r} has no option {key!r}; {hint}")
        return make(
            **{key: self._value(name, key, value, kinds[key]) for key, value in options.items()}
        )

    def _value(self, name: str, key: str, value: Any, kind: type[Any]) -> Any:
        """Return a value in the type of its field; booleans are written true and false."""
        if kind is bool and isinstance(value, str):
            value = {"true": True, "false": False}.get(value.lower(), value)
        if get_origin(kind) is Literal:
            kind = str
        if kind is object:
            return value
        try:
            if kind is bool and not isinstance(value, bool):
                raise ValueError(value)
            return kind(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise OptionError(
                f"option {key!r} of {self.kind} {name!r} must be of type {kind.__name__}, not"
                f" {value!r}"
            ) from error


def _home(part: Any) -> tuple[str, str]:
    return part.__module__, part.__qualname__


def _written(value: Any) -> str:
    if value is dataclasses.MISSING:
        return "…"
    return str(value).lower() if isinstance(value, bool) else str(value)
