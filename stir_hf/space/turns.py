"""The order of requests: one is at work, the others wait; the first come is the first served."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A line of requests. The first one in it is at work."""

    def __init__(self) -> None:
        self._line: list[object] = []
        self._moved = threading.Condition()
        self._lasted = deque[float](maxlen=8)
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._line)

    @contextmanager
    def turn(self) -> Iterator[object]:
        """Stand in the line until the context ends; gives the place in it."""
        place = object()
        with self._moved:
            self._line.append(place)
            if self._line[0] is place:
                self._since = time.monotonic()
        try:
            yield place
        finally:
            with self._moved:
                if self._line[0] is place:
                    self._since = time.monotonic()
                self._line.remove(place)
                self._moved.notify_all()

    def before(self, place: object, wait: float = 0.0) -> int:
        """Return the number of requests before one, at once or when the line moves, after `wait`
        seconds at the latest.
        """
        with self._moved:
            if wait:
                self._moved.wait(wait)
            return self._line.index(place)

    def note(self) -> None:
        """Note the time that the request at work took: it came to its end."""
        self._lasted.append(time.monotonic() - self._since)

    def seconds(self, before: int) -> float | None:
        """Return how long the requests before one will take, if they take as long as the last ones;
        None where none has ended yet.
        """
        if not self._lasted:
            return None
        each = sum(self._lasted) / len(self._lasted)
        at_work = max(each - (time.monotonic() - self._since), 1.0)
        return at_work + (before - 1) * each
