"""Inversion sets: identity, manifest, parts and reading."""
