"""Heat maps of scores, and pictures of originals above their inversions."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stir_hf.errors import cut, printable
from stir_hf.report.table import labels, last_part
from stir_hf.results import Scale, StirResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stir_hf.data.sets.inversions import Inversions

Picture = NDArray[np.uint8]
_LONGEST = 60
"""The most characters of a name in a picture."""


def heat_map(
    result: StirResult, value: str = "stir", ax: "Axes | None" = None, measure: str | None = None
) -> "Axes":
    """Draw a value of every score (`stir`, `similarity`, `floor` or `ceiling`) under one measure,
    by default the first, one reference per row and one model per column, with the ceiling on the
    diagonal; in a new figure without axes.
    """
    measures = list(dict.fromkeys(s.measure for s in result.scores))
    several, measure = len(measures) > 1, measure or next(iter(measures), "")
    result = replace(result, scores=tuple(s for s in result.scores if s.measure == measure))
    names = labels(result)
    places = {key: i for i, key in enumerate(names)}
    grid = np.full((len(names), len(names)), np.nan)
    for s in result.scores:
        at = places[s.reference, s.reference_layer], places[s.model, s.layer]
        found = getattr(s, value)
        grid[at] = np.nan if found is None else found
        if value == "stir" and s.ceiling is not None:
            grid[at[0], at[0]] = s.ceiling
    axes = ax or _figure(1.6 + 1.1 * len(names), 1.4 + 0.9 * len(names)).add_subplot()
    scale = result.scores[0].scale if result.scores else Scale()
    _draw(axes, grid, [_drawn(name) for name in names.values()], scale)
    title = "STIR(model | reference)" if value == "stir" else f"{value} of model and reference"
    axes.set_title(f"{title}, {_drawn(measure)}" if several else title, fontsize=14)
    return axes


def pairs(sets: "Sequence[Inversions]", count: int = 8, *, originals: bool = True) -> "Figure":
    """Draw the first `count` originals by index above their inversions; originals that sets share
    are drawn once. All sets must be of a kind that can be drawn (`drawable`).
    """
    columns = min(count, *(len(s) for s in sets))
    rows: list[tuple[str, list[Picture]]] = []
    shown: list[Picture] = []
    for inversions in sets:
        if originals:
            images = _pictures(inversions, inversions.kind.name, columns)
            if len(images) != len(shown) or not all(map(np.array_equal, images, shown)):
                rows.append((inversions.kind.name, images))
                shown = images
        name = _drawn(last_part(inversions.manifest.names["reference"]))
        rows.append((f"inverted by\n{name}", _pictures(inversions, "inverted", columns)))
    figure = _figure(1.9 + 0.85 * columns, 0.3 + 0.95 * len(rows))
    grid = figure.subplots(
        len(rows), columns, squeeze=False, gridspec_kw={"hspace": 0.08, "wspace": 0.06}
    )
    for line, (label, images) in zip(grid, rows, strict=True):
        for axes, image in zip(line, images, strict=True):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=14, labelpad=8)
    return figure


def drawable(inversions: "Inversions") -> bool:
    """Tell whether the inputs of a set can be drawn as pictures."""
    return len(inversions) > 0 and bool(_pictures(inversions, "inverted", 1))


def _pictures(inversions: "Inversions", column: str, count: int) -> list[Picture]:
    """Return the first inputs of a column as pictures; none for a kind that cannot be drawn."""
    values = inversions.values(column, range(count))
    return [one for value in values if (one := inversions.kind.picture(value)) is not None]


def figures(result: StirResult, sets: "Sequence[Inversions]" = ()) -> "dict[str, Figure]":
    """Return the pictures of a result by name: `pairs` of the sets that can be drawn, and the heat
    maps `matrix` and `similarity` of more than two models, for each measure after the first with
    its name (`matrix-procrustes`).
    """
    shown = [one for one in sets if drawable(one)]
    found = {"pairs": pairs(shown)} if shown else {}
    if len(labels(result)) > 2:
        measures = dict.fromkeys(score.measure for score in result.scores)
        for i, measure in enumerate(measures):
            more = f"-{re.sub('[^a-z0-9_]+', '-', measure.lower())}" if i else ""
            for name, value in (("matrix", "stir"), ("similarity", "similarity")):
                figure = heat_map(result, value, measure=measure).get_figure(root=True)
                assert figure is not None
                found[name + more] = figure
    return found


def png(figure: "Figure", dpi: int = 130) -> bytes:
    """Return a figure as a PNG file; equal figures give equal bytes."""
    into = BytesIO()
    figure.savefig(into, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None})
    return into.getvalue()


def _drawn(name: str) -> str:
    """Return a name for a picture: one short line without formulas."""
    return cut(printable(name), _LONGEST).replace("$", r"\$")


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def _draw(axes: "Axes", grid: np.ndarray, names: list[str], scale: Scale) -> None:
    colours = "viridis" if scale.closer == "larger" else "viridis_r"
    image = axes.imshow(grid, vmin=scale.least, vmax=scale.most, cmap=colours)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=13)
    axes.set_yticks(range(len(names)), names, fontsize=13)
    axes.set_xlabel("model", fontsize=13)
    axes.set_ylabel("reference", fontsize=13)
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            colour = _legible(image.to_rgba(np.array([value]))[0])
            size = 11 if row == column else 15
            text = f"{value:.2f}" + ("\nceiling" if row == column else "")
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    axes.figure.colorbar(image, ax=axes, fraction=0.046, pad=0.04)


def _legible(colour: Iterable[float]) -> str:
    """Return the text colour, black or white, with the higher contrast on a colour (WCAG 2,
    relative luminance).
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in [*colour][:3]]
    luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
    return "black" if luminance > 0.179 else "white"
