"""The page of the documentation that lists every option and every part."""

import textwrap
from collections.abc import Iterator

from stir_hf.options.fields import Option, options_of
from stir_hf.options.verbs import SECTIONS, VERBS

HEADING = """\
# Options

The flags of the command line and the keywords of `stir_hf.compare`, `invert`, `score` and `matrix`,
each with the commands that take it. `python -m stir_hf.options` writes this page from the
dataclasses that the options configure.
"""


def page() -> str:
    """Return every option under its heading, and the parts that options name, as Markdown."""
    lines: list[str] = [HEADING]
    for title, configs in SECTIONS.items():
        lines += [f"## {title}", ""]
        for config in configs:
            verbs = [verb for verb, one in VERBS.items() if config in one.configs().values()]
            for option in options_of(config):
                lines += _items(option, verbs)
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _items(option: Option, verbs: list[str]) -> Iterator[str]:
    """An option, and below it the parts that it names, each with its own options."""
    flag = f"{option.flag}/--{option.off}" if option.off else option.flag
    default = "" if option.default in (None, ()) else f", default `{option.default}`"
    text = option.text if option.parts is None else option.help
    yield from _item(f"`{flag}`, `{option.name}` ({', '.join(verbs)}{default}): {text}", "")
    if option.parts is not None:
        for name in option.parts.names:
            yield from _item(f"`{name}`: {option.parts.describe(name)}.", "  ")


def _item(text: str, indent: str) -> list[str]:
    """A text as an item of a list, in lines of at most 100 columns."""
    return textwrap.wrap(
        text,
        width=100,
        initial_indent=f"{indent}- ",
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
