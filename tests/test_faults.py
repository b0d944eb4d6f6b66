"""Faults of the core: images that fail, memory that ends, precision, layers, pixels, merging."""

import gc
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import stir_hf
from stir_hf import RequestError, RunError
from stir_hf.similarity import LinearCKA
from tests.tiny import (
    QUICK,
    Net,
    dataset_of,
    inverted,
    judged,
    noise_images,
    picture_folder,
    pictures,
    rows,
)

# C2: images that fail


class Fragile(Net):
    """Represents images that are almost white by one value."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: Tensor) -> Tensor:
        bright = images.mean((1, 2, 3)) > 0.95
        return super().forward(images).masked_fill(bright[:, None], self.value)


class Steep(Net):
    """Has no gradient at images that are almost white."""

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            bright = (images.detach().mean((1, 2, 3)) > 0.95)[:, None, None, None]
            hooked: Any = images
            hooked.register_hook(lambda gradient: gradient.masked_fill(bright, torch.nan))
        return super().forward(images)


WHITE = 3


def one_white(count: int = 6) -> Any:
    images = noise_images(count)
    images[WHITE] = Image.new("RGB", (8, 8), "white")
    return dataset_of(images)


def check_the_others_are_kept(net: nn.Module, data: Any, out: Path, **options: Any) -> None:
    """One image of six fails: it is named, the others are scored, the command can be repeated."""
    inverted(net, data, out, **options)
    found = {row["index"]: row for row in rows(out)}
    assert sorted(found) == list(range(6))
    assert [i for i, row in found.items() if row["status"] == "not_finite"] == [WHITE]
    assert found[WHITE]["inverted"] is None
    score = judged(Net(1), out)
    assert (score.num_samples, asdict(score)["left_out"]) == (5, 1)
    assert any(str(WHITE) in note for note in score.notes)
    before = {p: p.read_bytes() for p in out.rglob("*.parquet")}
    inverted(net, data, out, **options)
    assert {p: p.read_bytes() for p in out.rglob("*.parquet")} == before


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0], ids=str)
@pytest.mark.parametrize("batch_size", [2, 6])
def test_one_representation_without_meaning(value: float, batch_size: int, tmp_path: Path) -> None:
    check_the_others_are_kept(Fragile(value), one_white(), tmp_path, batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [2, 6])
def test_one_gradient_that_is_not_finite(batch_size: int, tmp_path: Path) -> None:
    starts = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    starts[WHITE] = 0.99
    options: dict[str, Any] = {"start": "given", "starts": starts, "batch_size": batch_size}
    check_the_others_are_kept(Steep(), pictures(6), tmp_path, **options)


def test_a_matrix_judges_all_pairs_on_the_images_that_every_reference_has() -> None:
    models = [Fragile(torch.nan), Net(1), Net(2)]
    result = stir_hf.matrix(models, one_white(), **QUICK)
    assert [score.num_samples for score in result.scores] == [5] * 6


class Nowhere(Net):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * torch.nan


def test_no_image_that_is_finite(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RunError, match="not finite"):
            inverted(Nowhere(), pictures(5), tmp_path)


@pytest.mark.usefixtures("unclosed_files")
def test_a_file_that_fails_after_its_header(tmp_path: Path) -> None:
    data = picture_folder(tmp_path / "data", 6, side=16)
    broken = data / f"{WHITE:02d}.png"
    broken.write_bytes(broken.read_bytes()[:300])
    assert Image.open(broken).size == (16, 16)
    complaint = None
    try:
        inverted(nn.Flatten(), str(data), tmp_path / "out")
    except RequestError as error:  # caught, as its frames hold the file that is open
        complaint = str(error)
    gc.collect()
    assert complaint is None
    assert {row["index"] for row in rows(tmp_path) if row["status"] == "unreadable"} == {WHITE}
    score = judged(nn.Flatten(), tmp_path / "out")
    assert score.num_samples == 5
    assert any(str(WHITE) in note for note in score.notes)


# C3: inversions that are all one


class Saturated(Net):
    """Sees no difference between values near 1, so that a white start stays where it is."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.clamp(max=0.99))


def test_collapsed_inversions_are_a_note() -> None:
    inversions = inverted(Saturated(), pictures(5), start="white")
    assert np.ptp(inversions.representation_inverted, axis=0).max() == 0
    score = judged(Net(1), inversions)
    assert score.stir is score.ceiling is score.floor is None
    assert score.similarity is not None
    assert any("ceiling" in note for note in score.notes)


# C4: merging


def value_of(cka: Any) -> float:
    return float(cka.value() if hasattr(cka, "value") else cka.biased())


def equal_up_to_rounding(count: int = 8, width: int = 20) -> tuple[Tensor, Tensor]:
    """Rows that vary, and float32 rows that are equal but for their last bit."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, width, generator=generator)
    bits = torch.randint(0, 2, (count, width), generator=generator)
    return x, 1000.3 + bits * 6e-5


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(
            8,
        ),
        30,
    ],
    ids=["rows", "sums"],
)
def test_a_merge_keeps_the_resolution(count: int) -> None:
    whole, part, merged = LinearCKA(), LinearCKA(), LinearCKA()
    for accumulator in (whole, part):
        accumulator.update(*equal_up_to_rounding(count))
    merged.merge(part)
    for accumulator in (whole, merged):
        with pytest.raises(ValueError, match="same"):
            value_of(accumulator)


@pytest.mark.parametrize("count", [6, 30], ids=["rows", "sums"])
def test_a_merge_with_itself_doubles_or_is_refused(count: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((count, 20)), rng.random((count, 10))
    one, expected = LinearCKA(), LinearCKA()
    one.update(x, y)
    for _ in range(2):
        expected.update(x, y)
    try:
        one.merge(one)
    except ValueError:
        return
    assert one.n == 2 * count
    assert value_of(one) == pytest.approx(value_of(expected), abs=1e-12)


def test_a_merge_gives_what_one_accumulator_gives() -> None:
    rng = np.random.default_rng(0)
    for count in (6, 30):
        x, y = rng.random((count, 20)), rng.random((count, 10))
        whole, merged = LinearCKA(), LinearCKA()
        whole.update(x, y)
        for some in (slice(0, 4), slice(4, None)):
            part = LinearCKA()
            part.update(x[some], y[some])
            merged.merge(part)
        assert merged.n == count
        assert value_of(merged) == pytest.approx(value_of(whole), abs=1e-12)
