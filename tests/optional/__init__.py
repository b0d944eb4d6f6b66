"""Tests of libraries that are not installed with the package: `make verify-timm` runs them, in an
environment of its own.
"""
