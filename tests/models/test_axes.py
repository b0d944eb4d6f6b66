"""Axes that are merged and split."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stir_hf.models.read.axes import Axes, axes_of, kind_of, length_of, multiplied, regrouped

MAPS = axes_of(("batch", "channel", "space", "space"), (4, 12, 6, 10))


def marks(axes: Axes) -> NDArray[np.bool_]:
    """An array of those axes, true where not all parts of channels are at their first place."""
    parts = [part for axis in axes for part in axis]
    places = np.indices([n for _, n in parts])
    moved = [places[i] > 0 for i, (kind, _) in enumerate(parts) if kind == "channel"]
    found: NDArray[np.bool_] = np.any(moved, axis=0)
    return found.reshape([length_of(axis) for axis in axes])


@pytest.mark.parametrize(
    "shape",
    [
        (4, 12, 60),
        (4, 720),
        (48, 60),
        (4, 3, 4, 60),
        (4, 12, 3, 2, 5, 2),
        (4, 1, 12, 6, 10, 1),
        (2, 2, 12, 60),
        (4, 12, 2, 3, 10),
    ],
)
def test_merged_and_split_axes_hold_the_same_elements(shape: tuple[int, ...]) -> None:
    found = regrouped(MAPS, shape)
    assert found is not None
    assert tuple(map(length_of, found)) == shape
    np.testing.assert_array_equal(marks(found), marks(MAPS).reshape(shape))
    back = regrouped(found, (4, 12, 6, 10))
    assert back is not None
    assert [kind_of(axis) for axis in back] == [kind_of(axis) for axis in MAPS]


def test_parts_that_would_be_cut_askew_are_not_known() -> None:
    assert regrouped(MAPS, (4, 8, 90)) is None
    assert regrouped(axes_of(("batch", "space"), (4, 6)), (0, 6)) is None


def test_parts_of_length_one_do_not_count_beside_others() -> None:
    assert kind_of((("channel", 1), ("space", 6))) == "space"
    assert kind_of((("channel", 2), ("space", 6))) == "channel"
    assert kind_of((("channel", 1), ("space", 1))) == "channel"
    assert kind_of(()) is None
    pooled = regrouped(axes_of(("batch", "channel", "space", "space"), (4, 12, 1, 1)), (4, 12, 1))
    assert pooled is not None
    assert [kind_of(axis) for axis in pooled] == ["batch", "channel", "space"]


def test_a_product_makes_channels_but_of_space_beside_channels() -> None:
    batch, space, channels = axes_of(("batch", "space", "channel"), (4, 16, 12))
    assert multiplied(channels, (batch, space), 5) == (("channel", 5),)
    assert multiplied(space, (batch, channels), 5) == (("space", 5),)
    assert multiplied(space, (batch, space), 5) == (("channel", 5),)
    assert multiplied(((None, 3),), (batch, (("channel", 1),)), 5) == (("channel", 5),)
