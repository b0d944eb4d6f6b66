"""One inversion set in the making: a reference, images and a configuration become rows on disk."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from stir_hf.data.identity import slug
from stir_hf.data.inversions import Inversions, check_complete
from stir_hf.data.samples import Images
from stir_hf.data.shards import FOLDER, Writer, features
from stir_hf.engine import Item, descend, rule_for, start_image
from stir_hf.engine.config import InversionConfig
from stir_hf.engine.loop import Watch
from stir_hf.errors import RequestError, RunError
from stir_hf.inputs.images import MODES, to_array, to_png
from stir_hf.models.encoder import Encoder
from stir_hf.models.identity import network_identity, short_hash
from stir_hf.runtime import RunConfig

SHARD_ROWS = 64
PROBES, MOST_LOOKED_AT = 4, 64
"""How many images that differ tell whether a representation is constant, and how many are looked through for them."""


class InversionJob:
    """One inversion set in the making: everything is checked when it is made, nothing is computed until `run`."""

    def __init__(
        self,
        encoder: Encoder,
        images: Images,
        config: InversionConfig,
        run: RunConfig,
        out: Path,
        starts: Tensor | None = None,
    ) -> None:
        self.encoder, self.images, self.config, self.run_config = encoder, images, config, run
        self.size = encoder.size or _common_size(images, encoder)
        encoder.prepare(self.size)
        self.starts = None if starts is None else starts.detach().cpu().float()
        self._check_starts()
        self.recipe = {
            "reference": described(encoder),
            "data": images.identity,
            "canvas": list(self.size),
            "image_mode": MODES[encoder.channels],
            "inversion": asdict(config),
        }
        if self.starts is not None:
            self.recipe["starts"] = hashlib.sha256(
                self.starts.contiguous().numpy().tobytes()
            ).hexdigest()[:16]
        self.slug = slug(encoder.name, self.recipe)
        self.folder = out / FOLDER / self.slug
        self.there: set[tuple[int, int]] = set()

    def run(self, rank: int = 0, ranks: int = 1, *, progress: bool) -> None:
        """Make this rank's share of what was not on disk when the set was opened, and put it there."""
        writer = self.writer(rank)
        keys, there = self.keys(), self.there
        mine = [(p, d) for p, d in keys if (self.images.indices[p], d) not in there][rank::ranks]
        with self.encoder.frozen(), self._bar(len(keys), len(keys) - len(mine), progress) as bar:
            if mine:
                self._check_varies()
            self._invert(mine, writer, bar)

    def keys(self) -> list[tuple[int, int]]:
        """(position in the images, draw) of all that was asked for."""
        return [(p, d) for p in range(len(self.images)) for d in range(self.config.draws)]

    def writer(self, rank: int = 0) -> Writer:
        """The set on disk, made where it is not there."""
        label = (
            self.images.rows.features.get(self.images.label_column)
            if self.images.label_column
            else None
        )
        columns = features(
            self.size,
            self.encoder.channels,
            exact=self.config.exact,
            starts=self.starts is not None,
            label=label,
        )
        return Writer(self.folder, self.recipe, columns, rank)

    def open(self) -> None:
        """Make the set on disk where it is not there, and see what it holds; every rank does so before any runs."""
        self.there = self.writer().done()

    def load(self) -> Inversions:
        """All that was asked for, each image once.

        Raises:
            RunError: something is missing or there twice.
        """
        inversions = Inversions.load(self.folder)
        check_complete(inversions, {(self.images.indices[p], d) for p, d in self.keys()})
        return inversions

    def _bar(self, total: int, done: int, progress: bool) -> "tqdm[Any]":
        return tqdm(
            total=total,
            initial=done,
            desc=f"inverting {self.encoder.name}",
            unit="image",
            disable=not progress,
            dynamic_ncols=True,
        )

    def _invert(self, keys: list[tuple[int, int]], writer: Writer, bar: "tqdm[Any]") -> None:
        def watch(seen: Watch) -> None:
            bar.set_postfix(active=seen.active, error=f"{seen.error:.3f}")

        config, batch = self.config, self.run_config.batch_size
        results = descend(
            self._represent,
            self._items(keys),
            rule_for(config.method),
            passes=config.passes,
            tolerance=config.tolerance,
            batch_size=batch,
            watch=watch,
        )
        waiting: list[tuple[tuple[int, int], Tensor]] = []

        def put() -> None:
            rows = self._rows(waiting)
            waiting.clear()  # before they are written: a write that fails half-way is not repeated on the way out
            writer.write(rows)

        try:
            for result in results:
                waiting.append((result.key, result.image))
                bar.update()
                if len(waiting) >= min(SHARD_ROWS, batch):
                    put()
        except FloatingPointError as error:
            raise RunError(f"{self._where()}: {error}") from error
        finally:
            put()

    def _represent(self, images: Tensor) -> Tensor:
        return self.encoder(images)

    def _items(self, keys: list[tuple[int, int]]) -> Iterator[Item]:
        """Targets are computed in batches as the descent asks for more images."""
        encoder, batch = self.encoder, self.run_config.batch_size
        for first in range(0, len(keys), batch):
            some = keys[first : first + batch]
            targets = self._targets([p for p, _ in some])
            for key, target in zip(some, targets, strict=True):
                yield Item(key, self._start(key).to(encoder.device, encoder.image_dtype), target)

    def _canvas(self, position: int) -> np.ndarray:
        pixels = self.encoder.pixels.canvas(self.images.at(position)[1])
        return pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)

    def _start(self, key: tuple[int, int]) -> Tensor:
        position, draw = key
        if self.starts is not None:
            return self.starts[position]
        shape = (self.encoder.channels, *self.size)
        return start_image(
            self.config.start,
            shape,
            seed=self.config.seed,
            index=self.images.indices[position],
            draw=draw,
        )

    def _rows(self, finished: list[tuple[tuple[int, int], Tensor]]) -> list[dict[str, Any]]:
        """Round each inversion to what is stored, and measure that."""
        if not finished:
            return []
        exact = self.config.exact
        pixels = torch.stack([image for _, image in finished]).float().cpu().numpy()
        stored = [p if exact else to_png(p) for p in pixels]
        originals = np.stack([self._canvas(position) for (position, _), _ in finished])
        with torch.no_grad():
            target = self.encoder(torch.from_numpy(originals))
            reached = self.encoder(torch.from_numpy(np.stack([to_array(s) for s in stored])))
        error = ((reached - target).norm(dim=1) / target.norm(dim=1)).tolist()
        rows = []
        for i, ((position, draw), _) in enumerate(finished):
            index, _, label = self.images.at(position)
            row = {
                "index": index,
                "draw": draw,
                "image": to_png(originals[i]),
                "inverted": stored[i],
                "relative_error": error[i],
                "representation": target[i].tolist(),
                "representation_inverted": reached[i].tolist(),
            }
            if self.starts is not None:
                row["start"] = self.starts[position].clamp(0, 1).numpy()
            rows.append(row if self.images.label_column is None else {**row, "label": label})
        return rows

    def _targets(self, positions: list[int]) -> Tensor:
        """The representations of some images, (b, d), each finite and not zero."""
        with torch.no_grad():
            targets = self.encoder(torch.from_numpy(np.stack([self._canvas(p) for p in positions])))
        indices = [self.images.indices[p] for p in positions]
        if not bool(targets.isfinite().all()):
            bad = indices[int((~targets.isfinite().all(1)).nonzero()[0, 0])]
            raise RunError(f"{self._where()}: the representation of image {bad} is not finite")
        if not bool(targets.any(1).all()):
            bad = indices[int((~targets.any(1)).nonzero()[0, 0])]
            raise RunError(
                f"{self._where()}: the representation of image {bad} is all zeros, so no error is defined"
            )
        return targets

    def _check_varies(self) -> None:
        """Look at a few images that differ: a constant representation is known whatever the batches are."""
        differing: dict[bytes, int] = {}
        for position in range(min(len(self.images), MOST_LOOKED_AT)):
            differing.setdefault(self._canvas(position).tobytes(), position)
            if len(differing) == PROBES:
                break
        targets = self._targets(list(differing.values()))
        if len(targets) > 1 and bool((targets == targets[0]).all()):
            raise RunError(f"{self._where()}: a constant representation, the same for every image")

    def _check_starts(self) -> None:
        if (self.starts is None) == (self.config.start == "given"):
            raise RequestError(
                "start='given' goes with a tensor of start images (starts=…), and only with it"
            )
        expected = (len(self.images), self.encoder.channels, *self.size)
        if self.starts is not None and tuple(self.starts.shape) != expected:
            raise RequestError(f"starts must have shape {expected}, not {tuple(self.starts.shape)}")
        if self.starts is not None and self.config.draws != 1:
            raise RequestError("starts are one per image; use draws=1")

    def _where(self) -> str:
        return f"{self.encoder.name}, layer {self.encoder.layer}"


def _common_size(images: Images, encoder: Encoder) -> tuple[int, int]:
    sizes = {image.size for _, image, _ in images}
    if len(sizes) > 1:
        shown = ", ".join(f"{w}x{h}" for w, h in sorted(sizes)[:3])
        raise RequestError(
            f"{encoder.name} takes images at their own size, but they differ ({shown}, …); resize them"
        )
    width, height = sizes.pop()
    return height, width


def described(encoder: Encoder) -> dict[str, Any]:
    """An encoder in a recipe of today: its name, commit, layer, precision, and 16 digits of its identity."""
    digest = short_hash(network_identity(encoder.module, encoder.pixels, encoder.dtype))
    return {
        "model": encoder.name,
        "revision": encoder.commit,
        "layer": encoder.layer,
        "dtype": str(encoder.dtype).removeprefix("torch."),
        "fingerprint": digest,
    }
