"""One model judged on one inversion set: three forward passes per image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from stir_hf.data.identity import array_hash, data_order, hash_of, probe_record, same_probe
from stir_hf.data.inversions import Inversions
from stir_hf.engine import STARTS, start_value
from stir_hf.errors import RequestError, RunError
from stir_hf.models import Encoder, Opened
from stir_hf.registry import option
from stir_hf.results import ANCHORS, RelativeError, Score, Values
from stir_hf.similarity import MEASURES, Accumulator, ConstantError, Measure

LOOKED_AT, PROBES = 64, 4
"""How many of the first images are looked through for how many that differ."""

NAMED = 10
"""So many of the images that were left out are named in a note."""


@dataclass(frozen=True)
class JudgeConfig:
    """How representations are compared."""

    measure: Any = option(
        "linear_cka", "Similarity of representations.", metavar="NAME", registry=MEASURES
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "measure", MEASURES.parse(self.measure))


def check_count(images: int | None, measure: Measure, dataset: str) -> None:
    """Raise RequestError where fewer images are asked for, or there, than the measure needs; None:
    not known yet.
    """
    if images is not None and images < measure.least_rows:
        raise RequestError(
            f"num_samples={images} of {dataset} is too few: the measure needs at least"
            f" {measure.least_rows} images"
        )


def check(encoder: Encoder, sets: Sequence[Inversions], measure: Measure) -> None:
    """Whether a network can be judged on these inversions, before any of it is done.

    Raises:
        RequestError: fewer images than the measure needs, or images of another mode than the
            network takes.
    """
    for one in sets:
        encoder.check_takes(one.kind)
        if (there := len(np.unique(one.index))) < measure.least_rows:
            raise RequestError(
                f"{MEASURES.name_of(measure)} needs at least {measure.least_rows} images, not"
                f" {there}"
            )


def check_first(networks: Sequence[Opened], sets: Sequence[Inversions]) -> None:
    """Look at the first images: what is constant or not finite is known before any work.

    Raises:
        RunError: representations that are not finite, or the same for images that differ.
    """
    some = sets[0].pixels("image", range(min(LOOKED_AT, len(sets[0]))))
    _, differing = np.unique([image.tobytes() for image in some], return_index=True)
    for network in networks:
        network.check_varies(torch.from_numpy(some[np.sort(differing)[:PROBES]]))


def judge(
    pairs: Sequence[tuple[Opened, Inversions]],
    measure: Measure,
    batch_size: int,
    *,
    progress: bool,
) -> list[Score]:
    """The score of each network on each inversion set; one bar over all of them.

    Raises:
        RunError: a representation that is not finite, or constant; fewer images left than the
            measure needs.
    """
    total = sum(len(inversions) for _, inversions in pairs)
    with tqdm(total=total, unit="image", disable=not progress, dynamic_ncols=True) as bar:
        scores = []
        for network, inversions in pairs:
            bar.set_description(f"judging {network.encoder.name}")
            scores.append(score(network, inversions, measure, batch_size, bar))
    return scores


def score(
    network: Opened, inversions: Inversions, measure: Measure, batch_size: int, bar: "tqdm[Any]"
) -> Score:
    """STIR(network | what made the inversions), with its anchors. With several draws, the mean of
    their scores.

    `check` has been called.

    Raises:
        RunError: a representation that is not finite, or constant over the images.
    """
    names, notes = inversions.manifest.names, list(_notes(inversions))
    notes += [f"{network.label}: {note}" for note in network.encoder.notes]
    if _same_network(network, inversions):
        notes.append("the model and the reference are the same network")
    no_floor = _no_floor(inversions)
    anchors = [name for name in ANCHORS if name != "floor" or no_floor is None]
    if no_floor is not None:
        notes.append(f"floor undefined: {no_floor}")
    parts = _accumulate(network, inversions, measure, anchors, batch_size, bar)
    given = f"{network.where}, given {names['reference']}"
    values = {n: _mean([part[n] for part in parts], n, given, measure, notes) for n in anchors}
    values.setdefault("floor", (None, None))
    biased, debiased = (Values(**{name: values[name][k] for name in ANCHORS}) for k in (0, 1))
    if not measure.has_debiased:
        notes.append(f"{MEASURES.name_of(measure)} has no debiased form")
    errors, above = inversions.relative_error, inversions.status != "converged"
    return Score(
        model=network.label,
        reference=names["reference"],
        layer=network.encoder.layer,
        reference_layer=names["layer"],
        measure=MEASURES.text(measure),
        stir=biased.stir,
        similarity=biased.similarity,
        floor=biased.floor,
        ceiling=biased.ceiling,
        debiased=debiased if measure.has_debiased else None,
        num_samples=len(np.unique(inversions.index)),
        relative_error=RelativeError.of(errors),
        converged=float((~above).mean()),
        unconverged=RelativeError.of(errors[above]) if above.any() else None,
        notes=tuple(dict.fromkeys(notes)),
        draws=inversions.draws,
        left_out=inversions.num_samples - len(np.unique(inversions.index)),
        inversions=inversions.manifest.hash[:16],
    )


def _notes(inversions: Inversions) -> Iterator[str]:
    """What must be known about an inversion set to read its scores."""
    engine, above = inversions.manifest.identity["engine"], inversions.status != "converged"
    yield from inversions.manifest.names.get("notes", ())
    if above.any():
        rest = RelativeError.of(inversions.relative_error[above])
        yield (
            f"{above.mean():.0%} of the inversions did not reach a relative error of"
            f" {engine['tolerance']:g}; theirs is {rest.median:.3f} (median), {rest.p95:.3f} (95th"
            f" percentile). Give more than {engine['steps']} steps, read another layer, or accept"
            " that and believe the debiased values"
        )
    for status, words in (
        ("unreadable", "could not be read"),
        ("not_finite", "gave values that are not finite"),
    ):
        indices = sorted(i for i, why in inversions.left_out.items() if why == status)
        if indices:
            more = ", …" if len(indices) > NAMED else ""
            shown = ", ".join(map(str, indices[:NAMED])) + more
            yield f"{len(indices)} image{'s' * (len(indices) > 1)} left out that {words}: {shown}"
    if inversions.manifest.identity["data"]["order"] == "stream":
        yield f"the first {inversions.num_samples} images of a stream"


def _same_network(network: Opened, inversions: Inversions) -> bool:
    """Whether the judged network is the one that made the inversions, its layer included."""
    manifest = inversions.manifest
    made_by = dict(manifest.identity["network"])
    precision = {"dtype": made_by["precision"]["dtype"]}
    if hash_of({**made_by, "precision": precision}) != hash_of(network.identity):
        return False
    record = probe_record(network.probe.cpu().double().numpy())
    return network.size == inversions.size and same_probe(record, manifest.probe, manifest.dtype)


def _no_floor(inversions: Inversions) -> str | None:
    """Why the starts give no floor; None where they do."""
    engine = inversions.manifest.identity["engine"]
    try:
        start = STARTS.build(engine["start"])
    except RequestError as error:
        return str(error)
    if start.shared:
        return f"start={STARTS.text(start)!r} is one image for all"
    data = inversions.manifest.identity["data"]
    if "starts" not in engine:
        first = int(data_order(data, 1)[0])
        if array_hash(_start(inversions, first, 0).numpy()) != inversions.manifest.first_start:
            return "the start images cannot be drawn again by this version"
    return None


Parts = list[dict[str, Accumulator]]
"""For each draw, an accumulator per anchor."""


def _accumulate(
    network: Opened,
    inversions: Inversions,
    measure: Measure,
    anchors: Sequence[str],
    batch_size: int,
    bar: "tqdm[Any]",
) -> Parts:
    parts: Parts = [{n: measure.accumulator() for n in anchors} for _ in range(inversions.draws)]
    for rows in inversions.batches(batch_size):
        pairs = dict(_pairs(network, inversions, rows, anchors))
        for draw, part in enumerate(parts):
            here = torch.from_numpy(inversions.draw[rows] == draw)
            for name, (x, y) in pairs.items():
                part[name].update(x[here], y[here])
        bar.update(len(rows))
    return parts


def _pairs(
    network: Opened, inversions: Inversions, rows: NDArray[np.int64], anchors: Sequence[str]
) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    original = _represent(network, inversions.pixels("image", rows))
    own, own_inverted = (
        torch.from_numpy(inversions.vectors(f"representation{suffix}", rows))
        for suffix in ("", "_inverted")
    )
    yield "stir", (original, _represent(network, inversions.pixels("inverted", rows)))
    yield "similarity", (own, original)
    yield "ceiling", (own, own_inverted)
    if "floor" in anchors:
        yield "floor", (original, _represent(network, _starts(inversions, rows)))


def _represent(network: Opened, pixels: NDArray[np.float32]) -> Tensor:
    representation = network.represent(torch.from_numpy(pixels)).cpu()
    if not bool(representation.isfinite().all()):
        raise RunError(f"{network.where}: a representation is not finite")
    return representation


def _starts(inversions: Inversions, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    if "start" in inversions.features:
        return inversions.pixels("start", rows)
    low, high = inversions.kind.bounds
    keys = [(int(inversions.index[i]), int(inversions.draw[i])) for i in rows]
    starts = torch.stack([_start(inversions, index, draw) for index, draw in keys])
    return starts.clamp(low, high).numpy()


def _start(inversions: Inversions, index: int, draw: int) -> Tensor:
    engine = inversions.manifest.identity["engine"]
    start, shape = STARTS.build(engine["start"]), inversions.kind.shape
    return start_value(start, shape, seed=engine["seed"], index=index, draw=draw)


def _mean(
    parts: Sequence[Accumulator], name: str, where: str, measure: Measure, notes: list[str]
) -> tuple[float | None, float | None]:
    """One value over all draws, plain and debiased."""
    try:
        value = float(np.mean([part.value() for part in parts]))
    except ConstantError as error:
        # The images themselves must be told apart; that starts or inversions are not is a finding.
        if name == "similarity" or (name != "ceiling" and error.side == "x"):
            raise RunError(f"{name} of {where}: {error}") from error
        notes.append(f"{name} undefined: {error}")
        return None, None
    except ValueError as error:
        raise RunError(f"{name} of {where}: {error}") from error
    if not measure.has_debiased:
        return value, None
    try:
        return value, float(np.mean([part.debiased() for part in parts]))
    except ValueError as error:
        notes.append(f"debiased {name} undefined: {error}")
        return value, None
