"""Options on the command line: their flags, and the command that repeats a run."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import click

from stir_hf.options.fields import options_of
from stir_hf.options.verbs import VERBS


def click_parameters(verb: str) -> list[click.Parameter]:
    """Return all options of a verb for the command line; None is the value of one not given."""
    found: list[click.Parameter] = []
    for each in options_of(*VERBS[verb].configs().values()):
        more: dict[str, Any] = {"default": None, "help": each.text}
        if each.kind is bool:
            more["is_flag"] = True
        else:
            more |= {"type": each.kind, "metavar": each.metavar, "multiple": each.many}
        names = f"{each.flag}/--{each.off}" if each.off else each.flag
        found.append(click.Option([names, each.name], **more))
    return found


def command(verb: str, arguments: Sequence[str], options: Mapping[str, Any]) -> str:
    """Return the command line that asks for the same, as one line for a POSIX shell; options at
    their default are left out.
    """
    words = ["stir-hf", verb, *map(str, arguments)]
    known = {o.name: o for o in options_of(*VERBS[verb].configs().values())}
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
