"""Cards of repos."""

import re
from typing import Any

import yaml  # type: ignore[import-untyped]  # has none

from stir_hf.errors import RequestError, one_line

_EMPTY = re.compile(r"\A\s*---[ \t]*\r?\n---[ \t]*(?:\r?\n|\Z)")


def read_card(repo_id: str, card: str) -> tuple[dict[str, Any], str]:
    """The metadata of a repo's card, and its text.

    Raises:
        RequestError: a card that cannot be read.
    """
    from huggingface_hub import repocard

    if not repocard.REGEX_YAML_BLOCK.match(card):  # of which the client warns
        card = f"---\n{{}}\n---\n{_EMPTY.sub('', card, count=1)}"
    try:
        found = repocard.RepoCard(card)
    except (TypeError, ValueError, yaml.YAMLError) as error:
        raise RequestError(f"the card of {repo_id} cannot be read: {one_line(error)}") from error
    return found.data.to_dict(), found.text  # type: ignore[no-untyped-call]  # has none
