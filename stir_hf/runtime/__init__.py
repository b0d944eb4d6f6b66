"""Where and in what portions the work is done: device, precision, processes, and the record of
it.
"""

from stir_hf.runtime.config import DType, RunConfig, precision
from stir_hf.runtime.device import pick_device
from stir_hf.runtime.environment import environment
from stir_hf.runtime.launching import ProcessConfig, end_with_launcher, is_launched, launch
from stir_hf.runtime.processes import Counters, Processes, release_memory
from stir_hf.runtime.progress import Progress, progress_bar

__all__ = [
    "Counters",
    "DType",
    "ProcessConfig",
    "Processes",
    "Progress",
    "RunConfig",
    "end_with_launcher",
    "environment",
    "is_launched",
    "launch",
    "pick_device",
    "precision",
    "progress_bar",
    "release_memory",
]
