"""Options as typed keywords of Python: signatures and docstrings, and `keywords.py` for editors and
type checkers.
"""

import inspect
import re
import textwrap
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from stir_hf.options.fields import Option, options_of
from stir_hf.options.verbs import INVERTING, SECTIONS, VERBS, Options, PushOptions

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
from stir_hf.engine.rules.base import Rule
from stir_hf.engine.starts.base import Start
from stir_hf.similarity.measure import Measure


'''


def keywords(*verbs: type[Options]) -> Callable[[Function], Function]:
    """List the options of some verbs in a function's signature and docstring, as a decorator."""
    order = [config for configs in SECTIONS.values() for config in configs]
    own_configs = {config for verb in verbs for config in verb.configs().values()}
    configs = sorted(own_configs, key=order.index)
    options = list(options_of(*configs))

    def listed(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        more = [
            inspect.Parameter(
                o.name, inspect.Parameter.KEYWORD_ONLY, default=o.default, annotation=o.annotation
            )
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
    """Return the text of `keywords.py`: a typed dictionary for each dataclass and each verb."""
    verbs = {
        **{
            one.verb: list(one.configs().values())
            for one in VERBS.values()
            if one is not PushOptions
        },
        "estimate": [c for one in INVERTING.values() for c in one.configs().values()],
    }
    classes = [
        f"class {_name(config)}(TypedDict, total=False):\n"
        f'    """The options of `{config.__name__}`."""\n\n'
        + "".join(f"    {o.name}: {_written(o.annotation)}\n" for o in options_of(config))
        for config in dict.fromkeys(config for configs in verbs.values() for config in configs)
    ]
    classes += [
        f"class {verb.capitalize()}Keywords(\n"
        + "".join(f"    {_name(config)},\n" for config in dict.fromkeys(configs))
        + f'    total=False,\n):\n    """The keyword options of `{verb}`."""\n'
        for verb, configs in verbs.items()
    ]
    return HEADING + "\n\n".join(classes)


def _name(config: type[Any]) -> str:
    return f"{config.__name__.removesuffix('Config').removesuffix('Spec')}Keywords"


def _written(kind: Any) -> str:
    """Return a type as source text, as `HEADING` names it."""
    if get_origin(kind) in (Union, UnionType):
        return " | ".join(map(_written, sorted(get_args(kind), key=lambda one: one is NoneType)))
    text = "None" if kind is NoneType else inspect.formatannotation(kind)
    return re.sub(r"\b(collections|stir_hf)[\w.]*\.", "", text).replace("'", '"')
