"""Caches for tables that `datasets` makes of local files, keyed by the contents of the files: its
own cache is keyed by paths and times, and may return old rows for a file that was replaced.
"""

from pathlib import Path
from typing import Any

import datasets
from datasets.fingerprint import Hasher

from stir_hf.data.identity import hash_of
from stir_hf.data.sources.tree import tree_of
from stir_hf.pointers import check_pointer

KEPT = "stir_hf"
"""Name of the folder for these tables in the cache of `datasets`."""

_AT_ONCE = 1 << 20
_SAVED = ("state.json", "dataset_info.json", "dataset_dict.json")
"""The files that `save_to_disk` writes next to the tables."""


def kept_folder() -> Path:
    """The folder for these tables in the cache of `datasets`."""
    return Path(datasets.config.HF_DATASETS_CACHE) / KEPT


def cache_of(
    root: Path, names: dict[str, list[str]], referenced: frozenset[str], *, streamed: bool
) -> Path:
    """The cache folder for the tables of the files of each split; other contents have another
    folder. Contents are not read of `referenced` files, which the tables only name, or if the files
    are streamed, so that no tables are made.

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
    """Load a dataset that `save_to_disk` wrote; if that fails, raise for a file that is a git-lfs
    or git-annex pointer.
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
