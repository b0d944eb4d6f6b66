"""The error for an inversion set that stir-hf did not write like this; sets may be untrusted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stir_hf.errors import RequestError


class BrokenError(RequestError):
    """A set, or a file of one, that is not as stir-hf writes it.

    Args:
        called: the set or the file.
        why: what is wrong with it.
        advice: what can be done, if the file is on this machine.
    """

    def __init__(self, called: str | Path, why: str, advice: str | None = None) -> None:
        super().__init__(f"{called} is broken: {why}" + (f"; {advice}" if advice else ""))
        self.called, self.why = called, why


@contextmanager
def of_set(called: str | None) -> Iterator[None]:
    """Report errors about a broken file as errors about its inversion set on the Hub; with None,
    for a local set, its files are named instead.
    """
    try:
        yield
    except BrokenError as error:
        if called is None or error.called == called:
            raise
        where = f"{error.called.name}: " if isinstance(error.called, Path) else ""
        raise BrokenError(called, f"{where}{error.why}") from error
