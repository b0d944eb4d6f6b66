"""Bounds of sizes that hold in the process of a request, whatever it reads or builds."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

from stir_hf.data.images.cells import MOST_BYTES
from stir_hf.errors import RequestError
from stir_hf.space.asked import Limits, shown

_SPARE = 50_000_000
"""Weights that a network may lack in its files, such as those of another head."""
_PER_BYTE = 4
"""Times the bytes of its files that a network may have weights: files may be quantised."""


@contextmanager
def on_images(limits: Limits) -> Iterator[None]:
    """Keep to the bounds of images: pixels before they are decoded, and bytes before a file of a
    dataset is read or unpacked.
    """
    from datasets.features import image
    from PIL import Image

    pixels, opened = Image.MAX_IMAGE_PIXELS, image.xopen
    token = MOST_BYTES.set(limits.upload)
    Image.MAX_IMAGE_PIXELS = limits.pixels // 2  # Pillow refuses twice as many
    image.xopen = _opening(opened, limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, image.xopen = pixels, opened
        MOST_BYTES.reset(token)


class _Bounded:
    """A file of which no more than some bytes are read."""

    def __init__(self, file: Any, called: str, most: int) -> None:
        self.file, self.called, self.most = file, called, most

    def __enter__(self) -> "_Bounded":
        self.file.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.file.__exit__(*error)

    def read(self) -> bytes:
        """Read the whole file.

        Raises:
            RequestError: it is too large.
        """
        found: bytes = self.file.read(self.most + 1)
        if len(found) > self.most:
            raise RequestError(
                f"the image file {self.called} of the dataset has more than the"
                f" {self.most // 1_000_000} MB that are taken here"
            )
        return found


def _opening(opened: Callable[..., Any], limits: Limits) -> Callable[..., _Bounded]:
    def bounded(path: Any, *args: Any, **how: Any) -> _Bounded:
        name = PurePosixPath(str(path).partition("::")[0]).name
        return _Bounded(opened(path, *args, **how), shown(name), limits.upload)

    return bounded


@contextmanager
def on_networks(called: str, weights: int, limits: Limits) -> Iterator[None]:
    """Keep to the bounds of a network while it is built: of its modules, and of its weights, which
    may not be many more than its files hold.

    Raises:
        RequestError: it has more.
    """
    from torch.nn.modules import module

    most = weights * _PER_BYTE + _SPARE
    parts = there = 0

    def count_part(*_: Any) -> None:
        nonlocal parts
        parts += 1
        if parts > limits.parts:
            raise RequestError(
                f"{called} has more than {limits.parts} parts by its config.json, which is the most"
                " that is taken here"
            )

    def count_weights(_: Any, __: str, weight: Any) -> None:
        nonlocal there
        there += 0 if weight is None else weight.numel()
        if there > most:
            raise RequestError(
                f"{called} has more than {most} weights by its config.json, but its files"
                f" have {weights / 1e6:.0f} MB"
            )

    hooks = (
        module.register_module_module_registration_hook(count_part),
        module.register_module_parameter_registration_hook(count_weights),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
