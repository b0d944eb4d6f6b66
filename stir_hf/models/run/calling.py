"""The call of a network: the arguments that its forward takes, and its result with fields."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from inspect import Parameter
from typing import Any

from torch import Tensor, nn

PIXELS = "pixel_values"
_REFUSED = "got an unexpected keyword argument '"


def runs_own_code(module: nn.Module) -> bool:
    """Return whether the forward is defined outside of `transformers`."""
    forward = getattr(type(module), "forward", None)  # a scripted module's class has none
    return not str(getattr(forward, "__module__", "")).startswith("transformers.")


@dataclass(frozen=True)
class Arguments:
    """The arguments that a forward takes."""

    names: tuple[str, ...]
    """Their names, in order."""
    main: str | None
    """The name of the inputs; None if they are passed by position."""
    needed: tuple[str, ...]
    """The names of arguments without a default."""
    others: bool
    """True if it takes arbitrary further ones (`**kwargs`)."""
    refused: frozenset[str] = frozenset()
    """The names that a call refused."""

    @classmethod
    def of(cls, module: nn.Module, usual: str = PIXELS) -> "Arguments":
        """The arguments of a module's forward; `usual` is the preferred name of the inputs."""
        try:
            parameters = list(inspect.signature(module.forward).parameters.values())
        except (TypeError, ValueError):  # a callable without a signature
            return cls((), usual, (), others=True)
        single = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        names = tuple(p.name for p in single)
        main: str | None = usual
        if parameters and usual not in names:
            by_name = parameters[0].kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD)
            main = next(iter(names), usual) if by_name else None
        needed = tuple(p.name for p in single if p.default is p.empty)
        return cls(names, main, needed, any(p.kind == p.VAR_KEYWORD for p in parameters))

    @property
    def needs_more(self) -> bool:
        """Return whether arguments other than the inputs are required."""
        return bool({*self.needed} - {self.main or next(iter(self.names), None)})

    def takes(self, name: str) -> bool:
        """Return whether an argument of this name is accepted."""
        return (name in self.names or self.others) and name not in self.refused

    def given(self, inputs: Tensor, more: Mapping[str, Any]) -> tuple[list[Tensor], dict[str, Any]]:
        """The arguments by position and by name: the inputs, and those of `more` that it takes."""
        taken = {name: value for name, value in more.items() if self.takes(name)}
        if self.main is None or self.main in self.refused:
            return [inputs], taken
        return [], {self.main: inputs, **taken}

    def without(self, error: Exception) -> "Arguments | None":
        """The arguments without the one that an error refuses, as a forward with `**kwargs` may
        pass it on to a function that does not take it. If the error names none, without all
        arguments that the signature does not name; None if there are no such arguments.
        """
        _, found, rest = str(error).partition(_REFUSED)
        name = rest.partition("'")[0]
        if found and self.takes(name):
            return replace(self, refused=self.refused | {name})
        return replace(self, others=False) if self.others else None


class Fields(dict[str, Any]):
    """A result with its entries as fields, like those of `transformers`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def with_fields(result: Any, classes: int | None = None) -> Any:
    """Return the result of a user's own code with fields: the entries of a mapping, a dataclass or
    a named tuple; or, for another tuple or a list, its only tensor (b, n) as the logits. Among
    several, that with as many columns as there are classes in the configuration is the logits.
    """
    from transformers.utils.generic import ModelOutput

    if isinstance(result, ModelOutput):
        return result
    if isinstance(result, Mapping):
        return Fields(result)
    if is_dataclass(result):
        return Fields({field.name: getattr(result, field.name) for field in fields(result)})
    if hasattr(result, "_asdict") and hasattr(result, "logits"):
        return Fields(result._asdict())
    items = result if isinstance(result, tuple | list) else ()
    vectors = [item for item in items if isinstance(item, Tensor) and item.ndim == 2]
    if len(vectors) > 1:
        vectors = [item for item in vectors if item.shape[1] == classes]
    return Fields(logits=vectors[0], others=items) if len(vectors) == 1 else result
