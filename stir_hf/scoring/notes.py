"""Notes for readers of a score."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stir_hf.data.identity import (
    array_hash,
    data_order,
    hash_of,
    other_entries,
    probe_record,
    same_probe,
)
from stir_hf.data.sets.inversions import Inversions
from stir_hf.engine import CONSTRAINTS, OBJECTIVES, RULES, STARTS, Box, Free, Tolerance
from stir_hf.engine.restarts import STALLED
from stir_hf.engine.tolerance import LOOSE
from stir_hf.errors import RequestError
from stir_hf.models import Opened
from stir_hf.results import RelativeError
from stir_hf.scoring.starts import largest_outside, start_of

LOOKED_AT = 4
"""Number of originals that identify the network that made the inversions."""
RELATIVE_ERROR = OBJECTIVES.spelling(OBJECTIVES.parse("relative_error"))
ROUNDING = 1e-6
"""Distance outside a ball that gets no note."""
NAMED = 10
"""Number of left-out originals that a note names."""


def notes_on(inversions: Inversions) -> Iterator[str]:
    """Notes on an inversion set for readers of its scores."""
    engine, above = inversions.manifest.identity["engine"], ~inversions.converged
    tolerance = Tolerance.parse(engine["tolerance"])
    yield from inversions.manifest.names.get("notes", ())
    if above.any():
        left, spread = inversions.spread_error, inversions.spread
        errors: NDArray[Any] = inversions.relative_error
        if tolerance.of_spread and left is not None and spread is not None:
            errors = left * spread.spread / (inversions.manifest.spread or spread.spread)
        rest = RelativeError.of(errors[above])
        asked = f"{'an' if tolerance.of_spread else 'a relative'} error of {tolerance}"
        yield (
            f"{above.mean():.0%} of the inversions did not reach {asked} in {engine['steps']}"
            f" passes; theirs is {rest.median:.3f} (median), {rest.p95:.3f} (95th percentile)"
        )
    name = inversions.kind.name
    for status, words in (
        ("unreadable", "could not be read"),
        ("not_finite", "gave values that are not finite"),
    ):
        indices = sorted(i for i, why in inversions.left_out.items() if why == status)
        if indices:
            several, shown = "s" * (len(indices) > 1), _first(indices)
            yield f"{len(indices)} {name}{several} left out that {words}: {shown}"
    yield from notes_on_starts(inversions)
    yield from too_loose(inversions, tolerance)
    yield from copies_in(inversions)
    data = inversions.manifest.identity["data"]
    if "shuffle_buffer" in data:
        buffer = data["shuffle_buffer"]
        yield f"{inversions.num_samples} {name}s of a stream, from a shuffle buffer of {buffer}"
    elif data["order"] == "stream":
        yield f"the first {inversions.num_samples} {name}s of a stream"


def notes_on_starts(inversions: Inversions) -> Iterator[str]:
    """Notes on restarts, on what storing inversions cost, and on the objective's further models."""
    name, count = inversions.kind.name, len(inversions)
    again = int((inversions.tried > 1).sum())
    if again:
        better = int((inversions.restarts() > 0).sum())
        stalled = "stalled and " if inversions.engine["restarts"] == STALLED else ""
        yield (
            f"{again} of {count} inversions {stalled}started again; {better} of them are of a"
            " further start"
        )
    if (before := inversions.unstored_error) is not None and count:
        was, now = np.median(before), np.median(inversions.relative_error)
        low, high = inversions.kind.bounds or (0.0, 1.0)
        yield (
            f"inversions may exceed [{low:g}, {high:g}], which no stored {name} can: storing them"
            f" raised the median error from {was:.3f} to {now:.3f}"
        )
    if (outside := largest_outside(inversions)) > ROUNDING:
        yield f"as stored, inversions lie up to {outside:.2g} outside their ball: they are rounded"
    yield from notes_on_engine(inversions)
    if inversions.engine.get("diverse") and inversions.draw_distance is not None:
        yield f"two draws of one {name} are {inversions.draw_distance:.3f} apart (root mean square)"


def notes_on_engine(inversions: Inversions) -> Iterator[str]:
    """Notes that name the constraint and the objective, where they are not the usual ones."""
    engine, models = inversions.engine, inversions.manifest.names.get("objective")
    try:
        constraint = CONSTRAINTS.build(engine["constraint"])
        objective = OBJECTIVES.build(engine.get("objective", RELATIVE_ERROR))
    except RequestError:  # a part of a later version
        return
    usual = Free() if inversions.kind.bounds is None else Box(*inversions.kind.bounds)
    if constraint != usual:
        yield f"constraint of the inversions: {CONSTRAINTS.text(constraint)}"
    if "objective" in engine:
        named = objective.of_networks(models) if models else objective
        yield f"objective of the inversions: {OBJECTIVES.text(named)}"


def too_loose(inversions: Inversions, tolerance: Tolerance) -> Iterator[str]:
    """Notes on a tolerance so loose that starts may count as converged, or on the reason why that
    is unknown.
    """
    spread, left = inversions.spread, inversions.spread_error
    if spread is None or left is None:
        if len(inversions):
            few = len(np.unique(inversions.index)) < 2
            name = inversions.kind.name
            why = f"there is one {name}" if few else f"all {name}s are represented the same"
            yield f"the error over the spread is undefined: {why}"
        return
    warning = tolerance.warning(spread.mean, spread.spread, inversions.manifest.spread)
    if warning is not None and bool((left[inversions.converged] > LOOSE).any()):
        yield f"{warning}, and the debiased ceiling says whether that matters"


def copies_in(inversions: Inversions) -> Iterator[str]:
    """Notes on originals that are equal to others on the canvas."""
    _, once = np.unique(inversions.index, return_index=True)
    hashes = inversions.stored.values("canvas_hash", once)
    first: dict[str | None, int] = {}
    copies: list[str] = []
    for index, digest in zip(inversions.index[once].tolist(), hashes, strict=True):
        if (original := first.setdefault(digest, index)) != index:
            copies.append(f"{index} of {original}")
    if copies:
        several = "s are copies" if len(copies) > 1 else " is a copy"
        name = inversions.kind.name
        yield f"{len(copies)} {name}{several} of another on the canvas: {_first(copies)}"


def _first(names: Sequence[object]) -> str:
    return ", ".join(map(str, names[:NAMED])) + (", …" if len(names) > NAMED else "")


def same_network(network: Opened, inversions: Inversions) -> bool:
    """Return whether the judged network and layer are those that made the inversions."""
    manifest = inversions.manifest
    made_by = dict(manifest.identity["network"])
    made_by["precision"] = {"dtype": made_by["precision"]["dtype"]}
    if (
        hash_of(made_by) != hash_of(network.identity)
        or network.encoder.preprocessing.refusal(inversions.kind) is not None
        or network.kind != inversions.kind
        or other_entries(network.encoder.settings(), manifest.settings)
    ):
        return False
    record = probe_record(network.probe.cpu().double().numpy())
    some = np.unique(inversions.index, return_index=True)[1][:LOOKED_AT]
    context = {n: torch.from_numpy(v) for n, v in inversions.contexts(some).items()}
    originals = torch.from_numpy(inversions.originals_of(some))
    found = network.represent(originals, context).cpu().double().numpy().ravel()
    expected = inversions.vectors("representation", some).astype(np.float64).ravel()
    pairs = ((record, manifest.probe), (found.tolist(), expected.tolist()))
    return all(same_probe(one, two, manifest.dtype) for one, two in pairs)


def no_floor(inversions: Inversions) -> str | None:
    """The reason why there is no floor; None if there is one."""
    engine = inversions.manifest.identity["engine"]
    try:
        start = STARTS.build(engine["start"])
        CONSTRAINTS.build(engine["constraint"])
        RULES.build(engine["method"])
    except RequestError as error:
        return str(error)
    if start.shared:
        return f"start={STARTS.text(start)!r} is the same for all {inversions.kind.name}s"
    data = inversions.manifest.identity["data"]
    if "starts" not in engine and not start.of_data:
        first = int(data_order(data, 1)[0])
        if array_hash(start_of(inversions, first, 0).numpy()) != inversions.manifest.first_start:
            return "the starts cannot be drawn again by this version"
    return None
