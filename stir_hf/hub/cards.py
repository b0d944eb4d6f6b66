"""Cards of repos."""

import re

_EMPTY = re.compile(r"\A\s*---[ \t]*\r?\n---[ \t]*(?:\r?\n|\Z)")


def with_metadata(card: str) -> str:
    """A card as the client's classes read it without a warning: one that has no metadata begins
    with empty ones.
    """
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    if REGEX_YAML_BLOCK.match(card):
        return card
    return f"---\n{{}}\n---\n{_EMPTY.sub('', card, count=1)}"
