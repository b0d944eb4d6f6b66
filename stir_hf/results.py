"""Scores as plain data, to and from JSON."""

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from stir_hf.errors import printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

FILE_NAME, PER_IMAGE = "result.json", "per_image.parquet"
ANCHORS = ("stir", "similarity", "floor", "ceiling")
COMPARED = ("inversion_set", "layer", "measure", "num_samples", "draws")
"""Columns in which scores agree that may be compared."""

_Data = TypeVar("_Data")


def _known(cls: type[_Data], data: Mapping[str, Any], **changed: Any) -> _Data:
    """A dataclass from a dictionary; fields of later versions are passed over."""
    names = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in {**data, **changed}.items() if name in names})


@dataclass(frozen=True)
class Anchors:
    """One score and its anchors under one measure; None where a value is undefined (see
    `Score.notes`).
    """

    stir: float | None
    """S(model(X), model(X')), X' the reference's inversions."""
    similarity: float | None
    """S(reference(X), model(X))."""
    floor: float | None
    """S(model(X), model(X⁰)), X⁰ the start images: the score of no inversion at all."""
    ceiling: float | None
    """S(reference(X), reference(X')): the reference on its own inversions."""


@dataclass(frozen=True)
class _Errors:
    """The error of the stored images: 0 is exact, no unit."""

    median: float
    mean: float
    p95: float
    """The 95th percentile."""

    @classmethod
    def of(cls, errors: "NDArray[np.floating[Any]]") -> Self:
        """Summarise the errors of at least one inversion, (n,)."""
        median, p95 = (float(np.quantile(errors, q)) for q in (0.5, 0.95))
        return cls(median, float(errors.mean()), p95)


class RelativeError(_Errors):
    """‖reference(x') - reference(x)‖ / ‖reference(x)‖ of the stored images: 0 is exact, no unit."""


class SpreadError(_Errors):
    """‖reference(x') - reference(x)‖ of the stored images over the spread: the root mean square
    distance of the representations reference(x) from their mean. 0 is exact; 1, as far off as the
    mean of all images.
    """


@dataclass(frozen=True)
class Score:
    """STIR(model | reference) with everything that is needed to read it."""

    model: str
    """The judged network: its Hub id, or the name of what is local with 8 digits of its content."""
    reference: str
    """The network whose inversions these are, likewise."""
    layer: str
    """Read in the model, as it was asked for: `penultimate`, not what that turned out to be."""
    reference_layer: str
    """Read in the reference, likewise."""
    measure: str
    """The measure S with its options, such as `linear_cka`."""
    stir: float | None
    """S(model(X), model(X')), X' the reference's inversions of the images X; in [0, 1] under linear
    CKA, as the three below. None where it is undefined; `notes` says why.
    """
    similarity: float | None
    """S(reference(X), model(X)): plain similarity."""
    floor: float | None
    """S(model(X), model(X⁰)), X⁰ the start images: the score of no inversion at all."""
    ceiling: float | None
    """S(reference(X), reference(X')): the reference on its own inversions."""
    debiased: Anchors | None
    """The same four under the debiased measure; None for a measure that has no such form."""
    num_samples: int
    """Images in the score."""
    relative_error: RelativeError
    """The error of all inversions in the score."""
    converged: float
    """Share of the inversions whose relative error is at or below the tolerance."""
    unconverged: RelativeError | None = None
    """The same of those above the tolerance; None where there are none."""
    spread_error: SpreadError | None = None
    """The same distances over the spread of the representations, of all inversions in the score:
    what is left of the differences between images. None where the spread is 0 (see `notes`).
    """
    interval: tuple[float, float] | None = None
    """The interval of `stir`, the lower end first; always None so far: none is computed."""
    notes: tuple[str, ...] = ()
    """Lines that a reader must know: inversions that failed, values that are undefined and why."""
    draws: int = 1
    """Inversions per image; the score is the mean over them."""
    left_out: int = 0
    """Images that were asked for and could not be read or inverted; `notes` names them."""
    inversion_set: str = ""
    """16 hexadecimal digits of the identity of the inversion set."""
    network_id: str = ""
    """16 hexadecimal digits of the identity of the judged network, its layer included."""

    def flat(self) -> dict[str, float | None]:
        """The numbers of the score, one name each: `stir`, `stir_debiased` and so on; medians, as
        `relative_error` and `spread_error`.
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
        """The inverse of `dataclasses.asdict`, after a round trip through JSON."""
        interval, debiased, rest = (data.get(n) for n in ("interval", "debiased", "unconverged"))
        spread = data.get("spread_error")
        return _known(
            cls,
            data,
            debiased=None if debiased is None else _known(Anchors, debiased),
            relative_error=_known(RelativeError, data["relative_error"]),
            unconverged=None if rest is None else _known(RelativeError, rest),
            spread_error=None if spread is None else _known(SpreadError, spread),
            interval=None if interval is None else (interval[0], interval[1]),
            notes=tuple(data.get("notes", ())),
        )

    def __str__(self) -> str:
        values = {name: _number(getattr(self, name)) for name in ANCHORS}
        if self.debiased is not None:
            values["ceiling"] += f", debiased {_number(self.debiased.ceiling)}"
        shown = ", ".join(f"{name} {value}" for name, value in values.items() if name != "stir")
        return printable(
            f"STIR({self.model} | {self.reference}) = {values['stir']} ({shown};"
            f" {self.num_samples} images, {self.converged:.0%} converged)"
        )


@dataclass(frozen=True, eq=False)
class Displacement:
    """The moves of a judged model from each image to its inversion; one row per (image, draw)."""

    index: "NDArray[np.int64]"
    """(n,): the image's row in its split."""
    draw: "NDArray[np.int32]"
    """(n,): which inversion of that image, from 0."""
    relative_distance: "NDArray[np.float32]"
    """(n,): ‖model(x') - model(x)‖ / ‖model(x)‖: 0 where the model ignores the difference; NaN
    where model(x) is zero.
    """
    cosine: "NDArray[np.float32]"
    """(n,): of the angle between model(x') and model(x), in [-1, 1]; NaN where one is zero."""
    relative_error: "NDArray[np.float32]"
    """(n,): the same distance for the reference: what the inversion left."""


@dataclass(frozen=True, repr=False)
class StirResult:
    """Scores, what was asked for, and where it ran."""

    scores: tuple[Score, ...]
    """Two of `compare`: the model given the reference, then the reverse. Of `score` and `matrix`
    one for each model and inversion set, those of one set together.
    """
    config: dict[str, Any] = field(default_factory=dict)
    """The request as plain data: every option, the models and the data with revisions
    resolved to commits, and `hash`, which is equal where the same run was asked for.
    """
    environment: dict[str, Any] = field(default_factory=dict)
    """The machine as plain data: versions, device, number of processes and threads."""
    displacements: tuple[Displacement, ...] = field(default=(), compare=False)
    """The moves of the model on each pair, for each score; not part of `to_dict`."""

    def to_dict(self) -> dict[str, Any]:
        """The object that `--json` prints: only lists, dictionaries, strings, numbers and None."""
        plain = asdict(replace(self, displacements=()))
        del plain["displacements"]
        return json.loads(json.dumps(plain))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "StirResult":
        """The inverse of `to_dict`; fields of later versions are passed over."""
        return _known(cls, data, scores=tuple(Score.from_dict(s) for s in data["scores"]))

    def to_pandas(self) -> "pd.DataFrame":
        """One row per score; the debiased values as columns `debiased.stir` and so on."""
        import pandas as pd

        return pd.json_normalize(self.to_dict()["scores"])

    def per_image(self) -> "pd.DataFrame":
        """One row per score, image and draw: `score` (its place), `model`, `layer`, `reference`,
        and the columns of `Displacement`. What the judged model does not ignore has a large
        `relative_distance`.
        """
        import pandas as pd

        frames = []
        for place, (score, displacements) in enumerate(
            zip(self.scores, self.displacements, strict=False)
        ):
            about = {"score": place, "model": score.model, "layer": score.layer}
            columns = {f.name: getattr(displacements, f.name) for f in fields(displacements)}
            frames.append(pd.DataFrame({**about, "reference": score.reference, **columns}))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `per_image.parquet` and `result.json` in `folder` (made where missing), each in one
        step; returns the path of the latter.
        """
        path = Path(folder) / FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.displacements:
            table = path.with_name(f".{PER_IMAGE}.{uuid.uuid4().hex[:8]}.partial")
            self.per_image().to_parquet(table, index=False)
            table.replace(path.with_name(PER_IMAGE))
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        partial = path.with_name(f".{FILE_NAME}.{uuid.uuid4().hex[:8]}.partial")
        partial.write_text(text + "\n", "utf-8")
        partial.replace(path)
        return path

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "StirResult":
        """Read back what `save` wrote.

        Raises:
            FileNotFoundError: there is no `result.json` in `folder`.
        """
        found = cls.from_dict(json.loads((Path(folder) / FILE_NAME).read_text("utf-8")))
        table = Path(folder) / PER_IMAGE
        return (
            replace(found, displacements=_read_displacements(table)) if table.is_file() else found
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """A heat map of STIR, reference by row and model by column, in matplotlib axes (new ones
        unless given).
        """
        from stir_hf.report import heat_map

        return heat_map(self, ax=ax)

    def push_to_hub(self, repo_id: str, **how: Any) -> str:
        """Send the scores to a dataset repo on the Hub, config `scores`; returns its URL.

        Args:
            repo_id: `NAMESPACE/NAME`, made where there is none.
            how: `private`, `create_pr`, as those of `stir-hf push`.

        Raises:
            RequestError: a repo that this token may not write.
            RunError: the Hub refuses, or is away for longer than STIR_HF_HUB_TIMEOUT.
        """
        from stir_hf.publish import send

        return send(repo_id, (), self, **how)

    def __repr__(self) -> str:
        return "\n".join(map(str, self.scores)) or "StirResult without scores"

    def _repr_html_(self) -> str:
        from stir_hf.report import html_table

        return html_table(self)


def _read_displacements(table: Path) -> tuple[Displacement, ...]:
    import pandas as pd

    names = [f.name for f in fields(Displacement)]
    rows = pd.read_parquet(table)
    return tuple(
        Displacement(**{name: part[name].to_numpy() for name in names})
        for _, part in rows.groupby("score", sort=True)
    )


def _number(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
