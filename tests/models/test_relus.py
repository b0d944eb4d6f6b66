"""A gradient that passes the last ReLU as if it were the identity, against networks that have such
an activation in its place.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stir_hf import RequestError, load_encoder
from stir_hf.demo import MODELS, model_path
from stir_hf.models import opened
from stir_hf.runtime import RunConfig

SIZE = (8, 8)


class Straight(torch.autograd.Function):
    """max(x, 0), with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # noqa: ARG004
        return gradients[0]


def straight(x: Tensor) -> Tensor:
    found: Tensor = Straight.apply(x)  # type: ignore[no-untyped-call]  # torch's
    return found


Act = Callable[[Tensor], Tensor]


class Two(nn.Module):
    """Convolutions with an activation after each; the first and the second may be one module."""

    def __init__(self, first: Act, second: Act, norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 7, 3)
        self.norm = nn.BatchNorm2d(7) if norm else nn.Identity()
        self.first, self.second, self.head = first, second, nn.Linear(7, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.norm(self.two(self.first(self.one(x)))))
        found: Tensor = self.head(y.mean((2, 3)))
        return found


def gradients(
    net: nn.Module, layer: str = "output", fake_relu: bool = False, **options: Any
) -> tuple[Tensor, Tensor]:
    """A representation (5, d) and the gradient of its squares to the images."""
    images = torch.rand(5, 3, *SIZE, generator=torch.Generator().manual_seed(3)).requires_grad_()
    encoder = load_encoder(net, layer)
    encoder.find_layer(SIZE)
    run = RunConfig(**options)
    with (
        opened(encoder, encoder.kind(SIZE), run, inverted=True) as network,
        network.descending(fake_relu=fake_relu) as represent,
        torch.enable_grad(),
    ):
        found = represent(images, {})
        (gradient,) = torch.autograd.grad(found.square().sum(), images)
    return found.detach(), gradient


def in_a_view(x: Tensor) -> Tensor:
    x = x * 1
    functional.relu(x[:, :], inplace=True)
    return x


SPELT: dict[str, Act] = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "functional": functional.relu,
    "functional by name": lambda x: functional.relu(input=x, inplace=True),
    "torch": torch.relu,
    "torch in place": lambda x: torch.relu_(x),
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "a view in place": in_a_view,
    "compiled": torch.compile(functional.relu, backend="eager"),
}


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of torch.compile
@pytest.mark.parametrize("spelt", SPELT)
def test_the_last_relu_in_every_spelling(spelt: str) -> None:
    act = SPELT[spelt]
    plain, slope = gradients(Two(act, act))
    found, passed = gradients(Two(act, act), fake_relu=True)
    wanted, expected = gradients(Two(torch.relu, straight))
    assert torch.equal(found, plain)
    assert torch.equal(found, wanted)
    assert torch.equal(passed, expected)
    assert not torch.equal(passed, slope)


class Calls(nn.Module):
    def __init__(self, act: Act) -> None:
        super().__init__()
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x)


@pytest.mark.parametrize(
    ("layer", "other", "acts"),
    [
        ("first#1", "first", (straight, torch.relu)),
        ("two", "two", (straight, torch.relu)),
        ("first#2", "second", (torch.relu, straight)),
        ("head", "head", (torch.relu, straight)),
        ("output", "output", (torch.relu, straight)),
    ],
)
def test_it_is_the_last_before_the_layer(layer: str, other: str, acts: tuple[Act, Act]) -> None:
    shared = nn.ReLU()
    found = gradients(Two(shared, shared), layer, fake_relu=True)
    expected = gradients(Two(Calls(acts[0]), Calls(acts[1])), other)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


class Beside(Two):
    """Has a ReLU that the result does not depend on, called last."""

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        torch.relu(found)
        torch.relu(found.detach()).sum()
        return found


def test_a_relu_that_the_layer_does_not_depend_on_is_not_the_last() -> None:
    found = gradients(Beside(torch.relu, torch.relu), fake_relu=True)
    expected = gradients(Two(torch.relu, straight))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("norm", [False, True], ids=["", "folded"])
def test_with_the_other_levers(autocast: bool, norm: bool) -> None:
    nets: Any = [Two(nn.ReLU(), act, norm) for act in (nn.ReLU(inplace=True), straight)]
    net, other = (one.to(memory_format=torch.channels_last) for one in nets)
    found = gradients(net, fake_relu=True, autocast=autocast)
    torch.testing.assert_close(found, gradients(other, autocast=autocast), rtol=0, atol=0)


NONE: dict[str, tuple[Act, str]] = {
    "relu6": (nn.ReLU6(), "output"),
    "tanh": (torch.tanh, "output"),
    "clamp": (lambda x: x.clamp(min=0), "output"),
    "detached": (lambda x: x + x.detach().relu(), "output"),
    "later": (nn.ReLU(), "one:mean"),
}


@pytest.mark.parametrize("why", NONE)
def test_without_one_it_is_refused(why: str) -> None:
    act, layer = NONE[why]
    encoder = load_encoder(Two(act, act), layer, name="mine")
    encoder.find_layer(SIZE)
    told = (
        r"^fake_relu=true needs a ReLU before the layer that is read \(ReLU6 and others are none\),"
        f" and mine, layer {layer} has none; use paper without it$"
    )
    with opened(encoder, encoder.kind(SIZE), RunConfig(), inverted=True) as network:
        with pytest.raises(RequestError, match=told):
            network.check_fake_relu()
        with pytest.raises(RequestError, match=told), network.descending(fake_relu=True):
            pass


def test_the_network_comes_back_as_it_was() -> None:
    net = Two(shared := nn.ReLU(inplace=True), shared, norm=True).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modules, states = list(net.modules()), [dict(vars(m)) for m in net.modules()]
    plain = gradients(net)
    gradients(net, fake_relu=True)
    assert list(net.modules()) == modules
    assert [dict(vars(m)) for m in net.modules()] == states
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    torch.testing.assert_close(gradients(net), plain, rtol=0, atol=0)


def test_a_single_pass_is_made_for_the_check() -> None:
    passes = list[int]()

    class Counted(Two):
        def forward(self, x: Tensor) -> Tensor:
            passes.append(len(x))
            return super().forward(x)

    encoder = load_encoder(Counted(torch.relu, torch.relu))
    encoder.find_layer(SIZE)
    with opened(encoder, encoder.kind(SIZE), RunConfig(), inverted=True) as network:
        passes.clear()
        network.check_fake_relu()
    assert len(passes) == 1


@pytest.mark.parametrize("name", MODELS)
def test_embedded_networks_by_hand(name: str) -> None:
    encoder = load_encoder(model_path(name))
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(3)).requires_grad_()
    with opened(encoder, encoder.kind((28, 28)), RunConfig(), inverted=True) as network:
        with network.descending() as represent:
            plain = represent(images, {})
            expected = by_hand(represent, images)
        with network.descending(fake_relu=True) as represent:
            found = represent(images, {})
            (passed,) = torch.autograd.grad(found.square().sum(), images)
    assert torch.equal(found, plain)
    assert torch.equal(passed, expected)


def by_hand(represent: Any, images: Tensor) -> Tensor:
    """The gradient through the sum before the last activation: that of the mean over space of its
    positive part, with the gradient of the identity.
    """
    sums = list[Tensor]()
    block = represent.network.module.resnet.encoder.stages[-1].layers[-1]
    handle = block.activation.register_forward_pre_hook(lambda _, given: sums.append(given[0]))
    found = represent(images, {}).detach()
    handle.remove()
    (last,) = sums
    assert torch.equal(last.relu().mean((2, 3)), found)
    slope = (2 * found / last[0, 0].numel())[:, :, None, None].expand_as(last)
    (gradient,) = torch.autograd.grad(last, images, slope)
    return gradient
