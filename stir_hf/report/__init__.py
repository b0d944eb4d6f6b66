"""A result as text and pictures."""

from stir_hf.report.estimates import estimates, size
from stir_hf.report.figures import drawable, figures, heat_map, pairs, png
from stir_hf.report.reading import Reading
from stir_hf.report.saved import save_report
from stir_hf.report.table import html_table, labels, last_part, notes_line, summary, table

__all__ = [
    "Reading",
    "drawable",
    "estimates",
    "figures",
    "heat_map",
    "html_table",
    "labels",
    "last_part",
    "notes_line",
    "pairs",
    "png",
    "save_report",
    "size",
    "summary",
    "table",
]
