"""A result as text and pictures."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stir_hf.results import Score, StirResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stir_hf.inversions import Inversions

COLUMNS = ("model", "reference", "STIR", "similarity", "floor", "ceiling", "debiased", "error", "converged")


def table(result: StirResult) -> str:
    """The scores as a Markdown table, what must be known about them first."""
    names = labels(result)
    rows = [_cells(score, names) for score in result.scores]
    widths = [max(len(row[i]) for row in [COLUMNS, *rows]) for i in range(len(COLUMNS))]
    lines = [_line(COLUMNS, widths), "|" + "|".join("-" * (w + 2) for w in widths) + "|"]
    lines += [_line(row, widths) for row in rows]
    return "\n".join([*_notes(result.scores, names), *lines])


def labels(result: StirResult) -> dict[tuple[str, str], str]:
    """What to call each (model, layer): the last part of its name, and as much more as tells it from the others."""
    scores = result.scores
    keys = dict.fromkeys(k for s in scores for k in ((s.reference, s.reference_layer), (s.model, s.layer)))
    short = {name: _short(name) for name, _ in keys}
    names = {name: s if list(short.values()).count(s) == 1 else name for name, s in short.items()}
    layers = Counter(name for name, _ in keys)
    return {(name, layer): names[name] + (f" {layer}" if layers[name] > 1 else "") for name, layer in keys}


def heat_map(result: StirResult, value: str = "stir") -> "Axes":
    """A value of every score (`stir`, `similarity`, …), reference by row, model by column, the ceiling on the diagonal."""
    names = labels(result)
    places = {key: i for i, key in enumerate(names)}
    grid = np.full((len(names), len(names)), np.nan)
    for s in result.scores:
        at = places[s.reference, s.reference_layer], places[s.model, s.layer]
        grid[at] = getattr(s, value)
        if value == "stir" and s.ceiling is not None:
            grid[at[0], at[0]] = s.ceiling
    figure = _figure(1.6 + 1.1 * len(names), 1.4 + 0.9 * len(names))
    axes = figure.add_subplot()
    _draw(axes, grid, list(names.values()))
    axes.set_title("STIR(model | reference)" if value == "stir" else f"{value} of model and reference", fontsize=11)
    return axes


def pairs(sets: "Sequence[Inversions]", count: int = 10) -> "Figure":
    """Originals above their inversions, the first `count` images by index; originals once where the sets share them."""
    columns = min(count, *(len(s) for s in sets))
    rows: list[tuple[str, np.ndarray]] = []
    shown: np.ndarray | None = None
    for inversions in sets:
        originals = inversions.pixels("image", range(columns))
        if shown is None or shown.shape != originals.shape or not np.array_equal(shown, originals):
            rows.append(("image", originals))
            shown = originals
        name = _short(inversions.recipe["reference"]["model"])
        rows.append((f"same to\n{name}", inversions.pixels("inverted", range(columns))))
    figure = _figure(1.9 + 0.85 * columns, 0.3 + 0.95 * len(rows))
    grid = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"hspace": 0.08, "wspace": 0.06})
    for line, (label, images) in zip(grid, rows, strict=True):
        for axes, image in zip(line, images, strict=True):
            axes.imshow(image.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9, labelpad=8)
    return figure


def save_figures(result: StirResult, sets: "Sequence[Inversions]", folder: Path) -> list[Path]:
    """Write `figures/pairs.png`, and `figures/matrix.png` where there are more than two models; their paths."""
    target = folder / "figures"
    target.mkdir(parents=True, exist_ok=True)
    drawn = {"pairs": pairs(sets)} if sets else {}
    if len(labels(result)) > 2:
        for name, value in (("matrix", "stir"), ("similarity", "similarity")):
            figure = heat_map(result, value).get_figure(root=True)
            assert figure is not None
            drawn[name] = figure
    paths = []
    for name, figure in drawn.items():
        figure.savefig(target / f"{name}.png", dpi=130, bbox_inches="tight")
        paths.append(target / f"{name}.png")
    return paths


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def _draw(axes: "Axes", grid: np.ndarray, names: list[str]) -> None:
    image = axes.imshow(grid, vmin=0, vmax=1, cmap="viridis")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="model", ylabel="reference")
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            colour = "white" if value < 0.6 else "black"
            text = f"{value:.2f}" + ("\n(ceiling)" if row == column else "")
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    axes.figure.colorbar(image, ax=axes, fraction=0.046, pad=0.04)


def _cells(score: Score, names: dict[tuple[str, str], str]) -> tuple[str, ...]:
    debiased = " / ".join(_number(v) for v in (score.debiased.stir, score.debiased.floor))
    error = f"{score.relative_error.median:.3f}"
    numbers = (_number(v) for v in (score.stir, score.similarity, score.floor, score.ceiling))
    model, reference = names[score.model, score.layer], names[score.reference, score.reference_layer]
    return (model, reference, *numbers, debiased, error, f"{score.converged:.0%}")


def _notes(scores: Sequence[Score], names: dict[tuple[str, str], str]) -> list[str]:
    """Each note once per reference, with a line below them that names two of the columns."""
    notes = dict.fromkeys(f"Note: {names[s.reference, s.reference_layer]}: {note}" for s in scores for note in s.notes)
    return [
        *notes,
        *([""] if notes else []),
        "(debiased: STIR / floor; error: median relative error of the inversions)",
        "",
    ]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _short(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]
