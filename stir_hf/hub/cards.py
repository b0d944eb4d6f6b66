"""Cards of repos."""

import re

_METADATA = re.compile(r"\s*---[ \t]*\r?\n")


def with_metadata(card: str) -> str:
    """A card as the client's classes read it without a warning: one that has no metadata begins
    with empty ones.
    """
    return card if _METADATA.match(card) else f"---\n{{}}\n---\n{card}"
