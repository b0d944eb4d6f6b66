"""Leaves out what needs a library that is not there."""

from importlib.util import find_spec

NEEDS = {"test_timm.py": ("timm",), "test_quantised.py": ("bitsandbytes", "torchao")}
collect_ignore = [name for name, libraries in NEEDS.items() if not all(map(find_spec, libraries))]
