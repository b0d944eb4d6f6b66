"""Constraints, one per file; a new file in this folder is registered automatically."""

import pkgutil
from importlib import import_module

from stir_hf.engine.constraints.base import CONSTRAINTS, Constraint
from stir_hf.engine.constraints.box import Box
from stir_hf.engine.constraints.none import Free

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)

__all__ = ["CONSTRAINTS", "Box", "Constraint", "Free"]
