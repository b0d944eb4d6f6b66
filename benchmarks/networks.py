"""The networks and images that the benchmarks work on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stir_hf import load_encoder
from stir_hf.data.sources.samples import open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.demo import IMAGES, MODELS, model_path
from stir_hf.engine import (
    STARTS,
    Box,
    Context,
    Domain,
    Inverted,
    Item,
    Objective,
    Other,
    Plan,
    RelativeError,
    Represent,
    Rule,
    Start,
    descend,
    relative_error,
    start_value,
)
from stir_hf.models import Opened, opened
from stir_hf.runtime import RunConfig


@dataclass(frozen=True)
class Case:
    """A network with an open session, and the images that are inverted with it."""

    name: str
    network: Opened
    represent: Represent
    """The representation to invert; batch normalisation is folded where possible."""
    pixels: Tensor
    """(n, c, h, w)."""
    indices: tuple[int, ...]
    target: Tensor
    """(n, d)."""

    def starts(self, seed: int, start: Start | str = "noise") -> Tensor:
        """Return the start images (n, c, h, w) that a run with this seed draws."""
        part, shape = STARTS.parse(start), tuple(self.pixels.shape[1:])
        if isinstance(part, Other):
            count = len(self.pixels)
            chosen = (
                part.places(place, count, seed, index, 0)
                for place, index in enumerate(self.indices)
            )
            return torch.stack([self.pixels[next(places)] for places in chosen])
        return torch.stack(
            [start_value(part, shape, seed=seed, index=i, draw=0) for i in self.indices]
        )

    def represented(self, pixels: Tensor) -> Tensor:
        """Return representations under the unchanged network, a few images at a time."""
        return torch.cat([self.network.represent(some) for some in pixels.split(32)])


@contextmanager
def case(model: str, count: int, dataset: str | None = None) -> Iterator[Case]:
    """Open a network (embedded, or a folder) with the first images in the order of the package."""
    encoder = load_encoder(model_path(model) if model in MODELS else model)
    samples = open_samples(dataset or str(IMAGES), DataSpec("benchmark", num_samples=count))
    canvases = [encoder.canvas(samples.sample(place).original) for place in range(len(samples))]
    pixels = torch.from_numpy(np.stack(canvases).astype(np.float32) / 255)
    kind = encoder.kind(tuple(pixels.shape[2:]))
    with opened(encoder, kind, RunConfig(), inverted=True) as network:
        target = torch.cat([network.represent(some) for some in pixels.split(32)])
        with network.descending() as represent:
            indices = tuple(samples.order.tolist()[: len(samples)])
            yield Case(Path(model).name, network, represent, pixels, indices, target)


@dataclass(frozen=True)
class Course:
    """Errors and results of a descent, by image."""

    best: Tensor
    """(passes, n): the least error after 1, 2, … passes."""
    reached: Tensor
    """(n, c, h, w): the first iterate at or below the image's goal, else the best one."""
    passes: Tensor
    """(n,): the pass of that iterate; 0 if no iterate is at the goal."""

    def passes_to(self, error: float) -> int | None:
        """Return the number of passes after which the mean least error is at or below this."""
        below = (self.best.mean(1) <= error).nonzero()
        return int(below[0]) + 1 if len(below) else None

    def after(self, passes: Sequence[int]) -> dict[str, float]:
        """Return the mean over images of the least error after this number of passes."""
        return {str(k): float(self.best[k - 1].mean()) for k in passes if k <= len(self.best)}


def descent(
    case: Case,
    starts: Tensor,
    rule: Rule,
    passes: int,
    goal: Tensor | None = None,
    objective: Objective | None = None,
) -> Course:
    """Invert all images at once for a fixed number of passes and record every iterate.

    Args:
        case: the network, and what is inverted with it.
        starts: (n, c, h, w).
        rule: the update rule.
        passes: of each image.
        goal: (n,), the error at which an image's iterate is kept; None keeps the best.
        objective: what is minimised; None for the relative error.
    """
    count, rows = len(starts), 50
    goals = torch.full((count,), -1.0) if goal is None else goal
    courses = [
        _descent(
            case, *(t[i : i + rows] for t in (starts, case.target, goals)), rule, passes, objective
        )
        for i in range(0, count, rows)
    ]
    best, reached, taken = zip(*courses, strict=True)
    return Course(torch.cat(best, 1), torch.cat(reached), torch.cat(taken))


def _descent(
    case: Case,
    starts: Tensor,
    target: Tensor,
    goal: Tensor,
    rule: Rule,
    passes: int,
    objective: Objective | None,
) -> tuple[Tensor, Tensor, Tensor]:
    best, means = torch.full((len(starts),), torch.inf), []
    reached, taken = starts.clone(), torch.zeros(len(starts), dtype=torch.long)

    def represent(x: Tensor, context: Context) -> Tensor:
        nonlocal best
        out = case.represent(x, context)
        if torch.is_grad_enabled():  # the last iterate is looked at without
            error = relative_error(out.detach(), target)
            now = (error <= goal) & (taken == 0)
            reached[now], taken[now] = x.detach()[now].clamp(0, 1), len(means) + 1
            best = torch.minimum(best, error)
            means.append(best)
        return out

    pairs = zip(starts, target, strict=True)
    items = [Item((i, 0), start, t) for i, (start, t) in enumerate(pairs)]
    found: list[Inverted] = sorted(
        descend(
            represent,
            items,
            Plan(
                rule,
                Domain(Box(), (1, 2), (0.0, 1.0)),
                passes,
                1e-9,
                objective or RelativeError(),
            ),
            batch_size=len(items),
        ),
        key=lambda r: r.key,
    )
    values = torch.stack([r.value for r in found])
    missing = taken == 0
    reached[missing] = values[missing]
    return torch.stack(means), reached, taken
