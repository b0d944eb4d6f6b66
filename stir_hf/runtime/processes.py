"""The processes of a run: who they are, what they tell each other and what they count together.

They meet in `exchange`, which also carries what one of them failed with, so that an error of one
ends them all with the same words; what is broadcast or merged is so after they have met there.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Generic, TypeVar

import torch
import torch.distributed as dist
from accelerate.utils.memory import clear_device_cache

from stir_hf.errors import TOLD, RequestError, RunError, one_line
from stir_hf.launched import launch_of_this
from stir_hf.runtime.joining import TIME_LIMIT, joined
from stir_hf.runtime.placement import SPREAD

logger = logging.getLogger(__name__)

T = TypeVar("T")
_Told = tuple[str, str] | None
"""The kind and the text of an error, None where there is none."""


def release_memory() -> None:
    """Give back what the device's allocator holds and nobody uses."""
    clear_device_cache(garbage_collection=True)


class Counters:
    """Whole numbers, by name, that all processes add to."""

    def __init__(self, store: "dist.Store | None") -> None:
        """`store` is that of several processes; None of one."""
        self._store = store
        self._numbers: dict[str, int] = {}

    def add(self, name: str, amount: int) -> int:
        """Add to a number, which begins at 0; returns what it is now.

        Raises:
            RunError: the main process, which keeps them, has ended.
        """
        if self._store is None:
            self._numbers[name] = self._numbers.get(name, 0) + amount
            return self._numbers[name]
        with _ended():
            return int(self._store.add(name, amount))

    def get(self, name: str) -> int:
        """What a number is."""
        return self.add(name, 0)


class Processes:
    """The processes of this run, as accelerate knows them.

    Made before any network is loaded: where there are several, each takes its own device.
    """

    def __init__(self, device: object = None) -> None:
        """`device` is what was asked for; None takes the best there is.

        Raises:
            RequestError: one card for several processes; a launcher's processes that accelerate
                does not know of, or that have nowhere to meet.
        """
        self._state = joined(device)
        launch = launch_of_this()
        if launch is not None and launch.size > 1 and self.count == 1:
            raise RequestError(
                f"the launcher started {launch.size} processes, but accelerate's state was made as"
                " that of one, before stir_hf; make it after the launcher has set its environment"
            )
        if self.count > 1 and device == SPREAD:
            raise RequestError(
                f"device {SPREAD!r} spreads a network over all devices, and there are {self.count}"
                " processes that would each take them; use one process"
            )
        kind, colon, _ = str(device or "").partition(":")
        if self.count > 1 and colon:
            raise RequestError(
                f"device {device!r} is one card, and there are {self.count} processes, each with"
                f" its own; give {kind!r} or none"
            )
        if self.main and (self.count > 1 or "ACCELERATE_MIXED_PRECISION" in os.environ):
            which = "1 process" if self.count == 1 else f"{self.count} processes, each"
            threads = torch.get_num_threads()
            shared = f"{threads} thread{'s' * (threads != 1)}"
            logger.info("%s on %s, %s", which, self._state.device.type, shared)

    @property
    def rank(self) -> int:
        """Which of the processes this is, from 0."""
        return int(self._state.process_index)

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._state.num_processes)

    @property
    def main(self) -> bool:
        """Whether this one writes results, talks and sends."""
        return bool(self._state.is_main_process)

    @property
    def first_here(self) -> bool:
        """Whether this is the first of its machine."""
        return bool(self._state.is_local_main_process)

    def exchange(self, value: T) -> list[T]:
        """What each process gives, by rank; until all are here.

        Raises:
            RequestError, RunError: what one of them failed with before it came here.
        """
        if self.count == 1:
            return [value]
        found: list[tuple[_Told, T]] = self._gathered((None, value))
        for rank, (told, _) in enumerate(found):
            if told is not None:
                self._forget()
                raise _error(rank, *told)
        return [given for _, given in found]

    def wait(self) -> None:
        """Until all of them are here."""
        self.exchange(None)

    def on_main(self, make: Callable[[], T]) -> T:
        """What the main process makes, for all of them."""
        made: list[Any] = [make() if self.main else None]
        self.wait()
        if self.count > 1:
            with _ended():
                dist.broadcast_object_list(
                    made, src=0, group=self._group, device=torch.device("cpu")
                )
        found: T = made[0]
        return found

    def first_on_each_machine(self, make: Callable[[], T]) -> T:
        """What each process makes, the others of a machine after its first: what that fetches,
        they find.
        """
        made = make() if self.first_here else None
        self.wait()
        return make() if made is None else made

    def merged(self, value: T, merge: Callable[[T, T], T]) -> T:
        """The values of all processes merged, two at a time; whole in the main process only.

        Raises:
            RunError: what one of them failed with, before or while merging.
        """
        self.wait()
        step, here = 1, _Merged(value)
        while step < self.count:
            if self.rank % (2 * step) == step:
                _send(here, self.rank - step, self._group)
                break
            if self.rank + step < self.count:
                here = here.with_other(_receive(self.rank + step, self._group), merge)
            step *= 2
        if self.main and here.failed:
            raise RunError(here.failed)
        return here.value

    def counters(self) -> Counters:
        """New counters, all at 0; every process makes them at the same point of its work."""
        if self.count == 1:
            return Counters(None)
        store = _store(self)
        number = self.on_main(lambda: store.add("counters", 1))
        return Counters(dist.PrefixStore(f"{number}", store))

    @contextmanager
    def together(self) -> Iterator[None]:
        """What one process raises within, the others raise where they next meet."""
        try:
            yield
        except Exception as error:  # whatever it is, the others must not wait for this process
            if self.count > 1 and TOLD not in getattr(error, "__notes__", ()):
                self._tell(error)
            raise

    def check(self) -> None:
        """Meet the others where one has failed, which raises what that failed with."""
        if _STORES and Counters(_STORES[0]).get("failed"):
            self.wait()

    def _tell(self, error: Exception) -> None:
        kind = RequestError if isinstance(error, RequestError) else RunError
        known = isinstance(error, RequestError | RunError)
        text = one_line(error) if known else f"{type(error).__name__}: {one_line(error)}"
        try:
            if _STORES:
                Counters(_STORES[0]).add("failed", 1)
            found: list[tuple[_Told, Any]] = self._gathered(((kind.__name__, text), None))
            self._forget()
        except RunError:  # the others have ended; each tells by itself
            return
        if any(told is not None for told, _ in found[: self.rank]):
            error.add_note(TOLD)  # one tells: the first of those that failed by themselves

    def _forget(self) -> None:
        """Of a failure that all know of: the next run begins without."""
        if self.main and _STORES:
            failed = Counters(_STORES[0])
            failed.add("failed", -failed.get("failed"))

    def _gathered(self, value: T) -> list[T]:
        found: list[Any] = [None] * self.count
        with _ended():
            dist.all_gather_object(found, value, group=self._group)
        return found

    @property
    def _group(self) -> Any:
        return _host_group()


@cache
def _host_group() -> Any:
    """A group for values of the host, whatever the devices are."""
    return dist.new_group(backend="gloo", timeout=TIME_LIMIT)


_STORES: list[dist.Store] = []


def _store(processes: Processes) -> dist.Store:
    """Kept by the main process, for the counters."""
    if not _STORES:
        host = os.environ.get("MASTER_ADDR", "127.0.0.1")
        how: dict[str, Any] = {"timeout": TIME_LIMIT, "wait_for_workers": False}
        mine = dist.TCPStore(host, 0, is_master=True, **how) if processes.main else None
        port = processes.exchange(mine.port if mine else 0)[0]
        _STORES.append(mine or dist.TCPStore(host, port, is_master=False, **how))
    return _STORES[0]


@dataclass(frozen=True)
class _Merged(Generic[T]):
    """A value on its way to the main process, or what merging failed with."""

    value: T
    failed: str = ""

    def with_other(self, other: "_Merged[T]", merge: Callable[[T, T], T]) -> "_Merged[T]":
        if self.failed or other.failed:
            return replace(self, failed=self.failed or other.failed)
        try:
            return _Merged(merge(self.value, other.value))
        except Exception as error:  # the others wait for this process: it must go on
            return replace(self, failed=one_line(error))


def _send(value: Any, to: int, group: Any) -> None:
    with _ended():
        dist.send_object_list([value], dst=to, group=group, device=torch.device("cpu"))


def _receive(source: int, group: Any) -> Any:
    found: list[Any] = [None]
    with _ended():
        dist.recv_object_list(found, src=source, group=group, device=torch.device("cpu"))
    return found[0]


def _error(rank: int, kind: str, text: str) -> Exception:
    error: Exception = RunError(f"process {rank}: {text}")
    if kind == RequestError.__name__:
        error = RequestError(text)
    error.add_note(TOLD)
    return error


@contextmanager
def _ended() -> Iterator[None]:
    """Another process that has ended, as an error of the run."""
    try:
        yield
    except RuntimeError as error:  # what torch.distributed raises
        raise RunError(
            f"another process of this run has ended ({one_line(error)}); the same command continues"
        ) from error
