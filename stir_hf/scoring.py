"""One model judged on one inversion set: three forward passes per image."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from stir_hf.data.inversions import Inversions
from stir_hf.engine import start_image
from stir_hf.engine.config import SHARED_STARTS
from stir_hf.errors import RequestError, RunError
from stir_hf.inputs.images import MODES
from stir_hf.models.encoder import Encoder
from stir_hf.results import ANCHORS, RelativeError, Score, Values
from stir_hf.similarity import MEASURES, Accumulator, Measure


def score(
    encoder: Encoder, inversions: Inversions, measure: str, batch_size: int, *, progress: bool
) -> Score:
    """STIR(encoder | what made the inversions), with its anchors. With several draws, the mean of their scores.

    `check` has been called.

    Raises:
        RunError: a representation that is not finite, or constant.
    """
    recipe = inversions.recipe
    reference = recipe["reference"]
    parts = _accumulate(encoder, inversions, MEASURES.parse(measure), batch_size, progress=progress)
    num_samples = len(np.unique(inversions.index))
    notes: list[str] = []
    no_floor = recipe["inversion"]["start"] in SHARED_STARTS
    if no_floor:
        notes.append(
            f"floor undefined: start={recipe['inversion']['start']!r} is one image for all"
        )
    values = {
        n: _mean(encoder, reference, parts, n, notes)
        if n != "floor" or not no_floor
        else (None, None)
        for n in ANCHORS
    }
    errors, tolerance = inversions.relative_error, recipe["inversion"]["tolerance"]
    converged = float((errors <= tolerance).mean())
    if converged < 1:
        median = float(np.median(errors))
        notes.insert(
            0,
            f"{1 - converged:.0%} of the inversions did not reach a relative error of {tolerance:g} (median {median:.3f})",
        )
    biased, debiased = (
        Values(**{name: value[k] for name, value in values.items()}) for k in (0, 1)
    )
    return Score(
        model=encoder.name,
        reference=reference["model"],
        layer=encoder.layer,
        reference_layer=reference["layer"],
        measure=measure,
        stir=biased.stir,
        similarity=biased.similarity,
        floor=biased.floor,
        ceiling=biased.ceiling,
        debiased=debiased,
        num_samples=num_samples,
        relative_error=RelativeError(
            float(np.median(errors)), float(errors.mean()), float(np.quantile(errors, 0.95))
        ),
        converged=converged,
        notes=tuple(notes),
    )


def check(encoder: Encoder, inversions: Inversions, measure: str) -> None:
    """Whether the encoder can be judged on these inversions, before any of it is done.

    Raises:
        RequestError: inversions that are not finished, or fewer than the measure needs; images of another mode or size
            than the encoder takes.
    """
    inversions.check_finished()
    recipe, least = inversions.recipe, MEASURES.parse(measure).least_rows
    if (num_samples := recipe["data"]["num_samples"]) < least:
        raise RequestError(
            f"{measure} and its debiased form need at least {least} images, not {num_samples}"
        )
    if MODES[encoder.channels] != recipe["image_mode"]:
        raise RequestError(
            f"{encoder.name} takes {MODES[encoder.channels]} images; these inversions are {recipe['image_mode']}"
        )
    encoder.fit((recipe["canvas"][0], recipe["canvas"][1]))


Parts = dict[int, dict[str, Accumulator]]
"""For each draw, the four accumulators."""


def _accumulate(
    encoder: Encoder, inversions: Inversions, measure: Measure, batch_size: int, *, progress: bool
) -> Parts:
    parts: Parts = {
        int(d): {name: measure.accumulator() for name in ANCHORS}
        for d in np.unique(inversions.draw)
    }
    bar = tqdm(
        inversions.batches(batch_size),
        total=-(-len(inversions) // batch_size),
        unit="batch",
        disable=not progress,
        desc=f"judging {encoder.name}",
        dynamic_ncols=True,
    )
    with encoder.frozen(), torch.no_grad():
        for rows in bar:
            pairs = dict(_pairs(encoder, inversions, rows))
            for draw, part in parts.items():
                here = torch.from_numpy(inversions.draw[rows.start : rows.stop] == draw)
                for name, (x, y) in pairs.items():
                    part[name].update(x[here], y[here])
    return parts


def _pairs(
    encoder: Encoder, inversions: Inversions, rows: range
) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    original = _represent(encoder, inversions.pixels("image", rows))
    inverted = _represent(encoder, inversions.pixels("inverted", rows))
    start = _represent(encoder, _starts(inversions, rows))
    own = torch.from_numpy(inversions.representation[rows.start : rows.stop])
    own_inverted = torch.from_numpy(inversions.representation_inverted[rows.start : rows.stop])
    yield "stir", (original, inverted)
    yield "similarity", (own, original)
    yield "floor", (original, start)
    yield "ceiling", (own, own_inverted)


def _represent(encoder: Encoder, pixels: np.ndarray) -> Tensor:
    representation = encoder(torch.from_numpy(pixels)).cpu()
    if not bool(representation.isfinite().all()):
        raise RunError(f"{encoder.name}, layer {encoder.layer}: a representation is not finite")
    return representation


def _starts(inversions: Inversions, rows: range) -> np.ndarray:
    if "start" in inversions.rows.features:
        return inversions.pixels("start", rows)
    config, (h, w) = inversions.recipe["inversion"], inversions.recipe["canvas"]
    shape = (1 if inversions.recipe["image_mode"] == "L" else 3, h, w)
    keys = [(int(inversions.index[i]), int(inversions.draw[i])) for i in rows]
    starts = [
        start_image(config["start"], shape, seed=config["seed"], index=i, draw=d) for i, d in keys
    ]
    return torch.stack(starts).clamp(0, 1).numpy()


def _mean(
    encoder: Encoder, reference: dict[str, str], parts: Parts, name: str, notes: list[str]
) -> tuple[float | None, float | None]:
    """One value over all draws, biased and debiased."""
    try:
        biased = float(np.mean([part[name].value() for part in parts.values()]))
    except ValueError as error:
        if name == "floor":  # the model need not tell the starts apart for its scores to be right
            notes.append(f"floor undefined: {error}")
            return None, None
        raise RunError(
            f"{name} of {encoder.name}, layer {encoder.layer}, given {reference['model']}: {error}"
        ) from error
    try:
        return biased, float(np.mean([part[name].debiased() for part in parts.values()]))
    except ValueError as error:
        notes.append(f"debiased {name} undefined: {error}")
        return biased, None
