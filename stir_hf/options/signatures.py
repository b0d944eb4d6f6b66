"""Options as typed keywords of Python: signatures and docstrings, and `keywords.py` for editors and
type checkers.
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from stir_hf.options.fields import Option, options_of
from stir_hf.options.verbs import (
    INVERTING,
    SECTIONS,
    VERBS,
    CompareOptions,
    Options,
    RunOptions,
)

Function = TypeVar("Function", bound=Callable[..., Any])
RAISES = "\n\nRaises:"
"""The part of a docstring before which the options are listed."""
HEADING = '''\
"""The keyword options of the verbs as types; `python -m stir_hf.options --keywords` writes it."""

import os
from collections.abc import Sequence
from typing import Literal, TypedDict

import torch

from stir_hf.engine.constraints.base import Constraint
from stir_hf.engine.objectives.base import Objective
from stir_hf.engine.rules.base import Rule
from stir_hf.engine.starts.base import Start
from stir_hf.similarity.measure import Measure


'''


def keywords(*verbs: type[Options]) -> Callable[[Function], Function]:
    """List the options of some verbs in a function's signature and docstring, as a decorator."""
    taken = {config for verb in verbs for config in verb.configs().values()}
    in_order = (config for configs in SECTIONS.values() for config in configs)
    options = list(options_of(*(config for config in in_order if config in taken)))

    def listed(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        kind = inspect.Parameter.KEYWORD_ONLY
        more = [
            inspect.Parameter(o.name, kind, default=o.default, annotation=o.annotation)
            for o in options
        ]
        about: Any = function
        about.__signature__ = signature.replace(parameters=[*own, *more])
        before, raises, after = inspect.cleandoc(function.__doc__ or "").partition(RAISES)
        entries = "".join(f"\n{entry}" for option in options for entry in _entry(option))
        about.__doc__ = f"{before}{entries}{raises}{after}"
        return function

    return listed


def _entry(option: Option) -> list[str]:
    """The lines of an option in the section Args of a docstring."""
    return textwrap.wrap(
        f"{option.name}: {option.text}",
        width=96,
        initial_indent="    ",
        subsequent_indent="        ",
        break_on_hyphens=False,
    )


def keywords_module() -> str:
    """Return the text of `keywords.py`: a typed dictionary for each dataclass in `verbs`, and one
    for `estimate`, which takes what any verb that inverts takes.
    """
    kinds = [kind for one in VERBS.values() for kind in reversed(one.__mro__)]
    classes = [_typed(kind) for kind in dict.fromkeys(kinds) if issubclass(kind, RunOptions)]
    inverting = dict.fromkeys(c for one in INVERTING.values() for c in one.configs().values())
    others = [c for c in inverting if c not in CompareOptions.configs().values()]
    classes.append(
        _class("Estimate", "CompareKeywords", "The options of `estimate`.", options_of(*others))
    )
    return HEADING + "\n\n".join(classes)


def _typed(kind: type[RunOptions]) -> str:
    """Return the text of the typed dictionary of a dataclass, with that of its base as its base."""
    inherited: Any = kind.__base__
    own = [c for field, c in kind.configs().items() if field not in inherited.configs()]
    base = "TypedDict" if kind is RunOptions else f"{_name(inherited)}Keywords"
    return _class(_name(kind), base, str(kind.__doc__), options_of(*own))


def _class(name: str, base: str, about: str, options: Iterable[Option]) -> str:
    lines = [f"class {name}Keywords({base}, total=False):", f'    """{about}"""', ""]
    lines += [f"    {o.name}: {_written(o.annotation)}" for o in options]
    return "\n".join([*lines, ""])


def _name(kind: type[Options]) -> str:
    return kind.__name__.removesuffix("Options")


def _written(kind: Any) -> str:
    """Return a type as source text, as `HEADING` names it."""
    if get_origin(kind) in (Union, UnionType):
        return " | ".join(map(_written, sorted(get_args(kind), key=lambda one: one is NoneType)))
    text = "None" if kind is NoneType else inspect.formatannotation(kind)
    return re.sub(r"\b(collections|stir_hf)[\w.]*\.", "", text).replace("'", '"')
