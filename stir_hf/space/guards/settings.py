"""Configuration files of a checkpoint, checked before anything is built after them."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from stir_hf.errors import RequestError, cut
from stir_hf.space.asked import Limits

_LAYERS = re.compile(r"n(um)?_layer|(?:.*_)?(?:layers|depths?|blocks?|stages|repeats)")
_STEPS = {"crop_size": "do_center_crop", "pad_size": "do_pad", "size": "do_resize"}
"""The entries with sizes of an image processor, the last step first, and those that switch them."""
_SIDES = re.compile(r".*(?:size|divisor|edge|height|width|pad)")
_BETWEEN = 4
"""Times the largest native size that a step before the last may have."""


def check_network(called: str, config: Mapping[str, Any], limits: Limits) -> None:
    """Raise RequestError for a configuration of more layers or labels than are taken."""
    for name, value in _entries(config):
        numbers = _numbers(value)  # of stages, or places of layers
        count = max([len(numbers), *numbers])
        if _LAYERS.fullmatch(name) and count > limits.layers:
            raise _too_many(f"{called} has {_shown(count)} layers ({name})", limits.layers)
        if name == "num_labels" and count > limits.labels:
            raise _too_many(f"{called} has {_shown(count)} labels", limits.labels)


def check_processor(called: str, config: Mapping[str, Any], limits: Limits) -> None:
    """Raise RequestError for an image processor that makes larger images than are taken."""
    inner = config.get("image_processor")
    whole = inner if isinstance(inner, dict) else config
    given = {n: v for n, v in whole.items() if whole.get(_STEPS.get(n, "")) is not False}
    for size in [found for name in _STEPS if (found := _sides(given.get(name)))][:1]:
        if max(size) > limits.side:
            told = f"{called} takes images of {_shown(min(size))}x{_shown(max(size))} pixels"
            raise _too_many(told, limits.side)
    for name, value in _entries(given):
        most = max(_numbers(value), default=0)
        if _SIDES.fullmatch(name) and most > limits.side * _BETWEEN:
            told = f"the image processor of {called} has {name} {_shown(most)}"
            raise _too_many(told, limits.side * _BETWEEN)


def _sides(size: Any) -> list[float]:
    """Return the sides of a size; a longest edge beside a shortest one is only a bound."""
    edge = size.get("shortest_edge") if isinstance(size, dict) else None
    return _numbers(size if edge is None else edge)


def _too_many(told: str, most: int) -> RequestError:
    return RequestError(f"{told}; at most {most} are taken here")


def _shown(number: float) -> str:
    return cut(str(number), 20)


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the entries of plain data at any depth."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield from one.items()
        left.extend(one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())


def _numbers(value: Any) -> list[float]:
    """Return the numbers of a value: its own, or those of a list or dictionary."""
    inner = value.values() if isinstance(value, dict) else value
    several = inner if isinstance(value, dict | list) else [value]
    numbers = [n for n in several if isinstance(n, int | float) and not isinstance(n, bool)]
    return [n for n in numbers if not math.isnan(n)]
