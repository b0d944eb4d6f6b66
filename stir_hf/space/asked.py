"""What a visitor asks for, within limits: checked before anything is fetched or computed."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stir_hf import hub
from stir_hf.demo import MODELS, model_path
from stir_hf.errors import RequestError

EMBEDDED = "200 images of Fashion-MNIST"
"""The name of the embedded images on the page."""

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w./-]{1,100})?")
_NAME = re.compile(r"[\w. -]{1,100}(\[[\w%:. -]{0,40}\])?")
_SHOWN = 80


@dataclass(frozen=True)
class Limits:
    """What one request may take."""

    images: int = 64
    least_images: int = 4
    steps: int = 300
    seconds: float = 300.0
    """Of one request, from when it begins."""
    weights: int = 500_000_000
    """Bytes of a checkpoint's weights."""
    memory: int = 6_000_000_000
    """Bytes that the process of one request may hold."""
    file: int = 2_000_000_000
    """Bytes of one file that it may write."""
    side: int = 384
    """Pixels of a network's native size."""
    upload: int = 10_000_000
    """Bytes of one uploaded file."""
    pixels: int = 20_000_000
    """Pixels of one uploaded image."""
    published: int = 300_000_000
    """Bytes of a repo of published inversions."""


LIMITS = Limits()
OF_A_TOOL = replace(LIMITS, seconds=120.0)
"""Of a caller of the MCP tool, who cannot be seen to leave."""


class UploadError(RequestError):
    """The request is wrong in the files that came with it."""


def shown(given: Any) -> str:
    """What was given, as a message names it: short, on one line."""
    text = " ".join(str(given).split())
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def checked_id(given: Any, what: str) -> str:
    """A Hub id, or `id@revision`.

    Raises:
        RequestError: anything else, such as a path or a URL.
    """
    text = given.strip() if isinstance(given, str) else ""
    if ".." in text or not _ID.fullmatch(text) or hub.is_there(text):
        raise RequestError(
            f"the {what} {shown(given)} is no Hub id; expected NAMESPACE/NAME, with @REVISION or"
            " without"
        )
    return text


def checked_count(given: Any, what: str, least: int, most: int) -> int:
    """A whole number within bounds.

    Raises:
        RequestError: anything else.
    """
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if not number or not least <= given <= most or int(given) != given:  # NaN is not between
        raise RequestError(f"{what} must be between {least} and {most} here, not {shown(given)}")
    return int(given)


def _model(given: Any, what: str) -> str:
    return given if isinstance(given, str) and given in MODELS else checked_id(given, what)


def embedded_path(name: str) -> str | None:
    """The folder of an embedded model; None for one of the Hub."""
    return model_path(name) if name in MODELS else None


@dataclass(frozen=True)
class Comparison:
    """Two checkpoints on some images, both directions."""

    model: str
    reference: str
    dataset: str = EMBEDDED
    split: str = ""
    uploads: tuple[str, ...] = ()
    """Paths of uploaded files; where there are some, they are the images."""
    images: int = 24
    steps: int = 100
    limits: Limits = field(default=LIMITS, repr=False)

    def __post_init__(self) -> None:
        most = self.limits
        for name in ("model", "reference"):
            object.__setattr__(self, name, _model(getattr(self, name), name))
        if not self.uploads and self.dataset != EMBEDDED:
            object.__setattr__(self, "dataset", checked_id(self.dataset, "dataset"))
        split = self.split.strip() if isinstance(self.split, str) else self.split
        if split and not (isinstance(split, str) and _NAME.fullmatch(split)):
            raise RequestError(f"the split {shown(split)} is no name; expected test or the like")
        object.__setattr__(self, "split", split or "")
        steps = checked_count(self.steps, "the number of passes", 1, most.steps)
        object.__setattr__(self, "steps", steps)
        images = checked_count(self.images, "the number of images", most.least_images, most.images)
        object.__setattr__(self, "images", images)
        if self.uploads and not most.least_images <= len(self.uploads) <= most.images:
            raise RequestError(
                f"{len(self.uploads)} files were uploaded; the measure takes"
                f" {most.least_images} to {most.images} images here"
            )

    def names(self) -> list[str]:
        """The Hub ids among its models."""
        both = dict.fromkeys((self.model, self.reference))
        return [name for name in both if name not in MODELS]


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


def check_uploads(paths: tuple[str, ...], limits: Limits) -> None:
    """Look at uploaded files without decoding them.

    Raises:
        UploadError: a file that is too large, no image, or one of too many pixels.
    """
    from PIL import Image

    from stir_hf.inputs.formats import open_image

    for path in map(Path, paths):
        called = shown(path.name)
        if not path.is_file():
            raise UploadError(f"the file {called} is not here any more; choose it again")
        if path.stat().st_size > limits.upload:
            raise UploadError(f"the file {called} is larger than {limits.upload // 1_000_000} MB")
        try:
            with open_image(path) as image:
                width, height = image.size
        except Image.DecompressionBombError as error:
            raise UploadError(
                f"the image {called} has far more pixels than the {limits.pixels // 1_000_000}"
                " million that are taken"
            ) from error
        except Exception as error:  # files are broken in many ways
            raise UploadError(f"the file {called} is no image") from error
        if width * height > limits.pixels:
            raise UploadError(
                f"the image {called} has {width}x{height} pixels; at most"
                f" {limits.pixels // 1_000_000} million are taken"
            )


def check_weights(name: str, limits: Limits) -> str:
    """Ask the Hub what a checkpoint holds, before anything of it is fetched.

    Returns:
        Its id at the commit that was looked at.

    Raises:
        RequestError: no such model, an adapter alone, or weights that are too large here.
    """
    import huggingface_hub

    repo, revision = hub.split_revision(name)
    with hub.hub_errors(repo, revision, "model"):
        about = huggingface_hub.HfApi().model_info(
            repo, revision=revision, files_metadata=True, timeout=20
        )
    files = {file.rfilename: file.size or 0 for file in about.siblings or []}
    if "adapter_config.json" in files and "config.json" not in files:
        raise RequestError(f"model {name} is an adapter, which is not taken here; merge it first")
    weights = {n: size for n, size in files.items() if n.endswith(".safetensors")}
    size = weights.get("model.safetensors", sum(weights.values()))
    if size > limits.weights:
        raise RequestError(
            f"model {name} has {size / 1e6:.0f} MB of weights; at most"
            f" {limits.weights / 1e6:.0f} MB are taken here"
        )
    return f"{repo}@{about.sha}"


def check_published(name: str, limits: Limits) -> str:
    """Ask the Hub how large a repo of inversions is, before anything of it is fetched.

    Returns:
        Its id at the commit that was looked at.

    Raises:
        RequestError: no such repo, or one that is too large here.
    """
    import huggingface_hub

    repo, revision = hub.split_revision(name)
    with hub.hub_errors(repo, revision, "dataset"):
        about = huggingface_hub.HfApi().dataset_info(
            repo, revision=revision, files_metadata=True, timeout=20
        )
    size = sum(file.size or 0 for file in about.siblings or [])
    if size > limits.published:
        raise RequestError(
            f"dataset {name} has {size / 1e6:.0f} MB; at most {limits.published / 1e6:.0f} MB are"
            " taken here"
        )
    return f"{repo}@{about.sha}"
