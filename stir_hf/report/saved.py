"""Files beside the JSON of a result: a page and figures."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stir_hf.report.cells import escaped
from stir_hf.report.figures import figures, png
from stir_hf.report.reading import Reading
from stir_hf.report.table import EXPLAINED, html_table, labels, notes_line
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
    """Write `report.html` and `figures/` in `folder`, each file in one step, and return their
    paths.
    """
    drawn = {name: png(figure) for name, figure in figures(result, sets).items()}
    files = {folder / FIGURES / f"{name}.png": data for name, data in drawn.items()}
    files[folder / PAGE] = report_page(result, drawn).encode()
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, data)
    return list(files)


def _write(path: Path, data: bytes) -> None:
    in_one_step(path, lambda into: into.write_bytes(data))


def report_page(result: StirResult, drawn: Mapping[str, bytes] | None = None) -> str:
    """Return a result as one HTML page that loads nothing from other hosts.

    Args:
        result: the scores.
        drawn: PNG files by name, from `figures`.
    """
    names = labels(result)
    told = [
        Reading.of(published(score)).sentence(
            names[score.model, score.layer], names[score.reference, score.reference_layer]
        )
        for score in result.scores
    ]
    line = notes_line(result)
    parts = [
        *(f"<p>{escaped(sentence)}</p>" for sentence in told),
        f"<div>{html_table(result)}</div>",
        f"<p>{escaped(line)}</p>" if line else "",
        f"<p>{escaped(EXPLAINED)}</p>",
        *(_figure(name, data) for name, data in (drawn or {}).items()),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>STIR</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>STIR: shared invariances</h1>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _figure(name: str, data: bytes) -> str:
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return f'<figure><img src="{source}" alt="{escaped(_ALT.get(name, name))}"></figure>'
