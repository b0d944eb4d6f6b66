"""Making inversion sets."""

from stir_hf.job.estimate import Estimate, estimate
from stir_hf.job.inversion import InversionJob
from stir_hf.job.originals import with_originals
from stir_hf.job.runner import run_jobs

__all__ = ["Estimate", "InversionJob", "estimate", "run_jobs", "with_originals"]
