"""The signatures in docs/python.md: `python -m tests.signatures` writes them."""

import inspect
import re
import textwrap
from typing import Any

import stir_hf
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "python.md"
MARKS = re.compile(r"(<!-- signatures -->\n```text\n).*?(```\n)", re.DOTALL)
NAMES = (
    "invert",
    "score",
    "compare",
    "matrix",
    "estimate",
    "invert_representations",
    "load_encoder",
)


def signature(name: str) -> str:
    """A function with its arguments and their defaults, in lines of at most 100 columns."""
    function: Any = getattr(stir_hf, name)
    words, keyword = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword:
            words.append("*")
            keyword = True
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        words.append(f"{parameter.name}{default}")
    indent, text = " " * (len(name) + 1), f"{name}({', '.join(words)})"
    return "\n".join(textwrap.wrap(text, 100, subsequent_indent=indent, break_on_hyphens=False))


def written(page: str) -> str:
    """The page with the signatures of today."""
    block = "\n\n".join(map(signature, NAMES)) + "\n"
    return MARKS.sub(lambda found: found[1] + block + found[2], page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
