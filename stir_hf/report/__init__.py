"""A result as text and pictures."""

from stir_hf.report.estimates import estimates
from stir_hf.report.figures import heat_map, pairs, save_figures
from stir_hf.report.html import html_table
from stir_hf.report.table import labels, summary, table

__all__ = [
    "estimates",
    "heat_map",
    "html_table",
    "labels",
    "pairs",
    "save_figures",
    "summary",
    "table",
]
