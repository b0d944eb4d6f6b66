"""Leaves out what needs a library that is not there."""

from importlib.util import find_spec

NEEDS = {"test_timm.py": "timm", "test_quantised.py": "bitsandbytes"}
collect_ignore = [name for name, library in NEEDS.items() if find_spec(library) is None]
