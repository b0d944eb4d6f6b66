"""Recognise the pointers that stand for large files in a clone without git-lfs or git-annex."""

from pathlib import Path

from stir_hf.errors import RequestError

LONGEST = 1024
"""Maximum bytes of a pointer, by the specification of git-lfs; those of git-annex are shorter."""
_LFS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_ANNEX = b"/annex/objects/"
NOT_FETCHED = "of git-annex, not fetched: run `git annex get`"


def pointer_in(data: bytes) -> str | None:
    """Return a line about the pointer in a file's content; None if the content is no pointer."""
    if len(data) <= LONGEST and data.startswith(_LFS):
        return "is a git-lfs pointer, not the file: run `git lfs pull`"
    if len(data) <= LONGEST and data.startswith(_ANNEX):
        return "is a git-annex pointer, not the file: run `git annex get`"
    return None


def pointer_at(path: str | Path) -> str | None:
    """Return the result of `pointer_in` for a file; None also if the file cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return pointer_in(file.read(LONGEST + 1))
    except OSError:
        return None


def is_annexed(link: Path) -> bool:
    """Return True if a link belongs to git-annex; it is broken until the file is fetched."""
    return _ANNEX.decode() in link.readlink().as_posix()


def check_pointer(path: Path) -> None:
    """Raise RequestError for a path that is only a pointer, a folder or a broken link."""
    if path.is_symlink() and not path.exists():
        if is_annexed(path):
            raise RequestError(f"{path} is a link {NOT_FETCHED}")
        raise RequestError(f"{path} is a link that leads nowhere, to {path.readlink()}")
    if path.is_dir():
        raise RequestError(f"{path} is a folder; expected a file")
    if told := pointer_at(path):
        raise RequestError(f"{path} {told}")
