"""Inversion of representations, over callables and tensors of any shape; independent of models,
datasets and the Hub.
"""

from stir_hf.engine.config import InversionConfig
from stir_hf.engine.constraints import CONSTRAINTS, Box, Constraint, Domain, Free
from stir_hf.engine.loop import Represent, Watch, descend
from stir_hf.engine.objectives import relative_error
from stir_hf.engine.rules import RULES, Accepting, AdamPolyak, Metamer, Paper, Rule, Smooth
from stir_hf.engine.slots import Context, Inverted, Item, first_iterate
from stir_hf.engine.starts import STARTS, Start, start_value
from stir_hf.engine.starts.given import Given
from stir_hf.engine.tolerance import Tolerance

__all__ = [
    "CONSTRAINTS",
    "RULES",
    "STARTS",
    "Accepting",
    "AdamPolyak",
    "Box",
    "Constraint",
    "Context",
    "Domain",
    "Free",
    "Given",
    "InversionConfig",
    "Inverted",
    "Item",
    "Metamer",
    "Paper",
    "Represent",
    "Rule",
    "Smooth",
    "Start",
    "Tolerance",
    "Watch",
    "descend",
    "first_iterate",
    "relative_error",
    "start_value",
]
