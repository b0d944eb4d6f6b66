"""Layers of whole networks of several kinds, pooled over the axes that hold no channels, against
what the network gives, pooled by hand.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stir_hf import RequestError, load_encoder
from stir_hf.models.read.axes import Axes, unknown
from stir_hf.models.read.operations import Made, axes_made
from stir_hf.models.read.taps import Pooling, find, with_axes
from stir_hf.models.read.trace import trace
from tests.models.networks import IMAGES

Operation = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """Weights of several kinds, and an operation with them whose result a layer shows."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.shown = nn.Conv2d(3, 12, 8, 8), nn.Identity()
        self.patch, self.gray = nn.Linear(64, 10), nn.Conv2d(1, 10, 8, 8)
        self.each = nn.Conv3d(1, 10, (1, 8, 8), (1, 8, 8))
        self.norm, self.more = nn.LayerNorm(10), nn.Linear(10, 14)
        self.code, self.up = nn.Linear(12 * 16, 10 * 4 * 4), nn.ConvTranspose2d(10, 8, 2, 2)
        self.up1, self.widen = nn.ConvTranspose1d(10, 8, 2, 2), nn.Conv2d(1, 5, 3, padding=1)
        self.along = nn.Conv1d(1, 1, 3, padding=1)
        self.prototypes, self.widen_tokens = nn.Parameter(torch.randn(6, 12)), nn.Linear(12, 9)
        self.operation = operation

    def forward(self, images: Tensor) -> Tensor:
        return self.shown(self.operation(self, images))  # type: ignore[no-any-return]


def by_colour(net: Net, x: Tensor) -> Tensor:
    tokens = net.each(x[:, None]).flatten(2).transpose(1, 2)
    return net.more(net.norm(tokens))  # type: ignore[no-any-return]


def colours_as_images(net: Net, x: Tensor) -> Tensor:
    tokens = net.gray(x.reshape(-1, 1, 32, 32)).flatten(2).transpose(1, 2)
    return net.more(tokens.reshape(len(x), 48, 10))  # type: ignore[no-any-return]


def patches_by_colour(net: Net, x: Tensor) -> Tensor:
    cut = x.reshape(len(x), 3, 4, 8, 4, 8).permute(0, 1, 2, 4, 3, 5)
    return net.patch(cut.reshape(len(x), 3, 16, 64))  # type: ignore[no-any-return]


def filters_by_colour(net: Net, x: Tensor) -> Tensor:
    return net.gray(x.reshape(-1, 1, 32, 32)).reshape(len(x), 30, 4, 4)  # type: ignore[no-any-return]


def decoded(net: Net, x: Tensor) -> Tensor:
    return net.code(net.stem(x).flatten(1))  # type: ignore[no-any-return]


def attended(net: Net, x: Tensor) -> Tensor:
    """Return maps times weights that a convolution along the channels made (ECA)."""
    maps = net.stem(x)
    weights = net.along(maps.mean((2, 3))[:, None]).transpose(1, 2)[..., None].sigmoid()
    return maps * weights  # type: ignore[no-any-return]


def tokens(net: Net, x: Tensor) -> Tensor:
    return net.stem(x).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


def sampled(net: Net, x: Tensor) -> Tensor:
    maps = net.stem(x)
    grid = net.widen_tokens(maps.permute(0, 2, 3, 1))[:, :, :2, :2].tanh()
    return F.grid_sample(maps, grid, align_corners=False)


def distances(net: Net, x: Tensor) -> Tensor:
    return torch.cdist(tokens(net, x), net.prototypes.expand(len(x), -1, -1))


def filled(net: Net, x: Tensor) -> Tensor:
    out = torch.zeros(len(x), 16, 9)
    for i in range(16):
        out[:, i] = net.widen_tokens(tokens(net, x)[:, i])
    return out


def filled_last(net: Net, x: Tensor) -> Tensor:
    out = torch.zeros(len(x), 9, 16)
    for i in range(16):
        out[..., i] = net.widen_tokens(tokens(net, x)[:, i])
    return out


def chosen(net: Net, x: Tensor) -> Tensor:
    found = tokens(net, x)
    best = found.norm(dim=-1).topk(5)[1]
    return found[torch.arange(len(x))[:, None], best]


def folded(net: Net, x: Tensor) -> Tensor:
    cut = torch.stack([F.unfold(maps, 2, stride=2) for maps in net.stem(x)])
    return torch.stack([F.fold(one, (4, 4), 2, stride=2) for one in cut])


CASES: dict[str, tuple[Operation, tuple[int, ...]]] = {
    "each colour embedded": (by_colour, (1,)),
    "each colour as an image": (colours_as_images, (1,)),
    "patches of each colour": (patches_by_colour, (1, 2)),
    "filters of each colour": (filters_by_colour, (2, 3)),
    "colours alone": (lambda _, x: x * 2, (2, 3)),
    "colours alone, last": (lambda _, x: x.permute(0, 2, 3, 1) * 2, (1, 2)),
    "colours as tokens": (lambda _, x: x.flatten(2).transpose(1, 2) * 2, (1,)),
    "decoded": (lambda net, x: net.up(decoded(net, x).reshape(len(x), 10, 4, 4)).relu(), (2, 3)),
    "decoded, one axis": (lambda net, x: net.up1(decoded(net, x).reshape(len(x), 10, 16)), (2,)),
    "decoded, one map": (
        lambda net, x: net.widen(decoded(net, x).reshape(len(x), 1, 10, 16)),
        (2, 3),
    ),
    "a convolution along the channels": (attended, (2, 3)),
    "a convolution over tokens and channels": (
        lambda net, x: net.widen(net.stem(x).flatten(2).transpose(1, 2)[:, None]),
        (2,),
    ),
    "sampled": (sampled, (2, 3)),
    "sampled at learnt places": (
        lambda net, x: F.grid_sample(
            net.stem(x), net.up.weight[:1, :2].expand(len(x), -1, -1, -1), align_corners=True
        ),
        (2, 3),
    ),
    "distances to prototypes": (distances, (1,)),
    "distances of prototypes": (lambda net, x: distances(net, x).transpose(1, 2), (2,)),
    "prototypes first": (
        lambda net, x: torch.cdist(net.prototypes.expand(len(x), -1, -1), tokens(net, x)),
        (2,),
    ),
    "filled token by token": (filled, (1,)),
    "filled token by token, last": (filled_last, (2,)),
    "chosen tokens": (chosen, (1,)),
    "patches of single images": (
        lambda net, x: torch.stack([F.unfold(maps, 2, stride=2) for maps in net.stem(x)]),
        (2,),
    ),
    "patches of single images, put together": (folded, (2, 3)),
}

UNKNOWN: dict[str, Operation] = {
    "indices apart": lambda net, x: tokens(net, x).transpose(1, 2)[
        torch.arange(len(x))[:, None], :, torch.arange(5).expand(len(x), 5)
    ],
    "indices that vary along both axes": lambda net, x: tokens(net, x)[
        :, torch.arange(25).reshape(5, 5) % 16, torch.arange(25).reshape(5, 5) % 12
    ],
    "distances of tokens": lambda net, x: torch.cdist(tokens(net, x), tokens(net, x)),
}
"""What is asked about: any axis may hold the channels, or none."""


@pytest.mark.parametrize("name", CASES)
def test_channels_are_told_from_space(name: str) -> None:
    operation, over = CASES[name]
    module = Net(operation).eval()
    with torch.no_grad():
        shown = module(IMAGES)
    for rule, expected in (("", shown.mean(over)), (":max", shown.amax(over))):
        found = load_encoder(module, f"shown{rule}")(IMAGES)
        torch.testing.assert_close(found, expected.flatten(1), rtol=1e-4, atol=1e-5)


def test_a_pooling_that_was_asked_for_is_never_replaced() -> None:
    network = load_encoder(Net(lambda net, x: decoded(net, x).reshape(len(x), 10, 4, 4))).network
    seen = trace(network, network.kind((32, 32)))
    tap = find("shown", seen)
    assert with_axes(seen, tap).pooling == "flatten"
    asked: Pooling
    for asked in ("mean", "max"):
        with pytest.raises(
            RequestError, match=rf"all axes .* \(b, 10, 4, 4\) .* :{asked}:channels"
        ):
            with_axes(seen, tap, pooling=asked)
        assert with_axes(seen, tap, "channels-first", asked).pooling == asked


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_told_is_asked_about(name: str) -> None:
    with pytest.raises(RequestError, match=r"it is unknown which axes of .* hold channels"):
        load_encoder(Net(UNKNOWN[name]).eval(), "shown")(IMAGES)


def test_arguments_that_no_rule_foresees_are_no_error() -> None:
    def fails(_: Made) -> Axes:
        raise IndexError

    made = Made((), (), [], None, (4, 3))
    assert axes_made(fails, made) == unknown((4, 3))
    assert axes_made(lambda _: None, made) == unknown((4, 3))
