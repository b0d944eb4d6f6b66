"""Inversion of representations, over callables and tensors of any shape; independent of models,
datasets and the Hub.
"""

from stir_hf.engine.config import InversionConfig
from stir_hf.engine.constraints import CONSTRAINTS, Box, Constraint, Free
from stir_hf.engine.domain import Domain
from stir_hf.engine.loop import Watch, descend
from stir_hf.engine.objectives import OBJECTIVES, Objective, RelativeError, relative_error
from stir_hf.engine.plan import Context, Plan, Represent
from stir_hf.engine.restarts import Restarts
from stir_hf.engine.rules import RULES, Accepting, Adam, AdamPolyak, Metamer, Paper, Rule, Smooth
from stir_hf.engine.slots import Inverted, Item
from stir_hf.engine.starts import STARTS, Start, start_value
from stir_hf.engine.starts.given import Given
from stir_hf.engine.starts.other import Other
from stir_hf.engine.tolerance import Tolerance

__all__ = [
    "CONSTRAINTS",
    "OBJECTIVES",
    "RULES",
    "STARTS",
    "Accepting",
    "Adam",
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
    "Objective",
    "Other",
    "Paper",
    "Plan",
    "RelativeError",
    "Represent",
    "Restarts",
    "Rule",
    "Smooth",
    "Start",
    "Tolerance",
    "Watch",
    "descend",
    "relative_error",
    "start_value",
]
