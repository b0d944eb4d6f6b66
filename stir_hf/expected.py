"""Schemas of JSON data, which may be a stranger's: types and ranges, and the fault of a value."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from stir_hf.errors import cut

_LONGEST = 4096
"""Characters of a text."""


class Expected(Protocol):
    """A kind of value."""

    def fault(self, value: Any, where: str) -> str | None:
        """Say what is wrong with a value; None where nothing is."""


@dataclass(frozen=True)
class Whole:
    """A whole number in a range."""

    least: int
    most: int

    def fault(self, value: Any, where: str) -> str | None:
        """As `Expected.fault`."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and self.least <= value <= self.most:
            return None
        return f"{where} must be a whole number from {self.least} to {self.most:g}{got(value)}"


@dataclass(frozen=True)
class Real:
    """A number above 0, or any; those of a probe need not be finite."""

    positive: bool = False
    finite: bool = True

    def fault(self, value: Any, where: str) -> str | None:
        """As `Expected.fault`."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        finite = number and (not self.finite or abs(value) <= sys.float_info.max)
        if finite and (value > 0 or not self.positive):
            return None
        kind = "positive number" if self.positive else "number"
        return f"{where} must be a {kind}{got(value)}"


@dataclass(frozen=True)
class Text:
    """A text, or one of some."""

    choices: tuple[str, ...] = ()

    def fault(self, value: Any, where: str) -> str | None:
        """As `Expected.fault`."""
        text = isinstance(value, str) and len(value) <= _LONGEST
        if text and (not self.choices or value in self.choices):
            return None
        expected = f"one of {', '.join(self.choices)}" if self.choices else "a text"
        return f"{where} must be {expected}{got(value)}"


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def fault(self, value: Any, where: str) -> str | None:
        """As `Expected.fault`."""
        return None if isinstance(value, bool) else f"{where} must be true or false{got(value)}"


@dataclass(frozen=True)
class Maybe:
    """Something, or null."""

    inner: Expected

    def fault(self, value: Any, where: str) -> str | None:
        """As `Expected.fault`."""
        return None if value is None else self.inner.fault(value, where)


@dataclass(frozen=True)
class ListOf:
    """A list of equal kinds, of some length at most."""

    inner: Expected
    most: int
    least: int = 0

    def fault(self, value: Any, where: str) -> str | None:
        """As `Expected.fault`."""
        if not isinstance(value, list | tuple) or not self.least <= len(value) <= self.most:
            return f"{where} must be a list of {self.least} to {self.most} values{got(value)}"
        faults = (self.inner.fault(one, f"{where}[{i}]") for i, one in enumerate(value))
        return next(filter(None, faults), None)


@dataclass(frozen=True)
class MapOf:
    """Names of any kind, each with a value of the same one; None: of any."""

    inner: Expected | None = None

    def fault(self, value: Any, where: str) -> str | None:
        """As `Expected.fault`."""
        if not isinstance(value, dict):
            return f"{where} must be an object{got(value)}"
        if self.inner is None:
            return None
        faults = (self.inner.fault(one, f"{where}.{name}") for name, one in value.items())
        return next(filter(None, faults), None)


@dataclass(frozen=True)
class Record:
    """Names and the kind of each; those with `?` may be absent, and others are passed over."""

    kinds: Mapping[str, Expected]

    def fault(self, value: Any, where: str) -> str | None:
        """As `Expected.fault`."""
        if not isinstance(value, dict):
            return f"{where} must be an object{got(value)}"
        for name, kind in self.kinds.items():
            key, inside = name.removesuffix("?"), f"{where}.{name.removesuffix('?')}".lstrip(".")
            if key in value:
                if (found := kind.fault(value[key], inside)) is not None:
                    return found
            elif key == name:
                return f"{inside} is missing"
        return None


def got(value: Any) -> str:
    """The end of a message: the value that was found."""
    text = repr(value) if isinstance(value, str | float | bool | None) else type(value).__name__
    if isinstance(value, int) and not isinstance(value, bool):
        text = str(value) if abs(value) < 10**18 else "a larger one"
    return f", not {cut(text, 60)}"
