"""Inversion sets in the making."""

from stir_hf.job.inversion import InversionJob
from stir_hf.job.originals import with_originals
from stir_hf.job.runner import run_jobs

__all__ = ["InversionJob", "run_jobs", "with_originals"]
