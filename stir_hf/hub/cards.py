"""Cards of repos."""

import re

_EMPTY = re.compile(r"\A\s*---[ \t]*\r?\n---[ \t]*(?:\r?\n|\Z)")


def with_metadata(card: str) -> str:
    """Return a card that the client reads without a warning, with empty metadata if it has none."""
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    if REGEX_YAML_BLOCK.match(card):
        return card
    return f"---\n{{}}\n---\n{_EMPTY.sub('', card, count=1)}"
