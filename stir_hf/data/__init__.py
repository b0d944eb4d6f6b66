"""Samples with stable indices in; inversion sets out."""
