"""A result as text and pictures."""

from stir_hf.report.estimates import estimates
from stir_hf.report.figures import drawable, heat_map, pairs
from stir_hf.report.reading import Reading
from stir_hf.report.saved import save_report
from stir_hf.report.table import differences, html_table, labels, notes_line, summary, table

__all__ = [
    "Reading",
    "differences",
    "drawable",
    "estimates",
    "heat_map",
    "html_table",
    "labels",
    "notes_line",
    "pairs",
    "save_report",
    "summary",
    "table",
]
