"""Uploaded files: where gradio puts them, how much there is, and when they go."""

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

SECONDS = 600
"""So long an upload stays that no request names."""


def claim() -> None:
    """Have gradio put uploads into a folder of the page's own, which goes with it; before gradio is
    imported. Its usual one is that of all its pages on a machine.
    """
    if "GRADIO_TEMP_DIR" not in os.environ:
        made = tempfile.mkdtemp(prefix="stir-hf-uploads-")
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        os.environ["GRADIO_TEMP_DIR"] = made


def folder() -> Path:
    """Where gradio puts what is uploaded."""
    return Path(os.environ["GRADIO_TEMP_DIR"]).resolve()


def is_upload(path: str) -> bool:
    """Whether a path, as a request names it, is that of an upload."""
    try:
        return Path(path).resolve().is_relative_to(folder())
    except (OSError, ValueError):  # names that no file can have
        return False


def size() -> int:
    """Bytes of all uploads, each file counted as a kilobyte at least."""
    found = 0
    for path in _files():
        with suppress(OSError):
            found += max(path.stat().st_size, 1000)
    return found


def remove(paths: Iterable[Path], is_named: Callable[[Path], bool]) -> None:
    """Remove uploads, but for those that another request names: equal files share a place."""
    for path in paths:
        if not is_named(path):
            with suppress(OSError):
                path.unlink()
            with suppress(OSError):
                path.parent.rmdir()  # unless it holds another


def sweep(is_named: Callable[[Path], bool], now: float | None = None) -> None:
    """Remove what is old: uploads that were never used, were broken off, or that gradio does not
    know of.
    """
    before = (time.time() if now is None else now) - SECONDS
    old = []
    for path in _files():
        with suppress(OSError):
            old += [path] if path.stat().st_mtime < before else []
    remove(old, is_named)


def _files() -> list[Path]:
    return [Path(at) / name for at, _, names in os.walk(folder()) for name in names]
