"""Results: scores, the request and the environment, to and from files."""

import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stir_hf.errors import RequestError
from stir_hf.results.displacement import Difference, Displacement, difference
from stir_hf.results.parts import known_fields
from stir_hf.results.score import Score

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from stir_hf.data.sets.inversions import Inversions


FILE_NAME, PER_IMAGE = "result.json", "per_image.parquet"


@dataclass(frozen=True, repr=False)
class StirResult:
    """Scores, the request that gave them, and the environment."""

    scores: tuple[Score, ...]
    """Two of `compare`: the model given the reference, then the reverse. Of `score` and `matrix`
    one for each model and inversion set, those of one set together.
    """
    config: dict[str, Any] = field(default_factory=dict)
    """The request as plain data: every option, the models and the data with revisions resolved to
    commits, and `hash`, which is equal for equal requests.
    """
    environment: dict[str, Any] = field(default_factory=dict)
    """The machine as plain data: versions, device, number of processes and threads."""
    displacements: tuple[Displacement, ...] = field(default=(), compare=False)
    """The displacements of the model on each pair, for each score; not part of `to_dict`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `--json` prints: only lists, dictionaries, strings, numbers and
        None.
        """
        plain = asdict(replace(self, displacements=()))
        del plain["displacements"]
        return json.loads(json.dumps(plain))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "StirResult":
        """Return a result from the object of `to_dict`; fields of later versions are ignored."""
        return known_fields(cls, data, scores=tuple(Score.from_dict(s) for s in data["scores"]))

    def to_pandas(self) -> "pd.DataFrame":
        """Return one row per score; the debiased values are columns `debiased.stir` and so on."""
        import pandas as pd

        return pd.json_normalize(self.to_dict()["scores"])

    def per_image(self) -> "pd.DataFrame":
        """Return one row per score, sample and draw: `score` (its place), `model`, `layer`,
        `reference`, and the columns of `Displacement`. A sample whose difference the judged model
        does not ignore has a large `relative_distance`.
        """
        import pandas as pd

        frames = []
        pairs = zip(self.scores, self.displacements, strict=False)
        for place, (score, displacement) in enumerate(pairs):
            about: dict[str, Any] = {"score": place, "model": score.model, "layer": score.layer}
            about |= {"reference": score.reference, **vars(displacement)}
            frames.append(pd.DataFrame(about))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def difference(self, first: int, second: int, *, level: float = 0.95) -> Difference:
        """Return the difference of two debiased scores on the same inversions, with an interval
        that is paired: what moves both scores alike does not widen it.

        Args:
            first: the place of the first score in `scores`.
            second: that of the score that is subtracted.
            level: the share of such intervals that contain the difference of all samples.

        Raises:
            RequestError: scores of different inversions or measures, or without intervals.
        """
        if not self.displacements:
            raise RequestError("the result has no displacements; load the folder that was saved")
        scores = self.scores[first], self.scores[second]
        return difference(scores, (self.displacements[first], self.displacements[second]), level)

    def save(self, folder: str | os.PathLike[str], inversions: "Sequence[Inversions]" = ()) -> Path:
        """Write `result.json`, `per_image.parquet`, `report.html` and `figures/` in `folder` (made
        where missing), each file in one step; returns the path of the first.

        Args:
            folder: the folder.
            inversions: the sets that were judged; their first samples are drawn.
        """
        from stir_hf.report import save_report

        path = Path(folder) / FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        if self.displacements:
            table = self.per_image()
            in_one_step(path.with_name(PER_IMAGE), lambda to: table.to_parquet(to, index=False))
        save_report(self, path.parent, inversions)
        in_one_step(path, lambda into: into.write_text(text + "\n", "utf-8"))
        return path

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "StirResult":
        """Read a result that `save` wrote.

        Raises:
            FileNotFoundError: there is no `result.json` in `folder`.
        """
        found = cls.from_dict(json.loads((Path(folder) / FILE_NAME).read_text("utf-8")))
        table = Path(folder) / PER_IMAGE
        there = _read_displacements(table) if table.is_file() else ()
        return replace(found, displacements=there)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw a heat map of STIR, one reference per row and one model per column, in matplotlib
        axes (new ones unless given).
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


def in_one_step(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside `path`, and move it there when it is whole."""
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read_displacements(table: Path) -> tuple[Displacement, ...]:
    import pandas as pd

    rows = pd.read_parquet(table)
    names = [f.name for f in fields(Displacement) if f.name in rows]
    return tuple(
        Displacement(**{n: part[n].to_numpy() for n in names if part[n].notna().any()})
        for _, part in rows.groupby("score", sort=True)
    )
