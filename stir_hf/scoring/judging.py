"""The score of a model on an inversion set."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from stir_hf.data.identity import hash_of
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sources.samples import Samples
from stir_hf.errors import RunError
from stir_hf.models import Opened
from stir_hf.results import (
    ANCHORS,
    Anchors,
    Displacement,
    RelativeError,
    Scale,
    Score,
    SpreadError,
)
from stir_hf.runtime import Processes, Progress, RunConfig, Watcher, progress_bar
from stir_hf.scoring.accepted import Acceptance, acceptance_of, accepted_score
from stir_hf.scoring.checks import JudgeConfig
from stir_hf.scoring.notes import no_floor, notes_on, same_network
from stir_hf.scoring.representations import accumulate
from stir_hf.scoring.resizing import canvas_note
from stir_hf.scoring.statistics import statistics
from stir_hf.similarity import MEASURES, ConstantError, Measure
from stir_hf.similarity.several import Several

Judged = tuple[Score, Displacement]
"""A score, and the displacement of each pair in the model."""


def judge(
    pairs: Sequence[tuple[Opened, Inversions]],
    options: JudgeConfig,
    run: RunConfig,
    processes: Processes,
    *,
    samples: Samples | None = None,
    progress: bool | Watcher,
) -> list[list[Judged]]:
    """The scores of each network on its inversion set, one per measure, with one progress bar over
    all of them. The processes share the inputs, and all get the scores. `samples`, the originals
    before preprocessing, are for a note on the canvas.

    Raises:
        RunError: representations that are not finite, or constant; or fewer inputs left than the
            measure needs.
    """
    total = sum(len(inversions) for _, inversions in pairs)
    with progress_bar(total, 0, processes.counters(), progress, main=processes.main) as bar:
        judged = []
        for network, inversions in pairs:
            bar.describe(f"judging {network.encoder.name}")
            found = _judged(network, inversions, options, run, processes, bar)
            note = processes.on_main(partial(canvas_note, network, inversions, samples))
            more = () if note is None else (note,)
            judged.append([(replace(s, notes=(*s.notes, *more)), moves) for s, moves in found])
        bar.show()
    return judged


def _judged(
    network: Opened,
    inversions: Inversions,
    options: JudgeConfig,
    run: RunConfig,
    processes: Processes,
    progress: Progress,
) -> list[Judged]:
    """STIR(network | reference of the inversions) under each measure, with its anchors; the mean of
    the scores of several draws.
    """
    without = no_floor(inversions)
    anchors = [name for name in ANCHORS if name != "floor" or without is None]
    batch_size = run.batch(math.prod(inversions.kind.shape), network.encoder.device)
    acceptance = processes.on_main(partial(acceptance_of, inversions))
    groups = [inversions.draw == draw for draw in range(inversions.draws)]
    if acceptance is not None:
        groups += [draw & acceptance.rows for draw in groups]
    parts, moves = accumulate(
        network, inversions, options, anchors, groups, batch_size, processes, progress
    )

    def scores() -> list[Judged]:
        return [
            _score(network, inversions, measure, options, parts, moves, without, acceptance)
            for measure in options.measure
        ]

    return processes.on_main(scores)


def _score(
    network: Opened,
    inversions: Inversions,
    measure: Measure,
    options: JudgeConfig,
    parts: Sequence[Mapping[str, Several]],
    moves: Displacement,
    without: str | None,
    acceptance: Acceptance | None,
) -> Judged:
    """Make the score; `without` is the reason why there is no floor. The accumulators of the draws
    come first, then those of their accepted inversions.
    """
    names, notes = inversions.manifest.names, [*notes_on(inversions), *network.network_notes]
    parts, of_accepted = parts[: inversions.draws], parts[inversions.draws :]
    if same_network(network, inversions):
        notes.append("the model and the reference are the same network")
    if without is not None:
        notes.append(f"floor undefined: {without}")
    given = f"{network.where}, given {names['reference']}"
    values: dict[str, tuple[float | None, float | None]] = {
        n: _mean([part[n] for part in parts], n, given, measure, notes) for n in parts[0]
    }
    values.setdefault("floor", (None, None))
    biased, debiased = (Anchors(**{name: values[name][k] for name in ANCHORS}) for k in (0, 1))
    if not measure.has_debiased:
        notes.append(f"{MEASURES.name_of(measure)} has no debiased form")
    count = len(np.unique(inversions.index))
    accepted = accepted_score(acceptance, of_accepted, measure, notes)
    known = statistics(inversions, measure, parts, options, moves.cluster, notes)
    score = Score(
        model=network.label,
        reference=names["reference"],
        layer=network.encoder.layer,
        reference_layer=names["layer"],
        measure=MEASURES.text(measure),
        **vars(biased),
        debiased=debiased if measure.has_debiased else None,
        num_samples=count,
        **_errors(inversions),
        **known.of_score(),
        accepted=accepted,
        notes=tuple(dict.fromkeys(notes)),
        draw_distance=inversions.draw_distance,
        draws=inversions.draws,
        left_out=inversions.num_samples - count,
        inversion_set=inversions.manifest.hash[:16],
        network_id=hash_of(network.identity)[:16],
        scale=Scale(*measure.bounds, measure.closer),
    )
    return score, moves.leaving_out(known.clusters, known.left_out)


def _errors(inversions: Inversions) -> dict[str, Any]:
    """The errors of the inversions, as fields of a score."""
    errors, above, left = inversions.relative_error, ~inversions.converged, inversions.spread_error
    return {
        "relative_error": RelativeError.of(errors),
        "converged": float((~above).mean()),
        "unconverged": RelativeError.of(errors[above]) if above.any() else None,
        "spread_error": None if left is None else SpreadError.of(left),
    }


def _constant(name: str, side: str) -> str:
    """Say which representations are all the same, where a value is undefined for one side."""
    of_reference = name == "ceiling" or (name == "similarity" and side == "x")
    of_originals = name == "similarity" or side == "x"
    inputs = "originals" if of_originals else "starts" if name == "floor" else "inversions"
    return f"the {'reference' if of_reference else 'model'} represents all {inputs} the same"


def _mean(
    parts: Sequence[Several], name: str, where: str, measure: Measure, notes: list[str]
) -> tuple[float | None, float | None]:
    """The mean of one value over all draws, plain and debiased."""
    try:
        value = float(np.mean([part.value(measure) for part in parts]))
    except ConstantError as error:
        told = _constant(name, error.side)
        # The originals must be told apart; that starts or inversions are not is a finding.
        if name == "similarity" or (name != "ceiling" and error.side == "x"):
            hint = "choose another layer, or other data"
            raise RunError(f"{name} of {where}: {told}; {hint}") from error
        notes.append(f"{name} undefined: {told}")
        return None, None
    except ValueError as error:
        raise RunError(f"{name} of {where}: {error}") from error
    if not measure.has_debiased:
        return value, None
    try:
        return value, float(np.mean([part.debiased(measure) for part in parts]))
    except ValueError as error:
        notes.append(f"debiased {name} undefined: {error}")
        return value, None
