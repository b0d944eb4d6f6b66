"""Representation inversion over callables and tensors: no models, datasets or Hub in here."""

from stir_hf.inversion.descent import Inverted, Item, descend
from stir_hf.inversion.objectives import relative_error
from stir_hf.inversion.starts import start_image
from stir_hf.inversion.steps import AdamPolyak, Paper, Rule, rule_for

__all__ = ["AdamPolyak", "Inverted", "Item", "Paper", "Rule", "descend", "relative_error", "rule_for", "start_image"]
