"""A result as text and pictures."""

from stir_hf.report.estimates import estimates, size
from stir_hf.report.figures import heat_map, pairs, save_figures
from stir_hf.report.html import html_table
from stir_hf.report.reading import Reading
from stir_hf.report.table import labels, last_part, summary, table

__all__ = [
    "Reading",
    "estimates",
    "heat_map",
    "html_table",
    "labels",
    "last_part",
    "pairs",
    "save_figures",
    "size",
    "summary",
    "table",
]
