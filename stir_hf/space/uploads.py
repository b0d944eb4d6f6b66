"""Uploaded files: where gradio puts them, how many there are, and when they are removed.

Gradio itself removes those that are older than `KEPT_SECONDS`, sent or not.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stir_hf.space.asked import Limits, UploadError, shown

if TYPE_CHECKING:
    from PIL import Image

KEPT_SECONDS = 7200
"""Age at which gradio removes an upload: longer than a request can wait in a full queue."""
LOOK_SECONDS = 300
"""Interval at which gradio looks for old uploads."""


def claim() -> None:
    """Make gradio put uploads into a folder of this page, which is removed at exit. To be called
    before gradio is imported; by default all pages of a machine share one folder.
    """
    if "GRADIO_TEMP_DIR" not in os.environ:
        made = tempfile.mkdtemp(prefix="stir-hf-uploads-")
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        os.environ["GRADIO_TEMP_DIR"] = made


def folder() -> Path:
    """Return the folder in which gradio puts uploads."""
    return Path(os.environ["GRADIO_TEMP_DIR"]).resolve()


def is_upload(path: str) -> bool:
    """Return True if a path that a request names is that of an upload."""
    try:
        return Path(path).resolve().is_relative_to(folder())
    except (OSError, ValueError):  # names that no file can have
        return False


def size() -> int:
    """Return the bytes of all uploads; each file counts as a kilobyte at least."""
    found = 0
    for at, _, names in os.walk(folder()):
        for name in names:
            with suppress(OSError):
                found += max((Path(at) / name).stat().st_size, 1000)
    return found


def remove(paths: Iterable[Path], is_named: Callable[[Path], bool]) -> None:
    """Remove uploads unless another request names them: equal files share a place."""
    for path in paths:
        if not is_named(path):
            with suppress(OSError):
                path.unlink()
            with suppress(OSError):
                path.parent.rmdir()  # unless it holds another file


def remove_partial() -> None:
    """Remove what broken uploads left, and empty folders; to be called while nothing is uploaded:
    complete files lie in folders of their own.
    """
    with suppress(OSError):
        for path in list(folder().iterdir()):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()


def read(paths: Iterable[str], limits: Limits) -> list["Image.Image"]:
    """Decode uploaded images; of each, size and shape are checked before it is decoded.

    Raises:
        UploadError: a file that is too large, no image, or one of too many pixels.
    """
    from PIL import Image

    from stir_hf.inputs.formats import open_image

    images = []
    for path in map(Path, paths):
        called, problem = shown(path.name), "is no image"
        if not path.is_file():
            raise UploadError(f"the file {called} is not here any more; choose it again")
        if path.stat().st_size > limits.upload:
            raise UploadError(f"the file {called} is larger than {limits.upload // 1_000_000} MB")
        try:
            with open_image(path) as image:
                problem = "cannot be read"
                if image.width * image.height > limits.pixels:
                    raise Image.DecompressionBombError
                image.load()
                images.append(image.copy())
        except Image.DecompressionBombError as error:
            most = f"{limits.pixels // 1_000_000} million"
            told = f"the image {called} has more pixels than the {most} that are taken"
            raise UploadError(told) from error
        except Exception as error:  # files are broken in many ways
            raise UploadError(f"the file {called} {problem}") from error
    return images
