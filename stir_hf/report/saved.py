"""Files beside the JSON of a result: a page and figures."""

import base64
from collections.abc import Mapping, Sequence
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING

from stir_hf.report.cells import escaped
from stir_hf.report.figures import figures, png
from stir_hf.report.reading import INTERVAL, Reading
from stir_hf.report.table import EXPLAINED, differences, html_table, labels, notes_line
from stir_hf.results import StirResult, in_one_step, published

if TYPE_CHECKING:
    from stir_hf.data.sets.inversions import Inversions

PAGE, FIGURES = "report.html", "figures"
_ALT = {
    "pairs": "Originals above their inversions",
    "matrix": "Heat map of STIR: one reference in each row, one model in each column",
    "similarity": "Heat map of the similarity of model and reference on the originals",
}
_STYLE = (
    "body{font:16px/1.5 sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.3rem .6rem}"
    "img{max-width:100%}div{overflow-x:auto}"
)


def save_report(result: StirResult, folder: Path, sets: "Sequence[Inversions]" = ()) -> list[Path]:
    """Write `report.html` and `figures/`, each file in one step, and return their paths."""
    drawn = {name: png(figure) for name, figure in figures(result, sets).items()}
    files = {folder / FIGURES / f"{name}.png": data for name, data in drawn.items()}
    files[folder / PAGE] = report_page(result, drawn).encode()
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        in_one_step(path, methodcaller("write_bytes", data))
    return list(files)


def report_page(result: StirResult, drawn: Mapping[str, bytes] | None = None) -> str:
    """Return a result, with PNG files by name (from `figures`), as one HTML page that loads nothing
    from other hosts.
    """
    names = labels(result)
    parts = ["<h1>STIR: shared invariances</h1>"]
    for score in result.scores:
        model, reference = (score.model, score.layer), (score.reference, score.reference_layer)
        told = Reading.of(published(score)).sentence(names[model], names[reference])
        parts.append(f"<p>{escaped(told)}</p>")
    if any(score.interval for score in result.scores):
        parts.append(f"<p>In brackets: {escaped(INTERVAL)}.</p>")
    parts.append(f"<div>{html_table(result)}</div>")
    parts += [f"<p>{escaped(line)}</p>" for line in differences(result)]
    if line := notes_line(result):
        parts.append(f"<p>{escaped(line)}</p>")
    parts.append(f"<p>{escaped(EXPLAINED)}</p>")
    parts += [_figure(name, data) for name, data in (drawn or {}).items()]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>STIR</title>'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _figure(name: str, data: bytes) -> str:
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return f'<figure><img src="{source}" alt="{escaped(_ALT.get(name, name))}"></figure>'
