"""The accepted inversions of a set, and their scores beside those of all inversions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stir_hf.data.sets.inversions import Inversions
from stir_hf.engine import RULES, Accepting
from stir_hf.errors import RequestError
from stir_hf.results import ANCHORS, Accepted, Anchors
from stir_hf.scoring.acceptance import likeness, random_pairs, surpassing, thresholds
from stir_hf.similarity import MEASURES, Measure
from stir_hf.similarity.several import Several

_AT_ONCE = 64


@dataclass(frozen=True)
class Acceptance:
    """The inversions of a set that are accepted, and the conditions."""

    rows: NDArray[np.bool_]
    """(n,): True for an accepted inversion."""
    num_samples: int
    """The number of originals with an accepted inversion."""
    limits: tuple[float, float, float]
    """The thresholds: Spearman's ρ, Pearson's r, signal-to-noise ratio in dB."""
    pairs: int
    """The number of random pairs from which the thresholds are."""
    kind: str
    """The name of an input."""
    by_class: bool
    """True if the class of the original is a condition too."""

    def notes(self) -> Iterator[str]:
        """Notes for readers of a score."""
        spearman, pearson, snr = self.limits
        also = ", and keep the class of their original" if self.by_class else ""
        yield (
            f"{self.rows.mean():.0%} of the inversions are accepted: they exceed the largest"
            f" likeness of {self.pairs} random pairs of {self.kind}s (Spearman's ρ {spearman:.3f},"
            f" Pearson's r {pearson:.3f}, {snr:.2f} dB){also}"
        )
        if not self.by_class:
            yield (
                "the reference has no logits of classes, so inversions are accepted without"
                " comparing classes"
            )


def acceptance_of(inversions: Inversions) -> Acceptance | None:
    """Decide which inversions of a set are accepted; None where the method does not ask, or all
    originals have the same representation.

    Raises:
        BrokenError: representations that are not as stir-hf stores them.
    """
    engine = inversions.manifest.identity["engine"]
    try:
        rule = RULES.build(engine["method"])
    except RequestError:
        return None
    if not isinstance(rule, Accepting):
        return None
    originals = np.unique(inversions.index, return_index=True)[1]
    pairs = originals[random_pairs(len(originals), rule.pairs, engine["seed"])]
    limits = thresholds(lambda rows: inversions.vectors("representation", rows), pairs)
    if limits is None:
        return None
    rows = np.zeros(len(inversions), bool)
    for some in inversions.batches(_AT_ONCE):
        original, inverted = (
            inversions.vectors(f"representation{suffix}", some) for suffix in ("", "_inverted")
        )
        rows[some] = surpassing(likeness(original, inverted), limits)
    if (kept := inversions.class_kept) is not None:
        rows &= kept
    spearman, pearson, snr = (float(limit) for limit in limits)
    return Acceptance(
        rows=rows,
        num_samples=len(np.unique(inversions.index[rows])),
        limits=(spearman, pearson, snr),
        pairs=rule.pairs,
        kind=inversions.kind.name,
        by_class=kept is not None,
    )


def accepted_score(
    acceptance: Acceptance | None,
    parts: Sequence[Mapping[str, Several]],
    measure: Measure,
    notes: list[str],
) -> Accepted | None:
    """The scores of the accepted inversions, the means over draws, from the accumulators of each
    draw; values are None, with a note, where a draw has too few of them. Adds the notes of the
    acceptance. None without one.
    """
    if acceptance is None:
        return None
    notes += acceptance.notes()
    enough = min(part["stir"].n for part in parts) >= measure.least_rows
    if not enough:
        notes.append(
            f"the scores of the accepted inversions are undefined: {int(acceptance.rows.sum())} are"
            f" accepted, and {MEASURES.name_of(measure)} needs {measure.least_rows} of each draw"
        )

    def anchors(how: str) -> Anchors:
        named = ((name, _mean(parts, name, how, measure, notes)) for name in ANCHORS)
        return Anchors(**(dict(named) if enough else dict.fromkeys(ANCHORS)))

    forms = ("value", "debiased" if measure.has_debiased else "value")
    plain, debiased = (anchors(how) for how in forms)
    spearman, pearson, snr = acceptance.limits
    return Accepted(
        **vars(plain),
        debiased=debiased if measure.has_debiased else None,
        num_samples=acceptance.num_samples,
        share=float(acceptance.rows.mean()),
        spearman=spearman,
        pearson=pearson,
        snr=snr,
        by_class=acceptance.by_class,
    )


def _mean(
    parts: Sequence[Mapping[str, Several]],
    name: str,
    how: str,
    measure: Measure,
    notes: list[str],
) -> float | None:
    """The mean of a value over draws; None where it is not measured or, with a note, undefined."""
    if name not in parts[0]:
        return None
    try:
        return float(np.mean([getattr(part[name], how)(measure) for part in parts]))
    except ValueError as error:
        notes.append(f"{name} of the accepted inversions undefined: {error}")
        return None
