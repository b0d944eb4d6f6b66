"""Layers are pooled over the axes that hold no channels, wherever those are, against what a hook
sees, pooled by hand; where that cannot be known they are refused.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stir_hf import RequestError, load_encoder
from stir_hf.models.read.taps import split_selector
from tests.models.networks import IMAGES

Operation = Callable[["Patches", Tensor], Tensor]
ROWS = len(IMAGES)


class Patches(nn.Module):
    """Patches as tokens (b, 16, 12), and an operation on them that a layer shows."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm, self.shown = nn.Conv2d(3, 12, 8, 8), nn.LayerNorm(12), nn.Identity()
        self.over_tokens, self.conv = nn.Linear(16, 24), nn.Conv1d(16, 9, 1)
        self.qkv, self.more = nn.Linear(12, 36), nn.Linear(12, 48)
        self.weights, self.queries = (
            nn.Parameter(torch.randn(n, m)) for n, m in [(9, 16), (6, 12)]
        )
        self.low, self.high = (nn.Parameter(torch.randn(n, m)) for n, m in [(2, 12), (12, 2)])
        self.rnn = nn.LSTM(12, 7, batch_first=True, bidirectional=True)
        self.coder = nn.TransformerEncoderLayer(12, 2, 24, dropout=0.0)
        self.operation = operation

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.norm(self.stem(images).flatten(2).transpose(1, 2))
        return self.shown(self.operation(self, tokens))  # type: ignore[no-any-return]


def maps(tokens: Tensor) -> Tensor:
    """Return (b, c, 4, 4)."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, 4, 4)


def canvas(_: Patches, x: Tensor) -> Tensor:
    filled = torch.zeros(len(x), 5, 6, 12)
    filled[:, :4, :4] = maps(x).permute(0, 2, 3, 1)
    return filled


def windows(_: Patches, x: Tensor) -> Tensor:
    cut = maps(x).reshape(-1, 12, 2, 2, 2, 2).permute(0, 2, 4, 3, 5, 1)
    return cut.reshape(len(x), 4, 4, 12)


def channel_attention(net: Patches, x: Tensor) -> Tensor:
    q, k, v = net.qkv(x).reshape(len(x), 16, 3, 2, 6).permute(2, 0, 3, 4, 1)
    return (q @ k.transpose(-1, -2)).softmax(-1) @ v  # type: ignore[no-any-return]


def heads(net: Patches, x: Tensor) -> Tensor:
    q, k, v = net.qkv(x).reshape(len(x), 16, 3, 2, 6).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v)


def asked(net: Patches, x: Tensor) -> Tensor:
    queries = net.queries.expand(len(x), -1, -1)
    return (queries @ x.transpose(1, 2)).softmax(-1) @ x + queries


def asked_at_once(net: Patches, x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(net.queries.expand(len(x), -1, -1), x, x)


def filtered(_: Patches, x: Tensor) -> Tensor:
    spectrum = torch.fft.rfft2(maps(x).permute(0, 2, 3, 1), dim=(1, 2))
    real = torch.view_as_real(spectrum) * 2
    found: Tensor = torch.fft.irfft2(torch.view_as_complex(real), s=(4, 4), dim=(1, 2))
    return found


def adapted(net: Patches, x: Tensor) -> Tensor:
    return F.linear(
        maps(x).permute(0, 2, 3, 1), net.more.weight + (net.low.T @ net.high.T).repeat(4, 1)[:, :12]
    )


def one_more(net: Patches, x: Tensor) -> Tensor:
    return torch.cat([net.queries[:1].expand(len(x), 1, 12), x], 1)


CASES: dict[str, tuple[Operation, tuple[int, ...]]] = {
    "tokens": (lambda _, x: x, (1,)),
    "maps": (lambda _, x: maps(x), (2, 3)),
    "channels last": (lambda _, x: maps(x).permute(0, 2, 3, 1), (1, 2)),
    "channels last, in memory too": (lambda _, x: maps(x).permute(0, 2, 3, 1).contiguous(), (1, 2)),
    "channels before tokens": (lambda _, x: x.transpose(1, 2), (2,)),
    "one place": (lambda _, x: F.adaptive_avg_pool1d(x.transpose(1, 2), 1), (2,)),
    "the largest of each channel": (lambda _, x: x.amax(1)[..., None], (2,)),
    "a mixer": (lambda net, x: net.over_tokens(x.transpose(1, 2)), (2,)),
    "a mixer of a copy": (lambda net, x: net.over_tokens(x.transpose(1, 2).contiguous()), (2,)),
    "tokens as a convolution's channels": (lambda net, x: net.conv(x), (1,)),
    "tokens times weights": (lambda net, x: net.weights @ x, (1,)),
    "tokens in a sum": (lambda net, x: torch.einsum("ts,bsd->bdt", net.weights, x), (2,)),
    "more channels": (lambda net, x: net.more(maps(x).permute(0, 2, 3, 1)), (1, 2)),
    "weights that are made": (adapted, (1, 2)),
    "finer maps": (lambda net, x: F.pixel_shuffle(maps(net.more(x)), 2), (2, 3)),
    "coarser maps": (lambda _, x: F.pixel_unshuffle(maps(x), 2), (2, 3)),
    "larger maps": (lambda _, x: F.interpolate(maps(x), scale_factor=2.0), (2, 3)),
    "patches of patches": (lambda _, x: F.unfold(maps(x), 2, stride=2), (2,)),
    "part of a canvas": (canvas, (1, 2)),
    "windows": (windows, (1, 2)),
    "heads": (heads, (2,)),
    "heads that attend to channels": (channel_attention, (3,)),
    "queries": (asked, (1,)),
    "queries, at once": (asked_at_once, (1,)),
    "a spectrum": (filtered, (1, 2)),
    "recurrence": (lambda net, x: net.rnn(x)[0], (1,)),
    "tokens before images": (lambda net, x: net.coder(x.transpose(0, 1)).transpose(0, 1), (1,)),
    "with a token more": (
        lambda net, x: torch.cat([net.queries[:1].expand(len(x), 1, 12), x], 1),
        (1,),
    ),
    "mapped": (lambda _, x: torch.vmap(lambda t: t.T.sigmoid())(x), (2,)),
    "heads side by side": (lambda _, x: x.mean(1).reshape(len(x), 3, 4), ()),
}


@pytest.mark.parametrize("name", CASES)
def test_channels_are_kept_wherever_they_are(name: str) -> None:
    operation, over = CASES[name]
    module = Patches(operation).eval()
    with torch.no_grad():
        shown = module(IMAGES)
    expected = shown.mean(over).flatten(1) if over else shown.flatten(1)
    found = load_encoder(module, "shown")(IMAGES)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    if over:
        largest = load_encoder(module, "shown:max")(IMAGES)
        torch.testing.assert_close(largest, shown.amax(over).flatten(1), rtol=1e-4, atol=1e-5)


UNKNOWN: dict[str, Operation] = {
    "no channels": lambda _, x: maps(x).amax(1),
    "through NumPy": lambda _, x: torch.from_numpy(x.detach().numpy().copy()),
    "chosen one by one": lambda _, x: maps(x)[:, torch.arange(8), torch.arange(8) % 4],
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_where_no_axis_is_known_to_hold_channels_a_rule_is_asked_for(name: str) -> None:
    module = Patches(UNKNOWN[name]).eval()
    with torch.no_grad():
        shown = module(IMAGES)
    with pytest.raises(
        RequestError,
        match=r"'shown' of Patches: .* \(b, \d+, \d+\) hold channels; add :flatten, :mean:channels",
    ):
        load_encoder(module, "shown")(IMAGES)
    said: dict[str, Tensor] = {
        "flatten": shown.flatten(1),
        "mean:channels-last": shown.mean(1),
        "max:channels-first": shown.amax(2),
        "cls:channels-last": shown[:, 0],
    }
    for rule, expected in said.items():
        torch.testing.assert_close(load_encoder(module, f"shown:{rule}")(IMAGES), expected)
    encoder = load_encoder(module)
    encoder.find_layer((32, 32))
    (listed,) = [layer for layer in encoder.layers if layer.name == "shown"]
    assert listed.pooling is None
    assert listed.pooled == "? (which axes hold channels is not known)"


@pytest.mark.parametrize("name", ["maps", "channels before tokens", "heads"])
def test_the_first_token_is_that_of_tokens_alone(name: str) -> None:
    module = Patches(CASES[name][0]).eval()
    with pytest.raises(RequestError, match=r"'cls' needs tokens of shape \(b, t, d\)"):
        load_encoder(module, "shown:cls")(IMAGES)
    tokens = Patches(CASES["tokens"][0]).eval()
    with torch.no_grad():
        torch.testing.assert_close(load_encoder(tokens, "shown:cls")(IMAGES), tokens(IMAGES)[:, 0])


def tap(name: str, rule: str = "") -> Any:
    encoder = load_encoder(Patches(CASES[name][0]).eval(), f"shown{rule}")
    encoder.find_layer((32, 32))
    return encoder.identity()["tap"]


def test_the_identity_says_what_was_pooled_over_where_that_is_not_usual() -> None:
    usual = {"module": "shown", "at": "output", "part": None, "pooling": "mean", "call": 0}
    assert tap("maps") == {**usual}
    assert tap("tokens", ":mean:channels-last") == {**usual, "module": "norm"} == tap("tokens")
    assert tap("channels last") == {**usual, "over": [1, 2]}
    assert tap("channels last", ":mean:channels-last") == tap("channels last")
    assert tap("channels last", ":mean:channels-first") == usual
    assert tap("one place") == {**usual, "over": [2]}
    assert tap("heads") == {**usual, "over": [2]}
    assert tap("heads side by side") == {**usual, "pooling": "flatten"}


@pytest.mark.parametrize(
    ("selector", "told"),
    [
        ("shown:median", r"pooling 'median' .* there are: mean, max, cls, flatten"),
        ("shown:mean:last", r"'last' of layer .* :channels-first or :channels-last"),
        ("shown:flatten:channels-last", r"'channels-last' of layer .* :mean, :max and :cls may"),
        ("shown:mean:channels-last:mean", r"'channels-last:mean' of layer"),
        ("shown:", r"pooling '' of layer"),
    ],
)
def test_rules_that_are_none_are_refused(selector: str, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        split_selector(selector)


def test_layers_are_listed_as_they_are_pooled() -> None:
    said = {
        "maps": "mean",
        "channels last": "mean, channels last",
        "channels before tokens": "mean, channels first",
        "heads": "mean over axes 2 of (batch, …)",
        "heads side by side": "flatten",
    }
    for name, words in said.items():
        encoder = load_encoder(Patches(CASES[name][0]).eval())
        encoder.find_layer((32, 32))
        (listed,) = [layer for layer in encoder.layers if layer.name == "shown"]
        assert listed.pooled == words


def test_a_gradient_comes_through_the_pooling() -> None:
    module = Patches(CASES["channels last"][0]).eval()
    encoder = load_encoder(module, "shown")
    encoder.find_layer((32, 32))
    with encoder.session() as session:
        found = session.check(session.network.kind((32, 32)), gradient=True)
        assert found.shape == (2, 12)
