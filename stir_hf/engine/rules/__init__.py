"""Update rules, one per file; a new file in this folder is registered automatically."""

import pkgutil
from importlib import import_module

from stir_hf.engine.rules.adam import Adam
from stir_hf.engine.rules.adam_polyak import AdamPolyak
from stir_hf.engine.rules.base import RULES, Accepting, Rule
from stir_hf.engine.rules.metamer import Metamer
from stir_hf.engine.rules.paper import Paper
from stir_hf.engine.rules.smooth import Smooth

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)

__all__ = ["RULES", "Accepting", "Adam", "AdamPolyak", "Metamer", "Paper", "Rule", "Smooth"]
