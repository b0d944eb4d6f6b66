"""Kinds of input, one per file; a new file in this folder is registered automatically."""

import pkgutil
from importlib import import_module

from stir_hf.inputs.base import KINDS, Kind, kind_of

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)

__all__ = ["KINDS", "Kind", "kind_of"]
