"""A result as text and pictures."""

from stir_hf.report.estimates import estimates
from stir_hf.report.figures import heat_map, pairs, save_figures
from stir_hf.report.table import labels, summary, table

__all__ = ["estimates", "heat_map", "labels", "pairs", "save_figures", "summary", "table"]
