"""Modules that change more than a flag when they are put into evaluation mode."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stir_hf import RequestError, load_encoder
from tests.tiny import inverted, noise_images


class Merges(nn.Linear):
    """Adds its adapter to its weight in evaluation mode, as loralib's layers do."""

    def __init__(self) -> None:
        super().__init__(192, 6)
        self.a, self.b = (nn.Parameter(torch.randn(*shape)) for shape in ((2, 192), (6, 2)))
        self.merged = False

    def train(self, mode: bool = True) -> "Merges":
        super().train(mode)
        if mode == self.merged:
            self.weight.data += (-1 if mode else 1) * (self.b @ self.a).data
            self.merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if self.merged else y + x @ self.a.T @ self.b.T


class Replaces(nn.Module):
    """Makes one layer of two in evaluation mode, as RepVGG's blocks do."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(192, 6), nn.Linear(192, 6)

    def train(self, mode: bool = True) -> "Replaces":
        if not mode and hasattr(self, "one"):
            self.both = nn.Linear(192, 6)
            with torch.no_grad():
                self.both.weight.copy_(self.one.weight + self.two.weight)
                self.both.bias.copy_(self.one.bias + self.two.bias)
            del self.one, self.two
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        both: Tensor = self.both(x) if hasattr(self, "both") else self.one(x) + self.two(x)
        return both


class Assigns(nn.Linear):
    """Gives its weight other data and a new buffer."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__(192, 6)

    def train(self, mode: bool = True) -> "Assigns":
        super().train(mode)
        if not mode:
            self.weight.data = self.weight.data / 2
            self.register_buffer("scale", torch.full((1,), 2.0))
            self.folded = True
        return self

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 if self.training else self.scale)


class KeepsNorm(nn.Module):
    """Holds its normalisation in evaluation mode, as detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.f = nn.BatchNorm1d(192), nn.Linear(192, 6)

    def train(self, mode: bool = True) -> "KeepsNorm":
        super().train(mode)
        self.norm.train(False)
        return self

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.f(self.norm(x))
        return found


class ListFlag(Merges):
    """Notes in a list what is merged, as peft's layers do."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def train(self, mode: bool = True) -> "ListFlag":
        nn.Module.train(self, mode)
        if mode == bool(self.names):
            self.weight.data += (-1 if mode else 1) * (self.b @ self.a).data
            self.names.clear() if mode else self.names.append("default")
        return self

    def forward(self, x: Tensor) -> Tensor:
        y = nn.Linear.forward(self, x)
        return y if self.names else y + x @ self.a.T @ self.b.T


class Flag:
    merged = False


class ObjectFlag(Merges):
    """Notes it in an object, and undoes it in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.flag = Flag()

    def train(self, mode: bool = True) -> "ObjectFlag":
        nn.Module.train(self, mode)
        if mode == self.flag.merged:
            self.weight.data += (-1 if mode else 1) * (self.b @ self.a).data
            self.flag.merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        y = nn.Linear.forward(self, x)
        return y if self.flag.merged else y + x @ self.a.T @ self.b.T


class Normed(nn.Module):
    """Takes its weight normalisation, a hook and two parameters, out in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.f = nn.utils.weight_norm(nn.Linear(192, 6))
        self.normed = True

    def train(self, mode: bool = True) -> "Normed":
        if not mode and self.normed:
            nn.utils.remove_weight_norm(self.f)
            self.normed = False
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.f(x)
        return found


class OneWay(ObjectFlag):
    """Never undoes what it noted in an object."""

    def train(self, mode: bool = True) -> "OneWay":
        nn.Module.train(self, mode)
        if not mode and not self.flag.merged:
            self.weight.data += (self.b @ self.a).data
            self.flag.merged = True
        return self


def state(net: nn.Module) -> dict[str, Any]:
    """All that a caller could see of a network, bit for bit."""
    return {
        "tensors": {name: value.clone() for name, value in net.state_dict().items()},
        "places": {name: p.data_ptr() for name, p in net.named_parameters()},
        "modes": [(name, module.training) for name, module in net.named_modules()],
        "attributes": [sorted(vars(module)) for module in net.modules()],
        "merged": [getattr(module, "merged", None) for module in net.modules()],
    }


def assert_same_state(net: nn.Module, before: dict[str, Any]) -> None:
    now = state(net)
    tensors, then = now.pop("tensors"), before["tensors"]
    assert now == {name: value for name, value in before.items() if name != "tensors"}
    assert list(tensors) == list(then)
    assert all(torch.equal(tensors[name], then[name]) for name in then)


@pytest.mark.parametrize(
    "make", [Merges, Replaces, Assigns, KeepsNorm, ListFlag, ObjectFlag, Normed]
)
def test_a_network_comes_back_bit_for_bit(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), make()).train()
    before, images = state(net), noise_images(5)
    inverted(net, images)
    assert_same_state(net, before)
    encoder = load_encoder(net)
    x = torch.rand(3, 3, 8, 8)
    found = encoder(x)
    assert_same_state(net, before)
    assert torch.equal(encoder(x), found)  # the next time, too
    net.eval()
    torch.testing.assert_close(found, net(x).detach(), rtol=0, atol=1e-5)


def test_a_network_that_is_in_evaluation_mode_is_left_alone() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), Merges()).train()
    for module in net.modules():
        module.training = False  # not merged, and right as it is
    before, x = state(net), torch.rand(3, 3, 8, 8)
    expected = net(x).detach()
    torch.testing.assert_close(load_encoder(net)(x), expected, rtol=0, atol=1e-6)
    assert_same_state(net, before)


def test_nested_uses_give_it_back_once() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), Merges()).train()
    before, x = state(net), torch.rand(2, 3, 8, 8)
    encoder = load_encoder(net)
    encoder.find_layer((8, 8))
    with encoder.session(), encoder.session() as inner:
        inner(x)
        assert getattr(net[1], "merged")  # noqa: B009 - of the test's own class
    assert_same_state(net, before)


def test_what_cannot_be_undone_is_refused() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), OneWay()).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(RequestError, match=r"cannot be undone; give it in evaluation mode"):
        inverted(net, noise_images(5))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    flag: Any = net[1].flag
    flag.merged = False
    assert len(inverted(net.eval(), noise_images(5))) == 5


def test_networks_that_share_a_part_come_back_in_any_order() -> None:
    body = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 6))
    whole, x = nn.Sequential(body, nn.Tanh()).train(), torch.rand(3, 3, 8, 8)
    one, two = load_encoder(whole), load_encoder(body)
    one.find_layer((8, 8))
    two.find_layer((8, 8))
    first, second = one.session(), two.session()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    last: Any = body[2]
    expected = torch.nn.functional.linear(x.flatten(1), last.weight, last.bias)
    torch.testing.assert_close(second(x), expected)  # without dropout
    second.__exit__(None, None, None)
    assert all(module.training for module in whole.modules())
    assert all(parameter.requires_grad for parameter in whole.parameters())
