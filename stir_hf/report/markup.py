"""Escaping of foreign text in Markdown: nothing in it becomes Markdown, HTML or a link."""

import re

from stir_hf.errors import cut, printable

LONGEST_NAME, _LONGEST_LINK, _LONGEST = 200, 48, 1000
_WORD = re.compile(r"\(?(?:[^\W_]|(?<=\d)\.(?=\d)|(?<!^)[-'’,])+[.,;:?%)]*")
_ORDINAL = re.compile(r"\d+[.)]+")
_REPO = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9](?:[\w.-]*\w)?/[A-Za-z0-9](?:[\w.-]*\w)?", re.A)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def code(text: object, longest: int = LONGEST_NAME) -> str:
    """Return a text as one line of code, cut to `longest` characters. Every renderer shows it
    unchanged, except for a bar, which would end the cell of a table. None is a dash.
    """
    line = cut("" if text is None else printable(text).strip().replace("|", "¦"), longest)
    if not line:
        return "–"
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}"


def prose(text: object) -> str:
    """Return a sentence: plain words unchanged, the others as code; at most 1000 characters."""
    return " ".join(
        word if _WORD.fullmatch(word) and not _ORDINAL.fullmatch(word) else code(word)
        for word in cut(printable(text), _LONGEST).split()
    )


def is_repo(name: str) -> bool:
    """Tell whether a text has the form of a repo id, `NAMESPACE/NAME`."""
    return len(name) <= 96 and _REPO.fullmatch(name) is not None


def linked(name: object, commit: object, kind: str) -> str:
    """Return a name on the Hub (`id`, `id@revision`) as a link to its commit, and every other name
    as code; `kind` is `model` or `dataset`.
    """
    repo_id = str(name).partition("@")[0]
    if not isinstance(commit, str) or not is_repo(repo_id):
        return code(name, _LONGEST_LINK)
    folder = "datasets/" if kind == "dataset" else ""
    at = f"/tree/{commit}" if _COMMIT.fullmatch(commit) else ""
    shown = repo_id.replace("_", "\\_")
    return f"[{shown}](https://huggingface.co/{folder}{repo_id}{at})"
