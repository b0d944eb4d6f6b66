"""A score with its anchors and errors. The metadata of a field describes its columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from stir_hf.errors import printable
from stir_hf.results.columns import (
    CLOSER,
    COUNT,
    ERROR,
    FLAG,
    HASH,
    LINES,
    NAME,
    SHARE,
    SIZE,
    VALUE,
    Column,
    Told,
)
from stir_hf.results.parts import (
    ANCHORS,
    ERRORS,
    Accepted,
    Anchors,
    Interval,
    Null,
    RelativeError,
    SpreadError,
    known_fields,
)
from stir_hf.results.scale import Scale

COMPARED = ("inversion_set", "layer", "measure", "num_samples", "draws")
"""The columns that are equal for comparable scores."""


def _parts(
    names: tuple[str, ...],
    column: Column,
    name: str = "{field}_{part}",
    heading: str = "",
    below: str = "",
) -> Mapping[str, Told]:
    """Return the metadata of a field whose parts have the same type of column."""
    parts = dict.fromkeys(names, column)
    return Told(parts=parts, name=name, heading=heading, below=below).metadata()


@dataclass(frozen=True)
class Score:
    """STIR(model | reference) with the values that are needed to read it."""

    model: str = field(metadata=Told(NAME, heading="model").metadata())
    """The judged network: its Hub id, or for a local network its name with 8 digits of its content.
    """
    reference: str = field(metadata=Told(NAME, heading="reference").metadata())
    """The network that was inverted, likewise."""
    layer: str = field(metadata=Told(NAME).metadata())
    """The layer of the model as it was requested: `penultimate`, not the layer that this resolved
    to.
    """
    reference_layer: str = field(metadata=Told(NAME).metadata())
    """The layer of the reference, likewise."""
    measure: str = field(metadata=Told(NAME).metadata())
    """The measure S with its options, such as `linear_cka`."""
    stir: float | None = field(
        metadata=Told(VALUE, heading="STIR", below="stir_debiased").metadata()
    )
    """S(model(X), model(X')), X' the reference's inversions of the originals X; in [0, 1] under
    linear CKA, as the three below. None where it is undefined; `notes` says why.
    """
    similarity: float | None = field(
        metadata=Told(VALUE, heading="similarity", below="similarity_debiased").metadata()
    )
    """S(reference(X), model(X)): plain similarity."""
    floor: float | None = field(
        metadata=Told(VALUE, heading="floor", below="floor_debiased").metadata()
    )
    """S(model(X), model(X⁰)), X⁰ the starts: the score of no inversion at all."""
    ceiling: float | None = field(
        metadata=Told(VALUE, heading="ceiling", below="ceiling_debiased").metadata()
    )
    """S(reference(X), reference(X')): the reference on its own inversions."""
    debiased: Anchors | None = field(metadata=_parts(ANCHORS, VALUE, "{part}_{field}"))
    """The same four under the debiased measure; None for a measure that has no such form."""
    num_samples: int = field(metadata=Told(SIZE, heading="n").metadata())
    """The number of samples in the score."""
    relative_error: RelativeError = field(
        metadata=_parts(ERRORS, ERROR, heading="error", below="spread_error")
    )
    """The error of all inversions in the score."""
    converged: float = field(metadata=Told(SHARE, heading="converged").metadata())
    """The share of inversions whose relative error is at or below the tolerance."""
    unconverged: RelativeError | None = field(default=None, metadata=_parts(ERRORS, ERROR))
    """The errors of the inversions above the tolerance; None where there are none."""
    spread_error: SpreadError | None = field(default=None, metadata=_parts(ERRORS, ERROR))
    """The same distances over the spread of the representations, of all inversions in the score:
    what is left of the differences between samples. None where the spread is 0 (see `notes`).
    """
    interval: Interval | None = field(
        default=None,
        metadata=Told(parts={"low": VALUE, "high": VALUE}).metadata(),
    )
    """An interval of `debiased.stir` over samples, (low, high); None of a measure without one, or
    where it is undefined (see `notes`). Biased values fall with the number of samples, so they have
    none.
    """
    interval_level: float | None = field(default=None, metadata=Told(SHARE).metadata())
    """The share of such intervals that contain the value of all samples; None without one."""
    draw_deviation: float | None = field(default=None, metadata=Told(ERROR).metadata())
    """The standard deviation of `debiased.stir` over draws: these samples, another start. None with
    one draw.
    """
    null: Null | None = field(
        default=None,
        metadata=Told(
            parts={
                "threshold": VALUE,
                **dict.fromkeys(("p", "calibrated", "alpha"), SHARE),
                "permutations": COUNT,
            }
        ).metadata(),
    )
    """STIR beside the values of permuted inversions; None where no null was asked for."""
    notes: tuple[str, ...] = field(default=(), metadata=Told(LINES).metadata())
    """Lines that a reader must know: inversions that failed, values that are undefined and why."""
    draw_distance: float | None = field(default=None, metadata=Told(ERROR).metadata())
    """The root mean square difference of two inversions of one sample, in units of the inputs (the
    range of images is 1), on average; None with one draw.
    """
    draws: int = field(default=1, metadata=Told(SIZE).metadata())
    """Inversions per sample; the score is the mean over them."""
    left_out: int = field(default=0, metadata=Told(COUNT).metadata())
    """Samples that were asked for and could not be read or inverted; `notes` names them."""
    inversion_set: str = field(default="", metadata=Told(HASH).metadata())
    """16 hexadecimal digits of the identity of the inversion set."""
    network_id: str = field(default="", metadata=Told(HASH).metadata())
    """16 hexadecimal digits of the identity of the judged network, its layer included."""
    scale: Scale = field(
        default=Scale(),
        metadata=Told(
            parts={"least": VALUE, "most": VALUE, "closer": CLOSER}, name="measure_{part}"
        ).metadata(),
    )
    """The range of the measure, and the direction in which two networks are closer."""

    accepted: Accepted | None = field(
        default=None,
        metadata=Told(
            parts={
                **dict.fromkeys((*ANCHORS, "stir_debiased"), VALUE),
                **{"num_samples": COUNT, "share": SHARE, "by_class": FLAG},
                **dict.fromkeys(("spearman", "pearson", "snr"), VALUE),
            }
        ).metadata(),
    )
    """The scores of the inversions that are accepted, for a method that accepts (`metamer`)."""

    def flat(self) -> dict[str, float | None]:
        """Return the numbers of the score under one name each: `stir`, `stir_debiased` and so on;
        of errors the medians, as `relative_error` and `spread_error`.
        """
        values = {name: getattr(self, name) for name in ANCHORS}
        debiased = {f"{name}_debiased": getattr(self.debiased, name, None) for name in ANCHORS}
        errors = {
            "relative_error": self.relative_error.median,
            "spread_error": getattr(self.spread_error, "median", None),
            "converged": self.converged,
        }
        return {**values, **debiased, **errors}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Score":
        """Return a score from the plain data of `dataclasses.asdict`, after a round trip through
        JSON.
        """
        interval, debiased, rest = (data.get(n) for n in ("interval", "debiased", "unconverged"))
        spread, accepted, null = (data.get(n) for n in ("spread_error", "accepted", "null"))
        return known_fields(
            cls,
            data,
            debiased=None if debiased is None else known_fields(Anchors, debiased),
            relative_error=known_fields(RelativeError, data["relative_error"]),
            unconverged=None if rest is None else known_fields(RelativeError, rest),
            spread_error=None if spread is None else known_fields(SpreadError, spread),
            scale=known_fields(Scale, data.get("scale") or {}),
            accepted=None if accepted is None else Accepted.from_dict(accepted),
            interval=None if interval is None else Interval(*interval),
            null=None if null is None else known_fields(Null, null),
            notes=tuple(data.get("notes", ())),
        )

    def __str__(self) -> str:
        values = {name: number(getattr(self, name)) for name in ANCHORS}
        if self.debiased is not None:
            values["ceiling"] += f", debiased {number(self.debiased.ceiling)}"
        shown = ", ".join(f"{name} {value}" for name, value in values.items() if name != "stir")
        return printable(
            f"STIR({self.model} | {self.reference}) = {values['stir']} ({shown};"
            f" {self.num_samples} samples, {self.converged:.0%} converged)"
        )


def told_fields() -> dict[str, Told]:
    """Return the metadata of the fields that are published or shown, by the field's name."""
    return {f.name: f.metadata["told"] for f in fields(Score) if "told" in f.metadata}


def score_columns() -> dict[str, Column]:
    """Return the published columns of a score, by name."""
    return {
        name: column
        for field, told in told_fields().items()
        for name, column in told.columns(field).items()
    }


def published(score: Score) -> dict[str, Any]:
    """Return the published values of a score, by column."""
    found: dict[str, Any] = {}
    for name, told in told_fields().items():
        found |= told.values(name, getattr(score, name))
    return found


def number(value: object) -> str:
    """Return a number with three digits, a dash for None, and other values as text."""
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
