"""Where `datasets` keeps what it makes of local files: by their contents, since its own cache goes
by their paths and times, and would read a file that was replaced as the one that it was.
"""

from pathlib import Path
from typing import Any

import datasets
from datasets.fingerprint import Hasher

from stir_hf.data.identity import hash_of
from stir_hf.data.sources.tree import tree_of
from stir_hf.pointers import check_pointer

KEPT = "stir_hf"
"""The folder for this in the cache of `datasets`."""

_AT_ONCE = 1 << 20
_SAVED = ("state.json", "dataset_info.json", "dataset_dict.json")
"""The files that `save_to_disk` writes beside the tables."""


def kept_folder() -> Path:
    """The folder for what is kept."""
    return Path(datasets.config.HF_DATASETS_CACHE) / KEPT


def cache_of(
    root: Path, names: dict[str, list[str]], referenced: frozenset[str], *, streamed: bool
) -> Path:
    """The folder for what `datasets` makes of these files; for other contents, another.

    Args:
        root: the folder that they are in.
        names: the files of each split.
        referenced: those of which a table holds the names alone; they are not read.
        streamed: whether nothing is made of the files, which are not read for it either.

    Raises:
        RequestError: a file is a pointer of git-lfs or git-annex.
    """
    read = {name for files in names.values() for name in files} - referenced
    for name in sorted(read):
        check_pointer(root / name)
    if streamed:
        return kept_folder() / "streamed"
    contents = {name: _content(root / name) for name in read}
    found = {split: [[n, contents.get(n)] for n in files] for split, files in names.items()}
    return kept_folder() / hash_of(found)[:16]


def saved_at(path: Path) -> Any:
    """What `save_to_disk` wrote; pointers are looked for among what it writes, where that cannot be
    read.
    """
    try:
        return datasets.load_from_disk(str(path))
    except (ValueError, OSError, KeyError, TypeError):
        for name in tree_of(path).files:
            if name.endswith((".arrow", *_SAVED)):
                check_pointer(path / name)
        raise


def _content(path: Path) -> str:
    """16 hexadecimal digits of a file's bytes."""
    with path.open("rb") as file:
        chunks = iter(lambda: file.read(_AT_ONCE), b"")
        return str(Hasher.hash_bytes(chunks))  # type: ignore[arg-type]  # it iterates
