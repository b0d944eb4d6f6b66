"""Rows that are wide: shared by accumulators, never joined, multiplied a block of columns at a
time.
"""

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stir_hf.scoring.representations import add
from stir_hf.similarity import MEASURES, Adopting, LinearCKA, debiased_cka, linear_cka
from stir_hf.similarity.several import Several
from stir_hf.similarity.sums import BLOCK
from tests import reference

ANCHORS = {"stir": (0, 1), "similarity": (2, 0), "ceiling": (2, 3), "floor": (0, 4)}

MEASURE = MEASURES.parse("linear_cka")


def sides(n: int, d: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(n, d, generator=generator)
    return [shared + torch.randn(n, d, generator=generator) for _ in range(5)]


def filled(found: Sequence[Tensor], batches: Sequence[slice]) -> dict[str, Several]:
    part = {name: Several([MEASURE]) for name in ANCHORS}
    for rows in batches:
        batch = [side[rows] for side in found]
        pairs = {name: (batch[i], batch[j]) for name, (i, j) in ANCHORS.items()}
        add(part, pairs, torch.ones(len(batch[0]), dtype=torch.bool))
    return part


@pytest.mark.parametrize("d", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_blocks_of_columns_add_up_to_the_definition(d: int) -> None:
    x, y = (side.double().numpy() for side in sides(40, d)[:2])
    x[:, d - 1] += 1e4
    assert linear_cka(x, y) == pytest.approx(reference.linear_cka(x - x.mean(0), y), rel=1e-12)
    assert debiased_cka(x, y) == pytest.approx(reference.debiased_cka(x, y), rel=1e-9)


@pytest.mark.parametrize("d", [6, 700], ids=["sums", "rows"])
def test_rows_that_are_shared_give_what_each_alone_gives(d: int) -> None:
    found = sides(50, d)
    part = filled(found, [slice(0, 32), slice(32, 50)])
    for name, (i, j) in ANCHORS.items():
        alone = linear_cka(found[i], found[j]), debiased_cka(found[i], found[j])
        together = part[name].value(MEASURE), part[name].debiased(MEASURE)
        assert together == pytest.approx(alone, rel=1e-12)


def test_each_side_is_kept_and_sent_once() -> None:
    found = sides(60, 800)
    once = 5 * found[0].nbytes
    halves = [filled(found, [slice(0, 20), slice(20, 30)]), filled(found, [slice(30, 60)])]
    parts = [part.pairs for half in halves for part in half.values()]
    kept = {x.data_ptr() for pairs in parts for rows in pairs._rows for x in rows}
    assert len(kept) == 5 * 3  # batches
    sent = pickle.dumps(halves[1])
    assert len(sent) < 1.02 * once / 2
    for name, other in pickle.loads(sent).items():
        halves[0][name].merge(other)
    assert len(pickle.dumps(halves[0])) < 1.02 * once
    for name, (i, j) in ANCHORS.items():
        assert halves[0][name].value(MEASURE) == pytest.approx(
            linear_cka(found[i], found[j]), rel=1e-12
        )


def test_what_is_adopted_is_kept_as_it_is_unless_it_is_part_of_something_larger() -> None:
    x, y = sides(20, 30)[:2]
    wide = torch.cat([x, x], 1)
    cka = LinearCKA()
    assert isinstance(cka, Adopting)
    cka.adopt(x, wide[:, :30])
    ((kept_x, kept_y),) = cka._rows
    assert kept_x.data_ptr() == x.data_ptr()
    assert kept_y.untyped_storage().nbytes() == x.nbytes
    many = LinearCKA(chunk=8)
    many.adopt(x, y)  # pieces of a batch are views, too
    assert len(pickle.dumps(many)) < 1.5 * (x.nbytes + y.nbytes)
    assert many.value() == pytest.approx(linear_cka(x, y), rel=1e-12)


def test_adopted_rows_are_only_read() -> None:
    x, y = sides(40, 5)[:2]
    before = x.clone(), y.clone()
    cka, other = LinearCKA(chunk=16), LinearCKA(chunk=16)
    for start in range(0, 40, 10):
        cka.adopt(x[start : start + 10].clone(), y[start : start + 10].clone())
    whole = LinearCKA(chunk=64)
    whole.adopt(x, y)
    other.merge(whole)
    assert other.value() == pytest.approx(whole.value(), rel=1e-12)
    assert cka.value() == pytest.approx(whole.value(), rel=1e-12)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


def test_a_measure_that_keeps_no_rows_needs_no_more_than_update() -> None:
    class Count:
        """Counts."""

        n = 0

        def update(self, x: Any, y: Any) -> None:
            self.n += len(x)

        def merge(self, other: "Count") -> None:
            self.n += other.n

        def value(self) -> float:
            return 1.0

        def debiased(self) -> float:
            return 1.0

    x, count = torch.ones(4, 3), Count()
    here = torch.from_numpy(np.array([True, False, True, True]))
    part = Several([])
    part._own[MEASURE] = count
    add({"stir": part}, {"stir": (x, x)}, here)
    assert count.n == 3
