"""The files of a folder, links followed as `ls` follows them; neither `datasets` nor pathlib
does.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_SHOWN = 3


@dataclass(frozen=True)
class Tree:
    """The content of a folder; names are relative to it."""

    files: tuple[str, ...]
    """All files, at any depth."""
    linked: bool
    """True where a folder in it is a link."""
    broken: tuple[str, ...]
    """Links that lead nowhere, and folders that cannot be opened."""

    @property
    def note(self) -> str | None:
        """A note on the broken links, if there are any."""
        if not self.broken:
            return None
        several = "s lead" if len(self.broken) > 1 else " leads"
        more = ", …" if len(self.broken) > _SHOWN else ""
        return f"{len(self.broken)} link{several} nowhere: {', '.join(self.broken[:_SHOWN])}{more}"


def is_hidden(name: str) -> bool:
    """Return whether a file, or a folder that it is in, is one that `datasets` passes over."""
    return any(part.startswith((".", "__")) for part in name.split("/"))


def tree_of(root: Path) -> Tree:
    """Walk a folder. A link to a folder is followed, out of `root` too, unless it leads back to
    where it was come from.
    """
    files: list[str] = []
    broken: list[str] = []
    linked = False
    waiting: list[tuple[str, tuple[Path, ...]]] = [("", (root.resolve(),))]
    while waiting:
        inside, above = waiting.pop()
        try:
            entries = sorted(os.scandir(root / inside), key=lambda entry: entry.name)
        except OSError:
            broken.append(inside)
            continue
        for entry in entries:
            name = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_dir():
                is_link = entry.is_symlink()
                real = Path(entry.path).resolve() if is_link else above[-1] / entry.name
                if real not in above:
                    waiting.append((name, (*above, real)))
                    linked |= is_link
            elif entry.is_file():
                files.append(name)
            elif entry.is_symlink():
                broken.append(name)
    return Tree(tuple(sorted(files)), linked, tuple(sorted(broken)))


@contextmanager
def without_linked_folders(root: Path, names: Iterable[str]) -> Iterator[Path]:
    """Put links to the files of a folder into real folders of a temporary one, which `datasets`
    reads the names of.
    """
    with TemporaryDirectory(prefix="stir-hf-") as folder:
        staged = Path(folder).resolve() / "data"
        staged.mkdir()
        for parent in {os.path.dirname(name) for name in names}:
            (staged / parent).mkdir(parents=True, exist_ok=True)
        for name in names:
            os.symlink(root / name, staged / name)
        yield staged
