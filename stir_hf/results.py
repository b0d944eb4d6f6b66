"""What came out: plain data, to and from JSON."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FILE_NAME = "result.json"
ANCHORS = ("stir", "similarity", "floor", "ceiling")


@dataclass(frozen=True)
class Values:
    """One score and its anchors under one measure; null where a value is undefined (see `Score.notes`)."""

    stir: float | None
    """S(model(X), model(X')), X' the reference's inversions."""
    similarity: float | None
    """S(reference(X), model(X))."""
    floor: float | None
    """S(model(X), model(X⁰)), X⁰ the start images: the score of no inversion at all."""
    ceiling: float | None
    """S(reference(X), reference(X')): the reference on its own inversions."""


@dataclass(frozen=True)
class RelativeError:
    """‖reference(x') - reference(x)‖ / ‖reference(x)‖ of the stored images."""

    median: float
    mean: float
    p95: float


@dataclass(frozen=True)
class Score:
    """STIR(model | reference) with everything that is needed to read it."""

    model: str
    reference: str
    layer: str
    reference_layer: str
    measure: str
    stir: float | None
    similarity: float | None
    floor: float | None
    ceiling: float | None
    debiased: Values
    num_samples: int
    relative_error: RelativeError
    converged: float
    """Share of the inversions whose relative error is at or below the tolerance."""
    interval: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    """What the reader must know: inversions that failed, values that are undefined and why."""

    def flat(self) -> dict[str, float | None]:
        """The numbers of the score, one name each: `stir`, `stir_debiased` and so on; the median `relative_error`."""
        values = {name: getattr(self, name) for name in ANCHORS}
        debiased = {f"{name}_debiased": getattr(self.debiased, name) for name in ANCHORS}
        return {
            **values,
            **debiased,
            "relative_error": self.relative_error.median,
            "converged": self.converged,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Score":
        """The inverse of `dataclasses.asdict`, after a round trip through JSON."""
        interval = data["interval"]
        return cls(
            **{
                **data,
                "debiased": Values(**data["debiased"]),
                "relative_error": RelativeError(**data["relative_error"]),
                "interval": None if interval is None else (interval[0], interval[1]),
                "notes": tuple(data["notes"]),
            }
        )


@dataclass(frozen=True)
class StirResult:
    """Scores, what was asked for, and where it ran."""

    scores: tuple[Score, ...]
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The object that `--json` prints: only lists, dictionaries, strings, numbers and None."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "StirResult":
        """The inverse of `to_dict`."""
        return cls(
            tuple(Score.from_dict(s) for s in data["scores"]), data["config"], data["environment"]
        )

    def to_pandas(self) -> "pd.DataFrame":
        """One row per score; the debiased values as columns `debiased.stir` and so on."""
        import pandas as pd

        return pd.json_normalize(self.to_dict()["scores"])

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `result.json` in `folder` (made where missing), in one step; returns its path."""
        path = Path(folder) / FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(
            json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
            "utf-8",
        )
        partial.replace(path)
        return path

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "StirResult":
        """Read back what `save` wrote.

        Raises:
            FileNotFoundError: there is no `result.json` in `folder`.
        """
        return cls.from_dict(json.loads((Path(folder) / FILE_NAME).read_text("utf-8")))

    def plot(self) -> "Axes":
        """A heat map of STIR, reference by row and model by column, as matplotlib axes."""
        from stir_hf.report.figures import heat_map

        return heat_map(self)
