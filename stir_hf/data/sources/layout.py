"""Layout of a folder by the names of its files: the reader of `datasets`, the files of each split,
and images that are in no split.
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

import datasets
import pyarrow.compute as pc
import yaml  # type: ignore[import-untyped]  # has none
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from huggingface_hub import metadata_load

from stir_hf import hub
from stir_hf.data.sources.tree import is_hidden, tree_of
from stir_hf.errors import RequestError, closest, one_line
from stir_hf.pointers import check_pointer

IMAGES = "imagefolder"
"""Name of the reader of image files."""
_TEXT = ("csv", "json", "text", "xml")
"""Readers of file types that may be annotations next to images."""
_EXTENSIONS = {*ImageFolder.EXTENSIONS, ".avif", ".heic", ".heif", ".jxl"}
_METADATA = tuple(ImageFolder.METADATA_FILENAMES)
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz")
_SHOWN = 3


@dataclass(frozen=True)
class Layout:
    """One configuration of a dataset, from its card and the names of its files."""

    builder: Any
    """The `datasets.DatasetBuilder`."""
    reader: str
    """The name of its reader in `datasets`: parquet, imagefolder, …"""
    files: dict[str, list[str]]
    """The files of each split, relative to the root."""
    images: frozenset[str]
    """All image files, if the reader is that of image files; otherwise empty."""
    remark: str | None = None
    """Further notes of a result on the files."""

    @property
    def features(self) -> datasets.Features | None:
        """The columns that the card declares, if the reader follows it."""
        found: datasets.Features | None = self.builder.info.features
        return None if self.reader == IMAGES else found

    @property
    def options(self) -> dict[str, Any]:
        """The options of the reader that the card sets."""
        config = self.builder.config
        common = {field.name for field in fields(datasets.BuilderConfig)} | {"features"}
        return {
            field.name: getattr(config, field.name)
            for field in fields(config)
            if field.name not in common and getattr(config, field.name) != field.default
        }

    def files_note(
        self, root: Path, rows: datasets.Dataset, column: str, *, asked: bool
    ) -> str | None:
        """A note on image files that are not in the split of a folder but were perhaps meant to be:
        files in no split, or (unless the split was `asked` for) files that only a keyword in their
        name assigned to another.
        """
        if not self.images or column not in rows.features:
            return None
        root = root.resolve()
        paths = pc.struct_field(rows.data.column(column), "path").to_pylist()
        used = {
            Path(path).relative_to(root).as_posix()
            for path in paths
            if path and Path(path).is_relative_to(root)
        }
        split, files = str(rows.split), self.files.items()
        elsewhere = {name for other, names in files if other != split for name in names}
        if not asked:
            beside = {PurePosixPath(name).parent for name in used}
            elsewhere = {name for name in elsewhere if PurePosixPath(name).parent not in beside}
        left = sorted(self.images - used - elsewhere)
        if not left:
            return None
        shown = ", ".join(left[:_SHOWN]) + (", …" if len(left) > _SHOWN else "")
        several = "s are" if len(left) > 1 else " is"
        return (
            f"{len(left)} image file{several} not among the {len(rows)} of split {split!r}: {shown}"
        )

    def check_count(self, split: str, count: int, called: str) -> None:
        """Raise RequestError if the card declares another number of rows for a split."""
        about = (self.builder.info.splits or {}).get(split)
        if about is not None and about.num_examples and about.num_examples != count:
            raise RequestError(
                f"dataset {called}: split {split} has {count} rows, but {about.num_examples} by its"
                " card; fetch the missing files, or correct the card"
            )


def layout_of(
    root: Path,
    config_name: str | None,
    called: str,
    cache: Path | None = None,
    stands_for: tuple[Path, ...] = (),
) -> Layout:
    """Ask `datasets` how it reads a folder; only file names and the card are read.

    A folder with images and a text file for each counts as images; `datasets` would read the texts.
    `cache` is the cache folder of `datasets`, `stands_for` other paths of the folder, which its
    card may use to name files.

    Raises:
        RequestError: no such configuration, files without a reader in `datasets`, or a card that
            names files outside of the folder.
    """
    root = root.resolve()
    names = tree_of(root).files
    images = frozenset(name for name in names if _is_image(name) and not is_hidden(name))
    load = partial(datasets.load_dataset_builder, cache_dir=str(cache) if cache else None)
    try:
        builder = load(str(root), config_name)
        texts = _reader(builder) in _TEXT and not (_card(root) or {}).get("configs")
        if images and config_name is None and texts:
            builder = load(IMAGES, data_dir=str(root))
        elif _zipped_alone(builder):
            builder = load(str(root), config_name, drop_labels=True)
    except Exception as error:  # readers and the card's YAML fail in many ways
        raise _refused(error, root, config_name, called) from error
    reader = _reader(builder)
    files = {
        str(split): [_inside(Path(path), (root, *stands_for), called) for path in paths]
        for split, paths in (builder.config.data_files or {}).items()
        if paths
    }
    if reader == IMAGES:
        files = {split: [n for n in names if _is_read(n)] for split, names in files.items()}
    return Layout(builder, reader, files, images if reader == IMAGES else frozenset())


def layout_of_repo(found: hub.Found, config_name: str | None) -> Layout:
    """The layout of a repo, from a folder with its card and empty files in place of all others: the
    names are enough to know the files of a split.
    """
    with TemporaryDirectory(prefix="stir-hf-") as folder:
        root = Path(folder).resolve() / "repo"
        root.mkdir()
        for name in found.files:
            _stand_in(root / name, found.folder / name)
        check_card(root, found.repo_id)
        return layout_of(root, config_name, found.repo_id, Path(folder) / "cache")


def _stand_in(path: Path, fetched: Path) -> None:
    """Write a placeholder for a file of which `datasets` reads only the name, or a card."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name in hub.SMALL_FILES["dataset"] and fetched.is_file():
        if path.name == "README.md" and "---" not in fetched.read_text("utf-8", "replace"):
            return  # `datasets` warns of a card without metadata
        shutil.copyfile(fetched, path)
    elif path.suffix == ".zip":  # its members decide on the reader; here images
        with ZipFile(path, "w") as archive:
            archive.writestr("image.png", b"")
    else:
        path.touch()


def _inside(path: Path, roots: tuple[Path, ...], called: str) -> str:
    """The name of a file relative to a folder that has several paths."""
    for root in roots:
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    raise RequestError(
        f"the card of dataset {called} names files outside of it: {path}; put them into the folder"
    )


def _zipped_alone(builder: Any) -> bool:
    """Return whether all images are in archives, from which `datasets` cannot make labels."""
    if _reader(builder) != IMAGES or builder.config.drop_labels is not None:
        return False
    names = [str(path) for paths in (builder.config.data_files or {}).values() for path in paths]
    return bool(names) and all(name.lower().endswith(_ARCHIVES) for name in names)


def _refused(error: Exception, root: Path, config_name: str | None, called: str) -> RequestError:
    """The error of `datasets` for a folder that it cannot read, in one line."""
    known = re.findall(r"'([^']+)'", str(error).partition("[")[2].partition("]")[0])
    if known and config_name is None and "Config name is missing" in str(error):
        told = f"dataset {called} has several configurations: {', '.join(known)}"
        return RequestError(told, "; choose one with --config-name")
    if known and config_name is not None and "not found. Available" in str(error):
        hint = closest(config_name, known)
        return RequestError(f"dataset {called} has no configuration {config_name!r}; {hint}")
    script = called.rpartition("/")[2] + ".py"
    if "data files found" in str(error) and (root / script).is_file():
        return RequestError(
            f"dataset {called} is a loading script, which is not run; the Hub may have it as"
            f" parquet, at {called}@refs/convert/parquet"
        )
    for name in tree_of(root).files:
        if name.lower().endswith(_ARCHIVES):  # `datasets` opens these for their file names
            check_pointer(root / name)
    told = one_line(error).replace(str(root), called)
    return RequestError(f"dataset {called} cannot be loaded: {told}")


def all_shards(names: Iterable[str]) -> list[str]:
    """The names of files, and of other shards that a name such as `…-00000-of-00002…` implies."""
    found = dict.fromkeys(names)
    for name in list(found):
        if told := re.fullmatch(r"(.*-)\d{5}(-of-(\d{5})\D?.*)", name):
            found |= {f"{told[1]}{i:05d}{told[2]}": None for i in range(int(told[3]))}
    return list(found)


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _EXTENSIONS


def _is_read(name: str) -> bool:
    """Return whether the reader of image files uses a file."""
    path = PurePosixPath(name)
    suffixes = (*ImageFolder.EXTENSIONS, *_ARCHIVES)
    return path.name in _METADATA or path.suffix.lower() in suffixes


def _reader(builder: Any) -> str:
    return str(builder.__module__.rpartition(".")[2])


def check_card(root: Path, called: str) -> None:
    """Check that the card of a repo names only files of that repo.

    Raises:
        RequestError: the card names a URL or files outside of its folder, or its YAML cannot be
            read.
    """
    beside = root / ".huggingface.yaml"
    try:
        said: list[Any] = [_card(root)]
        said.append(yaml.safe_load(beside.read_text("utf-8")) if beside.is_file() else None)
    except (yaml.YAMLError, ValueError) as error:
        told = f"the card of dataset {called} cannot be read: {one_line(error)}"
        raise RequestError(told) from error
    configs = [one for about in _dicts(said) for one in _dicts(about.get("configs"))]
    for name in _texts([one.get("data_files") for one in configs]):
        if "::" in name or "://" in name or name.startswith("/") or ".." in name.split("/"):
            raise RequestError(f"the card of dataset {called} names files outside of it: {name}")


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _card(root: Path) -> dict[str, Any] | None:
    """The metadata of a folder's card, if it has any."""
    card = root / "README.md"
    return metadata_load(card) if card.is_file() else None
