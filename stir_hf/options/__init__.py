"""Keyword and command-line options, written once: as fields of the dataclasses that they configure.

`verbs` puts those dataclasses together, one dataclass for each verb. The flags with their help, the
command that repeats a run, the typed keywords of Python and the pages of the documentation follow
from their fields and from the registries.
"""
