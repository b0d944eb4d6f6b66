"""Requests of visitors, within limits: checked before anything is fetched or computed."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from stir_hf import hub
from stir_hf.data.sources.samples import check_split
from stir_hf.data.sources.spec import DataSpec
from stir_hf.demo import MODELS
from stir_hf.errors import RequestError, cut

EMBEDDED = "200 images of Fashion-MNIST"
"""The name of the embedded images on the page."""

ROWS = {"test": 200}
"""The splits of the embedded images, with their numbers of images."""

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w./-]{1,100})?")
_NAME = re.compile(r"[\w. -]{1,100}(\[[\w%:. -]{0,40}\])?")


@dataclass(frozen=True)
class Limits:
    """Bounds of one request."""

    images: int = 64
    least_images: int = 16
    steps: int = 300
    seconds: float = 300.0
    """Time from when it begins."""
    weights: int = 500_000_000
    """Bytes of a checkpoint's weights."""
    memory: int = 6_000_000_000
    """Bytes that its process may hold."""
    file: int = 2_000_000_000
    """Bytes of one file that it may write."""
    side: int = 384
    """Pixels of a network's native size, and of published inversions."""
    layers: int = 1000
    """Layers of a network, by each entry of its configuration."""
    labels: int = 100_000
    parts: int = 20_000
    """Modules of a network while it is built."""
    settings: int = 2_000_000
    """Bytes of one configuration file."""
    upload: int = 10_000_000
    """Bytes of one image file, uploaded or of a dataset."""
    pixels: int = 20_000_000
    """Pixels of one image."""
    published: int = 300_000_000
    """Bytes of a repo of published inversions."""


LIMITS = Limits()
OF_A_TOOL = replace(LIMITS, seconds=120.0)
"""Bounds for a caller of the MCP tool, who cannot be seen to leave."""


class UploadError(RequestError):
    """A request with files that are not taken."""


def shown(given: Any) -> str:
    """Return a short form of an input, on one line, for a message."""
    return repr(cut(" ".join(str(given).split()), 80))


def checked_id(given: Any, what: str) -> str:
    """Return a Hub id, or `id@revision`.

    Raises:
        RequestError: anything else, such as a path or a URL.
    """
    text = given.strip() if isinstance(given, str) else ""
    if ".." in text or not _ID.fullmatch(text) or hub.is_there(text):
        raise RequestError(
            f"the {what} {shown(given)} is no Hub id; expected NAMESPACE/NAME or"
            " NAMESPACE/NAME@REVISION"
        )
    return text


def checked_count(given: Any, what: str, least: int, most: int) -> int:
    """Return a whole number within bounds.

    Raises:
        RequestError: anything else.
    """
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if not number or not least <= given <= most or int(given) != given:  # NaN is not between
        raise RequestError(
            f"{what} must be a whole number between {least} and {most} here, not {shown(given)}"
        )
    return int(given)


def _model(given: Any, what: str) -> str:
    name = given.strip() if isinstance(given, str) else ""
    return name if name in MODELS else checked_id(given, what)


@dataclass(frozen=True)
class Comparison:
    """Two checkpoints on some images, both directions."""

    model: str
    reference: str
    dataset: str = EMBEDDED
    split: str = ""
    uploads: tuple[str, ...] = ()
    """Paths of uploaded files; if there are any, they are the images."""
    images: int = 24
    steps: int = 100
    limits: Limits = field(default=LIMITS, repr=False)

    def __post_init__(self) -> None:
        most = self.limits
        for name in ("model", "reference"):
            object.__setattr__(self, name, _model(getattr(self, name), name))
        if not self.uploads and self.dataset != EMBEDDED:
            object.__setattr__(self, "dataset", checked_id(self.dataset, "dataset"))
        split = self.split.strip() if isinstance(self.split, str) else self.split or ""
        if split and not (isinstance(split, str) and _NAME.fullmatch(split)):
            raise RequestError(f"the split {shown(split)} is no name; expected a name such as test")
        object.__setattr__(self, "split", split)
        steps = checked_count(self.steps, "the number of passes", 1, most.steps)
        object.__setattr__(self, "steps", steps)
        images = checked_count(self.images, "the number of images", most.least_images, most.images)
        object.__setattr__(self, "images", images)
        if self.uploads and not most.least_images <= len(self.uploads) <= most.images:
            raise RequestError(
                f"{len(self.uploads)} files were uploaded; the measure takes"
                f" {most.least_images} to {most.images} images here"
            )
        if not self.uploads:
            self._check_split()

    def _check_split(self) -> None:
        """Check the split as far as it can be without the Hub."""
        if self.dataset == EMBEDDED:
            spec = DataSpec(EMBEDDED, split=self.split or None, num_samples=self.images)
            check_split(spec, ROWS)
        elif "[" in self.split:
            raise RequestError(
                f"the split {shown(self.split)} is a slice; datasets of the Hub are read from the"
                " beginning of a split here, so give its name alone"
            )


@dataclass(frozen=True)
class Judging:
    """A checkpoint on inversions that are published."""

    inversions: str
    """Dataset repo, `id` or `id@revision`."""
    model: str
    limits: Limits = field(default=LIMITS, repr=False)

    def __post_init__(self) -> None:
        repo = checked_id(self.inversions, "set of inversions")
        object.__setattr__(self, "inversions", repo)
        object.__setattr__(self, "model", _model(self.model, "model"))
