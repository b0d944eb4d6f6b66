"""Layers whose first axis is not that of the batch: refused with their shape, and not listed."""

from typing import Any

import pytest
import torch
import transformers as tf
from torch import Tensor, nn

from stir_hf import RequestError, load_encoder
from stir_hf.models.read.probing import LayerError
from stir_hf.models.read.trace import trace
from tests.models.networks import IMAGES
from tests.tiny import pixels_of

PROCESSOR = tf.ViTImageProcessor(size={"height": 32, "width": 32})


def pixtral() -> Any:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "head_dim": 8}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    return tf.PixtralVisionModel(tf.PixtralVisionConfig(**sizes))


@pytest.mark.parametrize(
    "layer", [None, "output", "hidden_states[1]", "hidden_states[-1]", "ln_pre", "transformer"]
)
def test_a_tower_that_packs_its_images_is_refused_with_the_shape(layer: str | None) -> None:
    said = r"gives a tensor of shape \(1, 64, 16\) for 4 inputs, not one row for each"
    with pytest.raises(LayerError, match=said) as raised:
        load_encoder(pixtral(), layer, processor=PROCESSOR)
    assert [one.name for one in raised.value.layers] == ["patch_conv"]


def test_its_layers_before_that_are_read() -> None:
    model = pixtral()
    encoder = load_encoder(model, "patch_conv", processor=PROCESSOR)
    with torch.no_grad():
        expected = model.patch_conv(pixels_of(encoder).map(IMAGES)).mean((2, 3))
    torch.testing.assert_close(encoder(IMAGES), expected)


class TokensFirst(nn.Module):
    """(tokens, images, width), then (images, classes); of images of 16x16 there are 4 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.head = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.mix(self.stem(images).flatten(2).permute(2, 0, 1))
        return self.head(tokens.mean(0))  # type: ignore[no-any-return]


class Ends(TokensFirst):
    def forward(self, images: Tensor) -> Tensor:
        return self.stem(images).flatten(2).permute(2, 0, 1)  # type: ignore[no-any-return]


class Unfollowed(TokensFirst):
    """The same, by an operation of which torch tells nothing."""

    def forward(self, images: Tensor) -> Tensor:
        tokens = torch.from_numpy(self.stem(images).flatten(2).permute(2, 0, 1).numpy().copy())
        return self.head(self.mix(tokens).mean(0))  # type: ignore[no-any-return]


class Squeezes(TokensFirst):
    """All tokens of a batch, and at the end one vector."""

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.mix(self.stem(images).flatten(2).transpose(1, 2).flatten(0, 1))
        return self.head(tokens.mean(0, keepdim=True))  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", [TokensFirst, Unfollowed])
@pytest.mark.parametrize("side", [16, 32])
def test_as_many_tokens_as_images_are_no_images(side: int, kind: type[TokensFirst]) -> None:
    module, images = kind().requires_grad_(False), torch.rand(3, 3, side, side)
    encoder = load_encoder(module)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), module(images))
    assert [layer.name for layer in encoder.layers] == ["stem", "head"]
    tokens = (side // 8) ** 2
    with pytest.raises(
        RequestError, match=rf"layer 'mix' gives .* \({tokens}, 4, 8\) for 4 inputs"
    ):
        load_encoder(module, "mix")(images)
    with pytest.raises(RequestError, match=rf"layer 'output' of Ends gives .*\({tokens}, 4, 8\)"):
        load_encoder(Ends())(images)


@pytest.mark.parametrize(("layer", "shape"), [("mix", r"\(64, 8\)"), ("output", r"\(1, 5\)")])
def test_what_mixes_the_images_is_refused(layer: str, shape: str) -> None:
    with pytest.raises(RequestError, match=f"gives a tensor of shape {shape} for 4 inputs"):
        load_encoder(Squeezes(), layer)(IMAGES)


class Ours(nn.Module):
    """As many rows as the images that it saw when its layers were found, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 32)

    def forward(self, images: Tensor) -> Tensor:
        return self.stem(images).flatten(1)[:4]  # type: ignore[no-any-return]


def test_a_batch_that_gives_fewer_rows_is_refused() -> None:
    encoder = load_encoder(Ours())
    assert encoder(IMAGES).shape == (3, 8)
    with pytest.raises(RequestError, match=r"layer 'output' gives .*\(4, 8\) for 6 inputs"):
        encoder(torch.cat((IMAGES, IMAGES)))


def test_a_pass_of_another_size_is_made_only_where_the_first_leaves_a_doubt() -> None:
    unfollowed = Unfollowed().requires_grad_(False)
    for module, side, count in ((unfollowed, 16, 2), (TokensFirst(), 16, 1), (Ours(), 32, 1)):
        encoder, passes = load_encoder(module), list[int]()
        module.register_forward_pre_hook(lambda _, given, seen=passes: seen.append(len(given[0])))
        trace(encoder.network, encoder.kind((side, side)))
        assert passes == [4, 5][:count]


class Windows(nn.Module):
    """As many windows as images, before the images."""

    def __init__(self, merged: bool) -> None:
        super().__init__()
        self.stem, self.shown, self.merged = nn.Conv2d(3, 12, 8, 8), nn.Identity(), merged

    def forward(self, images: Tensor) -> Tensor:
        count = len(images)
        windows = self.stem(images).reshape(count, 12, 2, 2, 2, 2).permute(2, 4, 0, 3, 5, 1)
        shape = (4, count * 48) if self.merged else (4, count * 4, 12)
        shown: Tensor = self.shown(windows.reshape(shape))
        return shown.reshape(4, count, 4, 12).mean((0, 2))


@pytest.mark.parametrize("merged", [True, False])
def test_as_many_windows_as_images_are_no_images(merged: bool) -> None:
    module = Windows(merged)
    encoder = load_encoder(module)
    with torch.no_grad():
        torch.testing.assert_close(encoder(IMAGES), module(IMAGES))
    assert [layer.name for layer in encoder.layers] == ["stem"]
    with pytest.raises(RequestError, match=r"layer 'shown' gives .* for 4 inputs"):
        load_encoder(module, "shown")(IMAGES)
