"""Results that may still be pushed: in memory, for a while, within a bound."""

import secrets
import threading
import time
from collections import OrderedDict

SECONDS = 900
BYTES = 200_000_000


class Kept:
    """Archives by a key that nobody can guess; the oldest go first.

    Args:
        seconds: so long each is kept.
        most: bytes of all together.
    """

    def __init__(self, seconds: float = SECONDS, most: int = BYTES) -> None:
        self._seconds, self._most = seconds, most
        self._there: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, archive: bytes) -> str:
        """Keep it; its key."""
        key = secrets.token_hex(16)
        with self._lock:
            self._there[key] = time.monotonic(), archive
            self._drop()
        return key

    def get(self, key: str | None) -> bytes | None:
        """What is kept under a key; None where there is nothing, or no more."""
        with self._lock:
            self._drop()
            return self._there.get(key or "", (0.0, None))[1]

    def _drop(self) -> None:
        now = time.monotonic()
        while self._there:
            (began, _), size = next(iter(self._there.values())), self._size()
            if now - began <= self._seconds and size <= self._most:
                return
            self._there.popitem(last=False)

    def _size(self) -> int:
        return sum(len(archive) for _, archive in self._there.values())
