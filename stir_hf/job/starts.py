"""The starts of an inversion set: drawn, other originals of the data, or given."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stir_hf.data.sources.canvases import Canvas, Canvases
from stir_hf.data.sources.samples import UnreadableError, open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.engine import InversionConfig, Other, start_value
from stir_hf.errors import RequestError, RunError
from stir_hf.inputs.base import Kind

KEPT = 64
"""Number of canvases of other originals that stay in memory."""


@dataclass
class Starts:
    """The starts of the originals of one set.

    Args:
        given: starts (n, *shape), one per sample in ascending order of the index.
    """

    config: InversionConfig
    kind: Kind
    canvases: Canvases
    given: Tensor | None = None
    _others: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._look = lru_cache(KEPT)(self._canvas)
        rank = np.argsort(self.canvases.samples.order) if self.given is not None else ()
        order = self.canvases.samples.order
        self._places = {int(order[p]): i for i, p in enumerate(rank)}

    def of(self, position: int, draw: int, again: int = 0, canvas: Canvas | None = None) -> Tensor:
        """The start of an inversion, (*shape), on the CPU, neither placed nor projected.

        Args:
            position: the place of the original in the order of the data.
            draw: the number of its inversion.
            again: the number of the restart.
            canvas: the original, whose scale a drawn start has; without it, scale 1.

        Raises:
            RunError: there is no other original to start from.
        """
        index = int(self.canvases.samples.order[position])
        if self.given is not None:
            return self.given[self._places[index]]
        if isinstance(self.config.start, Other):
            return self._other(canvas or self._look(position), position, index, draw, again)
        how: Any = {"seed": self.config.seed, "index": index, "draw": draw, "again": again}
        start = start_value(self.config.start, self.kind.shape, **how)
        return start if canvas is None else start * self.kind.scale(self.kind.values(canvas.array))

    def _other(
        self, own: Canvas | None, position: int, index: int, draw: int, again: int
    ) -> Tensor:
        """The values of another original, which is not a copy of this one on the canvas."""
        start, count = self.config.start, len(self.canvases.samples)
        assert isinstance(start, Other)
        for place in start.places(position, count, self.config.seed, index, draw, again):
            found = self._look(place)
            if found is not None and (own is None or found.hash != own.hash):
                self._others[index, draw, again] = found.index
                return torch.from_numpy(self.kind.values(found.array))
        raise RunError(
            f"start='other': there is no other {self.kind.name} than copies of {self.kind.name}"
            f" {index} to start from"
        )

    def _canvas(self, position: int) -> Canvas | None:
        try:
            return self.canvases.read(position)
        except UnreadableError:
            return None

    def columns(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows with what says from where they started: the value that was given, or the index
        of the other original.
        """
        for row in rows:
            if self.given is not None:
                row["start"] = self.given[self._places[row["index"]]].numpy()
            elif self._others and row.get("restart") is not None:
                key = row["index"], row["draw"], row["restart"]
                row["start_index"] = self._others.get(key)
        return list(rows)


def folder_of(config: InversionConfig) -> str:
    """The folder of starts that was asked for, or ""."""
    return str(getattr(config.start, "folder", ""))


def without_folder(config: InversionConfig) -> InversionConfig:
    """The options without the folder of starts, which identifies nothing."""
    if not folder_of(config):
        return config
    return replace(config, start=replace(config.start, folder=""))  # type: ignore[type-var]


def read_folder(folder: str, canvases: Canvases, kind: Kind) -> Tensor:
    """Starts (n, *shape) from a folder of images, put on the canvas like originals: as many as
    there are originals, in ascending order of their indices, or as many as the whole split.

    Raises:
        RequestError: another number of images, or one that cannot be read.
    """
    samples = canvases.samples
    spec = DataSpec(folder, image_mode=samples.spec.image_mode)
    own = open_samples(folder, spec)
    found = Canvases(own, canvases.make, kind.shape)
    order = np.sort(samples.order)
    if len(own) not in (len(order), samples.total):
        whole = "" if samples.total in (None, len(order)) else f" or {samples.total}"
        raise RequestError(
            f"start given:{folder} has {len(own)} {kind.name}s; expected {len(order)}{whole}, one"
            f" per {kind.name} of {samples.spec.dataset}"
        )
    wanted = np.arange(len(order)) if len(own) == len(order) else order
    place = {int(index): position for position, index in enumerate(own.order)}
    try:
        values = [kind.values(found.read(place[int(index)]).array) for index in wanted]
    except UnreadableError as error:
        raise RequestError(f"start given:{folder}: an image cannot be read: {error}") from error
    return torch.from_numpy(np.stack(values))
