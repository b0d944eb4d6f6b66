"""The measure in a browser: what a page may ask for, the work in a process of its own, and how it
shows. `page` needs gradio.
"""

from stir_hf.space import jobs
from stir_hf.space.asked import LIMITS, Comparison, Judging, Limits
from stir_hf.space.work import run

__all__ = ["LIMITS", "Comparison", "Judging", "Limits", "jobs", "run"]
