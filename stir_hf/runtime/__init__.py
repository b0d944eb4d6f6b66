"""Where and in what portions the work is done: device, precision, processes, and the record of
it.
"""

from stir_hf.runtime.config import DType, RunConfig, precision
from stir_hf.runtime.device import pick_device
from stir_hf.runtime.environment import environment
from stir_hf.runtime.processes import TOLD, Counters, Processes, is_main, release_memory
from stir_hf.runtime.progress import Progress, progress_bar

__all__ = [
    "TOLD",
    "Counters",
    "DType",
    "Processes",
    "Progress",
    "RunConfig",
    "environment",
    "is_main",
    "pick_device",
    "precision",
    "progress_bar",
    "release_memory",
]
