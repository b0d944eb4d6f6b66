"""STIR: does this model ignore what that model ignores? All of it is in the package stir-hf."""

from stir_hf.metric import Stir  # From: .

__all__ = ["Stir"]
