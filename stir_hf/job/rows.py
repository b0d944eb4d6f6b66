"""The rows of an inversion set: one for each sample and draw."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stir_hf.data.files.columns import CLASS_KEPT
from stir_hf.data.sources.canvases import Canvas
from stir_hf.engine import Inverted, Tolerance, relative_error
from stir_hf.inputs.base import Kind
from stir_hf.job.inputs import inputs_of
from stir_hf.models import Opened

Key = tuple[int, int]
"""Position and draw of a row."""


@dataclass
class Pending:
    """A sample whose draws are in progress."""

    canvas: Canvas
    target: Tensor
    """(d,): the reference's representation of the sample."""
    draws: int
    """Number of its draws that are not finished."""


@dataclass
class Work:
    """Work in progress."""

    claimed: set[Key] = field(default_factory=set)
    """Keys without a finished row."""
    pending: dict[int, Pending] = field(default_factory=dict)
    """Samples with draws in progress, by position."""
    finished: list[Inverted] = field(default_factory=list)
    """Finished inversions that are not measured yet."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Rows that are not written yet."""


@dataclass(frozen=True)
class RowMaker:
    """Makes the rows of one inversion set."""

    network: Opened
    kind: Kind
    exact: bool
    tolerance: Tolerance
    labelled: bool
    classes: bool = False
    """True if the class of an inversion is compared with that of its original."""
    spread: float | None = None
    """The spread of the representations, if the tolerance is relative to it."""

    def limits(self, targets: Tensor) -> list[float]:
        """The relative error that suffices for each of these representations (b, d)."""
        if not self.tolerance.of_spread:
            return [self.tolerance.value] * len(targets)
        lengths = targets.cpu().double().norm(dim=1).tolist()
        return [self.tolerance.limit(length, self.spread) for length in lengths]

    def bare(
        self, index: int, draw: int, status: str, canvas: Canvas | None = None
    ) -> dict[str, Any]:
        """A row without an inversion, and without an original if `canvas` is None."""
        row: dict[str, Any] = {"index": index, "draw": draw, "status": status}
        if canvas is not None:
            row["canvas_hash"], row["file_hash"] = canvas.hash, canvas.file_hash
            row[self.kind.name] = self.kind.store(self.kind.values(canvas.array), exact=False)
        if self.labelled:
            row["label"] = None if canvas is None else canvas.label
        return row

    def measured(self, work: Work) -> list[dict[str, Any]]:
        """Round each finished inversion as in storage, measure the result, and make its row."""
        done = [(result, work.pending[result.key[0]]) for result in work.finished]
        work.finished.clear()
        good = [(result, one) for result, one in done if result.finite]
        rows = [
            self.bare(one.canvas.index, result.key[1], "not_finite", one.canvas)
            for result, one in done
            if not result.finite
        ]
        rows += self._inverted(good) if good else []
        for result, one in done:
            work.claimed.discard(result.key)
            one.draws -= 1
            if not one.draws:
                del work.pending[one.canvas.position]
        return rows

    def _inverted(self, good: Sequence[tuple[Inverted, Pending]]) -> list[dict[str, Any]]:
        values = torch.stack([result.value for result, _ in good]).float().cpu().numpy()
        if self.kind.bounds is not None:
            values = values.clip(*self.kind.bounds)
        stored = [self.kind.store(value, exact=self.exact) for value in values]
        restored = torch.from_numpy(np.stack([self.kind.restore(cell) for cell in stored]))
        originals, context = inputs_of(self.kind, [one.canvas for _, one in good])
        reached = self.network.represent(restored, context)
        target = torch.stack([one.target for _, one in good])
        errors, limits = relative_error(reached, target).tolist(), self.limits(target)
        wanted, found = (t.float().cpu().numpy() for t in (target, reached))
        kept = self.network.class_kept(originals, restored, context) if self.classes else None
        rows = []
        for i, (result, one) in enumerate(good):
            key = one.canvas.index, result.key[1]
            if not math.isfinite(errors[i]):
                rows.append(self.bare(*key, "not_finite", one.canvas))
                continue
            status = "converged" if errors[i] <= limits[i] else "max_steps"
            measured: dict[str, Any] = {
                "inverted": stored[i],
                "relative_error": errors[i],
                "representation": wanted[i],
                "representation_inverted": found[i],
                "restart": result.start,
                "tried": result.tried,
                "unstored_error": result.error,
            }
            if kept is not None:
                measured[CLASS_KEPT] = kept[i]
            rows.append({**self.bare(*key, status, one.canvas), **measured})
        return rows
