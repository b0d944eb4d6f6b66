"""The call of a network: the arguments that its forward takes, and its result with fields."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from torch import Tensor, nn

PIXELS = "pixel_values"
_REFUSED = "got an unexpected keyword argument '"


def runs_own_code(module: nn.Module) -> bool:
    """Return whether the forward is not one of `transformers`."""
    forward = getattr(type(module), "forward", None)  # a scripted module's class has none
    return not str(getattr(forward, "__module__", "")).startswith("transformers.")


@dataclass(frozen=True)
class Arguments:
    """The arguments that a forward takes."""

    names: tuple[str, ...]
    """Their names, in order."""
    images: str | None
    """The name of the images; None where they are given by position."""
    needed: tuple[str, ...]
    """The names of those that have no default."""
    others: bool
    """True where it takes any further one (`**kwargs`)."""
    refused: frozenset[str] = frozenset()
    """The names that it did not take when it was called."""

    @classmethod
    def of(cls, module: nn.Module) -> "Arguments":
        """Return those of a module's forward, as its signature has them."""
        try:
            parameters = list(inspect.signature(module.forward).parameters.values())
        except (TypeError, ValueError):  # a callable without a signature
            return cls((), PIXELS, (), others=True)
        single = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        names = tuple(p.name for p in single)
        images: str | None = PIXELS
        if single and PIXELS not in names:
            images = names[0] if single[0].kind == single[0].KEYWORD_ONLY else None
        needed = tuple(p.name for p in single if p.default is p.empty)
        return cls(names, images, needed, any(p.kind == p.VAR_KEYWORD for p in parameters))

    @property
    def needs_more(self) -> bool:
        """True where it needs another than its first."""
        return bool({*self.needed} - {*self.names[:1]})

    def takes(self, name: str) -> bool:
        """Return whether an argument may be given by this name."""
        return (name in self.names or self.others) and name not in self.refused

    def given(self, pixels: Tensor, more: Mapping[str, Any]) -> tuple[list[Tensor], dict[str, Any]]:
        """Return the arguments by position and by name: the images, and of the others those that
        it takes.
        """
        taken = {name: value for name, value in more.items() if self.takes(name)}
        if self.images is None or self.images in self.refused:
            return [pixels], taken
        return [], {self.images: pixels, **taken}

    def without(self, error: TypeError) -> "Arguments | None":
        """Return these but for the one for which a call was refused, as a forward that takes any
        argument may hand it on to one that does not; None where the call was refused otherwise.
        """
        _, found, rest = str(error).partition(_REFUSED)
        name = rest.partition("'")[0]
        return replace(self, refused=self.refused | {name}) if found and self.takes(name) else None


class Fields(dict[str, Any]):
    """A result whose entries are fields, as those of `transformers` are."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def with_fields(result: Any) -> Any:
    """Return a result of a user's own code with fields: of a mapping, a dataclass or a named tuple
    its entries; of another tuple whose first is a tensor (b, n), that as its logits.
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
    first = result[0] if isinstance(result, tuple) and result else None
    if isinstance(first, Tensor) and first.ndim == 2:
        return Fields(logits=first, others=result[1:])
    return result
