"""Results that may still be pushed: in memory, for a while, up to a size."""

import secrets
import threading
import time

SECONDS = 900
BYTES = 200_000_000


class Kept:
    """Archives by keys that nobody can guess, each for some seconds, with `most` bytes of all
    together: the oldest are dropped first.
    """

    def __init__(self, seconds: float = SECONDS, most: int = BYTES) -> None:
        self._seconds, self._most = seconds, most
        self._there: dict[str, tuple[float, bytes]] = {}
        self._lock = threading.Lock()

    def put(self, archive: bytes) -> str:
        """Keep an archive, and return its key."""
        key = secrets.token_hex(16)
        self._there[key] = time.monotonic(), archive
        self._drop()
        return key

    def get(self, key: str | None) -> bytes | None:
        """Return an archive; None if there is none, or none any more."""
        self._drop()
        return self._there.get(key or "", (0.0, None))[1]

    def _drop(self) -> None:
        with self._lock:
            for key, (began, _) in list(self._there.items()):
                size = sum(len(archive) for _, archive in list(self._there.values()))
                if time.monotonic() - began > self._seconds or size > self._most:
                    del self._there[key]
