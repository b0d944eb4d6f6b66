"""Texts for visitors, without the paths of the page's machine."""

import re
from pathlib import PurePosixPath
from typing import Any

from stir_hf.demo import HERE, IMAGES, MODELS
from stir_hf.space.asked import EMBEDDED

_WHERE = re.compile(
    r"(?P<url>\b(?!file:)[A-Za-z][\w+.-]*://(?:(?!::)[^\s'\"<>])*)"
    r"|(?<![\w.~<@\\])(?:file:/*)?(?P<path>/[^\s'\"`<>|;,:()\[\]{}]*[^\s'\"`<>|;,:()\[\]{}.])"
)
"""An address, which stays as it is, or an absolute path."""
_CACHED = re.compile(
    r"/(?:model|dataset|space)s--(?P<id>[^/]+)(?:/(?:snapshots|blobs)/[^/]+(?P<inside>/.*)?)?"
)
"""The place of a repo, or of its files, in the cache of the Hub."""


def public(message: Any) -> Any:
    """Return a message with all its texts as `without_paths` gives them; pictures stay."""
    if isinstance(message, str):
        return message if message.startswith("data:") else without_paths(message)
    if isinstance(message, dict):
        return {name: public(value) for name, value in message.items()}
    if isinstance(message, list | tuple):
        return type(message)(map(public, message))
    return message


def without_paths(text: str) -> str:
    """Return a text in which places on this machine have the names that visitors know: embedded
    images and models, and files of a repo as `org/name/file`. Of any other absolute path only the
    last part is left; addresses and relative names are not changed.
    """
    if "/" not in text:
        return text
    text = text.replace(str(IMAGES), EMBEDDED)
    for name in MODELS:
        text = text.replace(str(HERE / "models" / name), name)
    return _WHERE.sub(_named, text)


def _named(found: re.Match[str]) -> str:
    path = found["path"]
    if path is None:
        return found[0]
    if (cached := _CACHED.search(path)) is not None:
        return cached["id"].replace("--", "/", 1) + (cached["inside"] or "").rstrip("/")
    return PurePosixPath(path).name
