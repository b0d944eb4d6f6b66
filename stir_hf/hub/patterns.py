"""Patterns of file names for the client, which does not accept a list of files."""

from bisect import bisect
from collections.abc import Iterator, Sequence
from glob import escape

_FEW = 100
"""Number of patterns up to which matching takes no time."""


def patterns_of(files: Sequence[str], there: Sequence[str]) -> list[str]:
    """Patterns that match exactly these files of a repo. Names with a common beginning or end share
    a pattern, since the client tries every pattern on every file.
    """
    if len(files) <= _FEW:
        return [escape(name) for name in files]
    others = set(there) - set(files)
    begin = {escape(name[:n]) + "*" * (n <= len(name)) for name, n in _own(files, others)}
    if len(begin) <= _FEW:
        return sorted(begin)
    turned = _own([name[::-1] for name in files], {name[::-1] for name in others})
    end = {"*" * (n <= len(name)) + escape(name[:n][::-1]) for name, n in turned}
    return sorted(begin if len(begin) <= len(end) else end)


def _own(names: Sequence[str], others: set[str]) -> Iterator[tuple[str, int]]:
    """Each name with the length of its shortest prefix that no other name has; one more than the
    length of the name if another begins with it.
    """
    ordered = sorted(others)
    for name in names:
        place = bisect(ordered, name)
        near = ordered[max(place - 1, 0) : place + 1]
        yield name, 1 + max((_shared(name, one) for one in near), default=0)


def _shared(one: str, other: str) -> int:
    """The length of the common prefix of two names."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
