"""Estimates of the time, memory and disk space of a run, as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stir_hf.errors import printable

if TYPE_CHECKING:
    from stir_hf.job import Estimate

_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def estimates(found: "Sequence[Estimate]") -> str:
    """Return a line for each set, a line for each process if there are several, and the sum."""
    lines = []
    for one in found:
        lines.append(
            f"{printable(one.reference)}: {one.rows} inversions, at most {duration(one.seconds)}"
            f" ({one.passes} passes each; those at the tolerance stop earlier), judging"
            f" {duration(one.scoring_seconds)} per model; memory"
            f" {size(max(one.memory))} per process, disk {size(one.disk)}"
        )
        if len(one.seconds_per_pass) > 1:
            lines += _by_process(one)
        lines += [f"  Note: {printable(note)}" for note in one.notes]
    whole, disk = sum(one.seconds for one in found), sum(one.disk for one in found)
    memory, several = max(sum(one.memory) for one in found), max(len(o.memory) for o in found)
    last = f"In all at most {duration(whole)} of inverting, {size(disk)} on disk"
    if several > 1:
        last += f"; {duration(several * whole)} of device time and {size(memory)} of memory in"
        last += f" {several} processes"
    return "\n".join([*lines, f"{last}."])


def _by_process(one: "Estimate") -> list[str]:
    speeds = [1 / seconds for seconds in one.seconds_per_pass]
    return [
        f"  process {rank}: {one.rows * speed / sum(speeds):.0f} inversions in"
        f" {duration(one.seconds)}, {speed:.3g} passes of one input per second, {size(memory)}"
        for rank, (speed, memory) in enumerate(zip(speeds, one.memory, strict=True))
    ]


def duration(seconds: float) -> str:
    """Return a duration in the largest unit that fits into it more than once."""
    for length, name in _UNITS:
        if seconds >= 1.5 * length or length == 1:
            return f"{seconds / length:.2g} {name}"
    return ""


def size(count: float) -> str:
    """Return a number of bytes with a unit, in steps of 1000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
