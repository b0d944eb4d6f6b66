"""Options as typed keywords of Python: signatures and docstrings, and `keywords.py` for editors and
type checkers.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from stir_hf.options.fields import Option, options_of
from stir_hf.options.verbs import INVERTING, SECTIONS, VERBS, Options, PushOptions

Function = TypeVar("Function", bound=Callable[..., Any])
Import = tuple[str, str]
"""A module, and the name that is imported from it; without a name, the module itself."""
RAISES = "\n\nRaises:"
"""The part of a docstring before which the options are listed."""
HEADING = '''\
"""The keyword options of the verbs as types; `python -m stir_hf.options --keywords` writes it."""

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
    imports = {("typing", "TypedDict")}
    classes = [
        f"class {_name(config)}(TypedDict, total=False):\n"
        f'    """The options of `{config.__name__}`."""\n\n'
        + "".join(f"    {o.name}: {_written(o.annotation, imports)}\n" for o in options_of(config))
        for config in dict.fromkeys(config for configs in verbs.values() for config in configs)
    ]
    classes += [
        f"class {verb.capitalize()}Keywords(\n"
        + "".join(f"    {_name(config)},\n" for config in dict.fromkeys(configs))
        + f'    total=False,\n):\n    """The keyword options of `{verb}`."""\n'
        for verb, configs in verbs.items()
    ]
    return HEADING + "\n".join(_statements(imports)) + "\n\n\n" + "\n\n".join(classes)


def _name(config: type[Any]) -> str:
    return f"{config.__name__.removesuffix('Config').removesuffix('Spec')}Keywords"


def _statements(imports: set[Import]) -> Iterator[str]:
    """The statements of some imports in groups: the standard library, torch, this package."""
    for group, known in enumerate((sys.stdlib_module_names - {"builtins"}, {"torch"}, {"stir_hf"})):
        found = {one for one in imports if one[0].partition(".")[0] in known}
        if found and group:
            yield ""
        yield from sorted(f"import {module}" for module, name in found if not name)
        for module in sorted({module for module, name in found if name}):
            yield f"from {module} import {', '.join(sorted(n for m, n in found if m == module))}"


def _written(kind: Any, imports: set[Import]) -> str:
    """Return a type as source text; what it needs goes into `imports`."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        imports.add(("typing", "Literal"))
        return "Literal[" + ", ".join(f'"{arg}"' for arg in args) + "]"
    inner = [_written(arg, imports) for arg in args if arg is not type(None)]
    if origin in (Union, UnionType):
        return " | ".join([*inner, *(["None"] if type(None) in args else [])])
    if origin is not None:
        return f"{_written(origin, imports)}[{', '.join(inner)}]"
    if kind.__module__.startswith(("builtins", "stir_hf.", "collections.")):
        imports.add((kind.__module__, kind.__name__))
        return str(kind.__name__)
    imports.add((kind.__module__, ""))
    return f"{kind.__module__}.{kind.__name__}"
