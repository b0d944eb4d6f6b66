"""The error for an inversion set that is not as stir-hf writes it; the set may be a stranger's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stir_hf.errors import RequestError


class BrokenError(RequestError):
    """A set, or a file of one, that is not as stir-hf writes it.

    Args:
        called: the set or the file.
        why: what is wrong with it.
        advice: what can be done, where it is a file of this machine.
    """

    def __init__(self, called: str | Path, why: str, advice: str | None = None) -> None:
        super().__init__(f"{called} is broken: {why}" + (f"; {advice}" if advice else ""))
        self.called, self.why = called, why


@contextmanager
def of_set(called: str | None) -> Iterator[None]:
    """Tell of a broken file as of the set of the Hub that it belongs to.

    Args:
        called: the set; None for one in a folder of this machine, whose files are named.

    Raises:
        BrokenError: in the place of one of a file.
    """
    try:
        yield
    except BrokenError as error:
        if called is None or error.called == called:
            raise
        where = f"{error.called.name}: " if isinstance(error.called, Path) else ""
        raise BrokenError(called, f"{where}{error.why}") from error
