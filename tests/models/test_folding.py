"""Batch normalisation in the convolution before it: where a watched pass shows that it may be."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from stir_hf import load_encoder
from stir_hf.demo import MODELS, model_path
from stir_hf.models.run.folding import folded

SIZE = (16, 16)


class Block(nn.Module):
    """A convolution and its normalisation, which `between` joins."""

    def __init__(self, between: Callable[["Block", Tensor], Tensor] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), trained(nn.BatchNorm2d(6)))
        self.conv, self.norm = nn.Conv2d(6, 8, 3, groups=2), trained(nn.BatchNorm2d(8))
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x).relu()
        y = self.norm(self.conv(y)) if self.between is None else self.between(self, y)
        return y.relu().mean((2, 3))


def trained(norm: Any) -> Any:
    """A normalisation that is far from the identity."""
    generator = torch.Generator().manual_seed(1)
    for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
        if tensor is not None:
            tensor.data.uniform_(0.3, 2, generator=generator)
    return norm


def names(block: nn.Module, layer: str = "output") -> list[str]:
    """The modules that became the identity in a folded copy."""
    encoder = load_encoder(block, layer)
    encoder.find_layer(SIZE)
    with encoder.session() as session:
        copy = folded(session, session.network.kind(SIZE))
    if copy is None:
        return []
    return [name for name, m in copy.module.named_modules() if isinstance(m, nn.Identity)]


def test_both_are_folded_and_the_network_stays_as_it_is() -> None:
    block = Block()
    before = {name: value.clone() for name, value in block.state_dict().items()}
    modules = list(block.modules())
    encoder = load_encoder(block)
    encoder.find_layer(SIZE)
    with encoder.session() as session:
        copy = folded(session, session.network.kind(SIZE))
        assert copy is not None
        images = torch.rand(5, 3, *SIZE)
        expected, found = session(images), copy.module(images)
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert not torch.equal(found, expected)
    assert list(block.modules()) == modules
    after = block.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(p.requires_grad for p in block.parameters())
    assert names(block) == ["first.1", "norm"]


def test_weights_that_stay_are_shared() -> None:
    block = nn.Sequential(Block(), nn.Linear(8, 5))
    encoder = load_encoder(block)
    encoder.find_layer(SIZE)
    with encoder.session() as session:
        copy: Any = folded(session, session.network.kind(SIZE))
    assert copy.module[1].weight is block[1].weight


BETWEEN: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "something else reads it": lambda b, y: b.norm(z := b.conv(y)) + z,
    "a view of it is read": lambda b, y: b.norm(z := b.conv(y)) + z[:, :1].flatten(1)[0, 0],
    "it is read and detached": lambda b, y: b.norm(z := b.conv(y)) * z.detach().amax(),
    "it is changed in between": lambda b, y: b.norm(b.conv(y).add_(1)),
    "another tensor is normalised": lambda b, y: b.norm(b.conv(y) + 1),
    "the norm runs twice": lambda b, y: b.norm(b.norm(b.conv(y))),
    "the convolution runs twice": lambda b, y: b.norm(b.conv(y)) + b.conv(y),
    "no module runs the norm": lambda b, y: nn.functional.batch_norm(
        b.conv(y), b.norm.running_mean, b.norm.running_var, b.norm.weight, b.norm.bias
    ),
}


@pytest.mark.parametrize("why", BETWEEN)
def test_what_may_not_be_folded_is_not(why: str) -> None:
    assert names(Block(BETWEEN[why])) == ["first.1"]


class Doubled(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Padded(nn.Conv2d):
    """Only its constructor is its own."""


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Doubled(6, 8, 3), ["first.1"]),
        (lambda: parametrizations.weight_norm(nn.Conv2d(6, 8, 3)), ["first.1"]),
        (lambda: Padded(6, 8, 3, padding=1), ["first.1", "norm"]),
        (lambda: nn.ConvTranspose2d(6, 8, 3), ["first.1"]),
    ],
    ids=["other arithmetic", "parametrised", "subclass", "transposed"],
)
def test_kinds_of_convolution(make: Callable[[], nn.Module], expected: list[str]) -> None:
    block = Block()
    block.add_module("conv", make())
    assert names(block) == expected


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("conv", ["first.1"]),
        ("norm", ["first.1"]),
        ("first.0", ["norm"]),
        ("first:mean", ["first.1", "norm"]),
    ],
)
def test_a_layer_that_is_read_is_left(layer: str, expected: list[str]) -> None:
    assert names(Block(), layer) == expected


def test_hooks_of_the_user_keep_the_network_as_it_is() -> None:
    block = Block()
    seen: list[Any] = []
    handle = block.conv.register_forward_hook(lambda *_: seen.append(1))
    assert names(block) == []
    handle.remove()
    assert names(block) == ["first.1", "norm"]


def test_sessions_beside_it_are_no_hooks_of_the_user() -> None:
    block = Block()
    encoder = load_encoder(block, "norm")
    encoder.find_layer(SIZE)
    with encoder.session():
        assert names(block) == ["first.1", "norm"]


def test_a_network_without_normalisation_takes_no_further_pass() -> None:
    passes: list[int] = []

    class Counted(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            passes.append(1)
            return super().forward(x)

    encoder = load_encoder(nn.Sequential(Counted(3, 4, 3), nn.Flatten()))
    encoder.find_layer(SIZE)
    with encoder.session() as session:
        before = len(passes)
        assert folded(session, session.network.kind(SIZE)) is None
    assert len(passes) == before


def test_a_network_that_cannot_be_copied_is_left() -> None:
    block = Block()
    vars(block)["keeper"] = (i for i in range(3))
    assert names(block) == []


def test_a_network_that_cannot_be_watched_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any) -> None:
        raise RuntimeError("no modes here")

    monkeypatch.setattr("stir_hf.models.run.folding.foldable", refuses)
    assert names(Block()) == []


def test_precisions() -> None:
    assert names(Block().double()) == ["first.1", "norm"]
    assert names(Block().bfloat16()) == []


@pytest.mark.parametrize("name", MODELS)
def test_embedded_networks_are_folded_whole(name: str) -> None:
    encoder = load_encoder(model_path(name))
    with encoder.session() as session:
        copy = folded(session, session.network.kind((28, 28)))
        assert copy is not None
    assert not any(isinstance(m, nn.BatchNorm2d) for m in copy.module.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in encoder.module.modules())


def test_a_forward_that_asks_the_normalisation_for_what_it_was_is_left_alone() -> None:
    def asks(block: Block, y: Tensor) -> Tensor:
        out: Tensor = block.norm(block.conv(y)).to(block.norm.weight.dtype)
        return out

    assert names(Block(asks)) == []


def test_a_layer_that_a_copy_does_not_reach_leaves_the_network_alone() -> None:
    block: Any = Block()
    original = block.forward  # bound to the original, whatever is copied
    block.forward = lambda x: original(x)
    assert names(Block(), "first") == ["first.1", "norm"]
    assert names(block, "first") == []
