"""Samples with stable indices, and the inversion sets made from them."""
