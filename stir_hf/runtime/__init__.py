"""The devices, precision, batches and processes of a run, and the record of them."""

from stir_hf.runtime.config import DType, RunConfig, precision, workers
from stir_hf.runtime.device import pick_device
from stir_hf.runtime.environment import environment
from stir_hf.runtime.launching import ProcessConfig, end_with_launcher, launch
from stir_hf.runtime.placement import SPREAD, brought, execution_device, is_spread
from stir_hf.runtime.processes import Counters, Processes, release_memory
from stir_hf.runtime.progress import Progress, Step, Watcher, progress_bar, reading_bar

__all__ = [
    "SPREAD",
    "Counters",
    "DType",
    "ProcessConfig",
    "Processes",
    "Progress",
    "RunConfig",
    "Step",
    "Watcher",
    "brought",
    "end_with_launcher",
    "environment",
    "execution_device",
    "is_spread",
    "launch",
    "pick_device",
    "precision",
    "progress_bar",
    "reading_bar",
    "release_memory",
    "workers",
]
