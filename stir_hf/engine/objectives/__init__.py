"""Objectives, one per file; a new file in this folder is registered automatically."""

import pkgutil
from importlib import import_module

from stir_hf.engine.objectives.base import OBJECTIVES, Objective, Seen
from stir_hf.engine.objectives.error import RelativeError, relative_error

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)

__all__ = ["OBJECTIVES", "Objective", "RelativeError", "Seen", "relative_error"]
