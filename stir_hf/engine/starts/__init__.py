"""Starts, one kind per file; a new file in this folder is registered automatically."""

import pkgutil
from importlib import import_module

from stir_hf.engine.starts.base import STARTS, Start, start_value

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)

__all__ = ["STARTS", "Start", "start_value"]
