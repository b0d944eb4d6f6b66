"""Representation inversion over callables and tensors: no models, datasets or Hub in here."""

from stir_hf.engine.loop import Inverted, Item, descend
from stir_hf.engine.objectives import relative_error
from stir_hf.engine.rules import AdamPolyak, Paper, Rule, rule_for
from stir_hf.engine.starts import start_image

__all__ = [
    "AdamPolyak",
    "Inverted",
    "Item",
    "Paper",
    "Rule",
    "descend",
    "relative_error",
    "rule_for",
    "start_image",
]
