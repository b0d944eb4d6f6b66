"""Communication between the processes of a run: ranks, exchanged values and shared counters.

`exchange` is the synchronisation point. It also carries errors, so that an error in one process
ends all of them with the same message. Every broadcast and merge is preceded by an exchange.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate.utils.memory import clear_device_cache

from stir_hf.errors import TOLD, RequestError, RunError, one_line
from stir_hf.launched import launch_of_this
from stir_hf.runtime.joining import TIME_LIMIT, joined
from stir_hf.runtime.placement import SPREAD

logger = logging.getLogger(__name__)

HOST = torch.device("cpu")

T = TypeVar("T")
_Told = tuple[str, str] | None
"""Class name and message of an error; None if there is no error."""


def release_memory() -> None:
    """Release unused memory that the device's allocator has cached."""
    clear_device_cache(garbage_collection=True)


class Counters:
    """Named integers that are shared by all processes; without a `store`, those of this one."""

    def __init__(self, store: dist.Store | None) -> None:
        self._store = dist.HashStore() if store is None else store

    def add(self, name: str, amount: int) -> int:
        """Add to a number, which starts at 0, and return its new value.

        Raises:
            RunError: the main process, which holds the numbers, has ended.
        """
        with _ended():
            return int(self._store.add(name, amount))

    def get(self, name: str) -> int:
        """Return the value of a number."""
        return self.add(name, 0)


class Processes:
    """The processes of this run, as accelerate knows them, on the requested device; None selects
    the best available one.

    Create it before any network is loaded: each of several processes selects its own device.

    Raises:
        RequestError: a single card was requested for several processes; accelerate does not know
            of the launcher's processes; or they have no address at which to meet.
    """

    def __init__(self, device: object = None) -> None:
        self._state = joined(device)
        launch = launch_of_this()
        if launch is not None and launch.size > 1 and self.count == 1:
            raise RequestError(
                f"the launcher started {launch.size} processes, but an Accelerator or"
                " PartialState was created before, for one process; create it later, or leave it to"
                " stir_hf"
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
            place = self._state.device.type
            logger.info("%s on %s, %d thread%s", which, place, threads, "s" * (threads != 1))

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return int(self._state.process_index)

    @property
    def count(self) -> int:
        """Number of processes."""
        return int(self._state.num_processes)

    @property
    def main(self) -> bool:
        """True in the main process, which writes results, prints and publishes."""
        return bool(self._state.is_main_process)

    def exchange(self, value: T) -> list[T]:
        """Wait for all processes and return the value of each, by rank.

        Raises:
            RequestError, RunError: the error with which a process failed before it got here.
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
        """Wait until all processes get here."""
        self.exchange(None)

    def on_main(self, make: Callable[[], T]) -> T:
        """Call `make` in the main process and return its result in all of them."""
        made: list[Any] = [make() if self.main else None]
        self.wait()
        if self.count > 1:
            with _ended():
                dist.broadcast_object_list(made, src=0, group=_host_group(), device=HOST)
        found: T = made[0]
        return found

    def first_on_each_machine(self, make: Callable[[], T]) -> T:
        """Call `make` first in one process per machine, then in the others, which reuse what the
        first has downloaded.
        """
        made = make() if self._state.is_local_main_process else None
        self.wait()
        return make() if made is None else made

    def merged(self, value: T, merge: Callable[[T, T], T]) -> T:
        """Merge the values of all processes pairwise; complete in the main process only.

        Raises:
            RunError: a process failed, before or during the merge.
        """
        self.wait()
        step, failed = 1, ""
        while step < self.count:
            if self.rank % (2 * step) == step:
                _send((value, failed), self.rank - step)
                break
            if self.rank + step < self.count:
                other, failed_there = _receive(self.rank + step)
                failed = failed or failed_there
                try:
                    value = value if failed else merge(value, other)
                except Exception as error:  # the others wait for this process: it must go on
                    failed = one_line(error)
            step *= 2
        if self.main and failed:
            raise RunError(failed)
        return value

    def counters(self) -> Counters:
        """Return new counters, all 0; every process must call this at the same point of a run."""
        if self.count == 1:
            return Counters(None)
        store = _store(self)
        number = self.on_main(lambda: store.add("counters", 1))
        return Counters(dist.PrefixStore(f"{number}", store))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Propagate an exception to all processes at their next synchronisation."""
        try:
            yield
        except Exception as error:  # on any error, the others must not wait for this process
            if self.count > 1 and TOLD not in getattr(error, "__notes__", ()):
                self._tell(error)
            raise

    def check(self) -> None:
        """Raise the error of another process, if one has failed; else return at once."""
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
        except RunError:  # the others have ended, and each reports its own error
            return
        if any(told is not None for told, _ in found[: self.rank]):
            error.add_note(TOLD)  # report one error: the first original one

    def _forget(self) -> None:
        """Clear a failure that every process knows of, for the next run."""
        if self.main and _STORES:
            failed = Counters(_STORES[0])
            failed.add("failed", -failed.get("failed"))

    def _gathered(self, value: T) -> list[T]:
        found: list[Any] = [None] * self.count
        with _ended():
            dist.all_gather_object(found, value, group=_host_group())
        return found


@cache
def _host_group() -> Any:
    """Return a process group for values in host memory, whatever the devices are."""
    return dist.new_group(backend="gloo", timeout=TIME_LIMIT)


_STORES: list[dist.Store] = []


def _store(processes: Processes) -> dist.Store:
    """Return the store of the shared counters, which the main process holds."""
    if not _STORES:
        host = os.environ.get("MASTER_ADDR", "127.0.0.1")
        how: dict[str, Any] = {"timeout": TIME_LIMIT, "wait_for_workers": False}
        mine = dist.TCPStore(host, 0, is_master=True, **how) if processes.main else None
        port = processes.exchange(mine.port if mine else 0)[0]
        _STORES.append(mine or dist.TCPStore(host, port, is_master=False, **how))
    return _STORES[0]


def _send(value: Any, to: int) -> None:
    with _ended():
        dist.send_object_list([value], dst=to, group=_host_group(), device=HOST)


def _receive(source: int) -> Any:
    found: list[Any] = [None]
    with _ended():
        dist.recv_object_list(found, src=source, group=_host_group(), device=HOST)
    return found[0]


def _error(rank: int, kind: str, text: str) -> Exception:
    error: Exception = RunError(f"process {rank}: {text}")
    if kind == RequestError.__name__:
        error = RequestError(text)
    error.add_note(TOLD)
    return error


@contextmanager
def _ended() -> Iterator[None]:
    """Turn the error of torch.distributed about an ended process into a RunError."""
    try:
        yield
    except RuntimeError as error:  # the error of torch.distributed
        raise RunError(
            f"another process of this run has ended ({one_line(error)}); the same command continues"
        ) from error
