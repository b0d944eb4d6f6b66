"""Guards of the page's machine: what is too large is refused before the work, and what is told
names no place on it.
"""
