"""The files of a folder; links to folders are followed, as `datasets` and pathlib do not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from stir_hf.pointers import NOT_FETCHED, is_annexed

_SHOWN = 3
_BACK = "to a folder around it, not followed"


@dataclass(frozen=True)
class Tree:
    """The content of a folder, with names relative to it. For hidden folders, which `datasets`
    ignores, only files are listed.
    """

    files: tuple[str, ...]
    """All files, at any depth."""
    linked: bool
    """True if a folder in it is a link."""
    broken: tuple[str, ...] = ()
    """Links to missing targets."""
    absent: tuple[str, ...] = ()
    """Links of git-annex to files that were not fetched."""
    closed: tuple[str, ...] = ()
    """Files and folders without read permission."""
    back: tuple[str, ...] = ()
    """Links to a folder that contains them, which are not followed."""

    @property
    def note(self) -> str | None:
        """A note on files and folders that were not read; None if there are none."""
        told = (
            _told(self.broken, "link leads nowhere", "links lead nowhere"),
            _told(self.absent, f"file {NOT_FETCHED}", f"files {NOT_FETCHED}"),
            _told(self.closed, "entry may not be opened", "entries may not be opened"),
            _told(self.back, f"link {_BACK}", f"links {_BACK}"),
        )
        return "; ".join(filter(None, told)) or None


def _told(names: tuple[str, ...], one: str, several: str) -> str | None:
    if not names:
        return None
    more = ", …" if len(names) > _SHOWN else ""
    what = several if len(names) > 1 else one
    return f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{more}"


def is_hidden(name: str) -> bool:
    """Return whether a file or one of its folders is hidden, so that `datasets` ignores it."""
    return any(part.startswith((".", "__")) for part in name.split("/"))


def tree_of(root: Path) -> Tree:
    """Walk a folder. A link to a folder is followed, also out of `root`, unless its target contains
    the link.
    """
    kinds = ("files", "linked", "broken", "absent", "closed", "back")
    found: dict[str, list[str]] = {kind: [] for kind in kinds}
    for kind, name in _walk(root):
        if kind == "files" or name == "." or not is_hidden(name):
            found[kind].append(name)
    linked = bool(found.pop("linked"))
    return Tree(linked=linked, **{kind: tuple(sorted(names)) for kind, names in found.items()})


def _walk(root: Path) -> Iterator[tuple[str, str]]:
    """The kind and the name of what is in a folder; `linked` is a link to a folder, followed."""
    waiting: list[tuple[str, tuple[Path, ...]]] = [("", (root.resolve(),))]
    while waiting:
        inside, above = waiting.pop()
        try:
            entries = list(os.scandir(root / inside))
        except OSError:
            yield "closed", inside or "."
            continue
        for entry in entries:
            name = f"{inside}/{entry.name}" if inside else entry.name
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError as error:  # no permission, or a link to itself
                yield "closed" if isinstance(error, PermissionError) else "broken", name
                continue
            if is_folder and not entry.is_symlink():
                waiting.append((name, (*above, above[-1] / entry.name)))
            elif is_folder:
                real = Path(entry.path).resolve()
                if any(folder.is_relative_to(real) for folder in above):
                    yield "back", name
                    continue
                yield "linked", name
                waiting.append((name, (*above, real)))
            elif is_file:
                yield "files", name
            elif entry.is_symlink():
                yield "absent" if is_annexed(Path(entry.path)) else "broken", name


@contextmanager
def without_linked_folders(root: Path, tree: Tree) -> Iterator[Path]:
    """The folder itself or, if folders in it are links, a temporary one with links to its files
    inside real folders, so that `datasets` sees their names.
    """
    if not tree.linked:
        yield root
        return
    with TemporaryDirectory(prefix="stir-hf-") as folder:
        staged = Path(folder).resolve() / "data"
        staged.mkdir()
        for parent in {os.path.dirname(name) for name in tree.files}:
            (staged / parent).mkdir(parents=True, exist_ok=True)
        for name in tree.files:
            os.symlink(root / name, staged / name)
        yield staged
