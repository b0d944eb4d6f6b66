"""Pointers that a clone without git-lfs or git-annex holds in the place of large files."""

from pathlib import Path

from stir_hf.errors import RequestError

LONGEST = 1024
"""A pointer of git-lfs is shorter than so many bytes by its specification; git-annex's are, too."""
_LFS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_ANNEX = b"/annex/objects/"
NOT_FETCHED = "of git-annex, not fetched: run `git annex get`"


def pointer_in(data: bytes) -> str | None:
    """Return what a file's content points with and how to get the file; None where it is one."""
    if len(data) <= LONGEST and data.startswith(_LFS):
        return "is a git-lfs pointer, not the file: run `git lfs pull`"
    if len(data) <= LONGEST and data.startswith(_ANNEX):
        return "is a git-annex pointer, not the file: run `git annex get`"
    return None


def pointer_at(path: str | Path) -> str | None:
    """Return what `pointer_in` says of a file; None where there is no such file, too."""
    try:
        with Path(path).open("rb") as file:
            return pointer_in(file.read(LONGEST + 1))
    except OSError:
        return None


def is_annexed(link: Path) -> bool:
    """Return whether a link is one of git-annex, which leads nowhere until the file is fetched."""
    return _ANNEX.decode() in link.readlink().as_posix()


def check_pointer(path: Path) -> None:
    """Raise RequestError where there is but a pointer, a folder, or a link that leads nowhere."""
    if path.is_symlink() and not path.exists():
        if is_annexed(path):
            raise RequestError(f"{path} is a link {NOT_FETCHED}")
        raise RequestError(f"{path} is a link that leads nowhere, to {path.readlink()}")
    if path.is_dir():
        raise RequestError(f"{path} is a folder; expected a file")
    if told := pointer_at(path):
        raise RequestError(f"{path} {told}")
