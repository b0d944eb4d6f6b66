"""Networks that keep something of what they saw, and networks that look at the rest of a batch."""

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stir_hf import RequestError, RunError, load_encoder
from tests.tiny import inverted, judged, noise_images


class Base(nn.Module):
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.f = nn.Linear(192, 6)
        self.register_buffer("seen", torch.zeros(()))

    def value(self, x: Tensor) -> Tensor:
        found: Tensor = self.f(x.flatten(1))
        return found


class Drifts(Base):
    """Its scale grows by a millionth in every pass."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1e-6
        return self.value(x) * (1 + self.seen)


class Follows(Base):
    """Keeps a moving mean of what it saw, in evaluation mode too."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen.lerp_(x.detach().mean(), 1e-5)
        return self.value(x) - self.seen


class Counts(Base):
    """Keeps count in an attribute, and drifts by it."""

    count = 0

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return self.value(x) * (1 + 1e-6 * self.count)


class Harmless(Base):
    """Counts its passes in a buffer and computes the same in each."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        return self.value(x)


@pytest.mark.parametrize("make", [Drifts, Follows, Counts])
def test_a_network_that_changes_in_every_pass_is_refused(make: type[Base]) -> None:
    said = r"changes a little in every pass" + (r" \(its buffer seen" if make != Counts else "")
    with pytest.raises(RequestError, match=said):
        inverted(make(), noise_images(5))
    made = inverted(Harmless(), noise_images(5))
    with pytest.raises(RequestError, match=said):
        judged(make(), made)


def test_a_count_that_changes_nothing_is_taken() -> None:
    net = Harmless()
    x = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(load_encoder(net)(x), net.value(x).detach())
    assert len(inverted(net, noise_images(5))) == 5
    assert float(net.seen) == 0  # a buffer comes back as it was


class Experts(nn.Module):
    """Two experts, each of which takes the first `capacity(b)` of the rows that choose it."""

    def __init__(self, least: int) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.gate, self.skip = nn.Linear(192, 2), nn.Linear(192, 6)
        self.experts = nn.ModuleList(nn.Linear(192, 6) for _ in range(2))
        self.least = least

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1) - 0.5
        chosen = self.gate(x).argmax(1)
        capacity, y = max(self.least, len(x) // 4), self.skip(x)
        for i, expert in enumerate(self.experts):
            mine = (chosen == i) & ((chosen == i).cumsum(0) <= capacity)
            y = y + mine[:, None] * expert(x)
        found: Tensor = y
        return found


def test_rows_that_depend_on_a_larger_batch_are_refused() -> None:
    images = noise_images(40)
    made = inverted(nn.Sequential(nn.Flatten(), nn.Linear(192, 6)), images)
    said = r"one image has another representation in a batch of \d+ than in one of 4 \(by [\d.]+%\)"
    with pytest.raises(RequestError, match=said):
        judged(Experts(4), made, batch_size=40)
    with pytest.raises(RequestError, match=said):
        inverted(Experts(4), images, batch_size=40)
    small = judged(Experts(4), made, batch_size=4)
    assert small.stir is not None
    for size in (4, 16, 40):
        whole = judged(Experts(99), made, batch_size=size).stir
        assert whole == pytest.approx(small.stir, abs=1e-6)


class Offset(Experts):
    """The same far from 0: STIR does not see the offset, nor may the check."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 3e3


class Overflows(Base):
    """Doubles all rows after the fourth; the black image has no representation."""

    def forward(self, x: Tensor) -> Tensor:
        later = torch.where(torch.arange(len(x)) >= 4, 2.0, 1.0)[:, None]
        return self.value(x) * later / torch.where(x.mean((1, 2, 3)) > 0, 1.0, 0.0)[:, None]


def test_neither_an_offset_nor_a_row_that_is_not_finite_hides_the_batch() -> None:
    images = noise_images(40)
    made = inverted(nn.Sequential(nn.Flatten(), nn.Linear(192, 6)), images)
    with pytest.raises(RequestError, match="another representation in a batch of 40"):
        judged(Offset(4), made, batch_size=40)
    assert judged(Offset(99), made, batch_size=40).stir is not None
    black = [Image.new("RGB", (8, 8)), *images[:15]]
    with pytest.raises(RequestError, match="another representation in a batch of 16"):
        inverted(Overflows(), black, batch_size=16)


class Tires(Base):
    """Gives other values after so many passes."""

    def __init__(self, passes: int) -> None:
        super().__init__()
        self.left = passes

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        return self.value(x) * (2 if self.left < 0 else 1)


def test_a_network_that_changed_during_a_run_is_told_at_its_end() -> None:
    with pytest.raises(RunError, match=r"another representation in a batch of 10 .* Remove "):
        inverted(Tires(20), noise_images(10), steps=30, batch_size=10)
    made = inverted(Harmless(), noise_images(40))
    with pytest.raises(RequestError, match="another representation in a batch of 8"):
        judged(Tires(20), made, batch_size=8)


class Views(nn.Module):
    """Views its input, which needs an order in memory."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.f = nn.Linear(192, 12)
        self.strides: set[tuple[int, ...]] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.strides.add(x.stride()[1:])
        found: Tensor = self.f(x.view(len(x), -1))
        return found


@pytest.mark.parametrize("exact", [False, True])
def test_images_lie_alike_in_memory_wherever_they_come_from(exact: bool) -> None:
    net = Views()
    made = inverted(net, noise_images(9), exact=exact)
    assert judged(net, made).stir is not None
    x = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(load_encoder(net)(x), net.f(x.flatten(1)).detach())
    assert net.strides == {(64, 8, 1)}
