"""Checkpoints that lack weights: what is read, with a note, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from stir_hf import RequestError, compare, load_encoder
from tests.conftest import TinyModels
from tests.tiny import QUICK, SEES, noise_images, pixels_of

LAYERS = 4


def folder_of(path: Path, kept: Callable[[str], str | None]) -> tuple[Any, str]:
    """A ViT, and its checkpoint with some of its weights, by new names."""
    torch.manual_seed(0)
    model = tf.ViTModel(tf.ViTConfig(**{**SEES, "num_hidden_layers": LAYERS})).eval()
    model.save_pretrained(path)
    tf.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(path)
    weights = load_file(path / "model.safetensors")
    named = {kept(name): value for name, value in weights.items()}
    save_file(
        {name: value for name, value in named.items() if name is not None},
        path / "model.safetensors",
        {"format": "pt"},
    )
    return model, str(path)


def without(*parts: str) -> Callable[[str], str | None]:
    return lambda name: None if any(part in name for part in parts) else name


def renamed(name: str) -> str:
    return name.replace("layer.", "blocks.").replace("layers.", "blocks.")


@pytest.mark.parametrize(
    "kept",
    [
        without("pooler", "layer.1.", "layers.1."),
        without("pooler", "layer.3.", "layers.3."),
        without("pooler", "layer.2.", "layers.2.", "layer.3.", "layers.3.", "layernorm."),
        without("pooler", "embeddings"),
        renamed,
        lambda name: f"other.{name}",
    ],
    ids=["a block", "the last block", "the end", "embeddings", "foreign blocks", "foreign"],
)
def test_a_checkpoint_without_a_block_is_refused(
    kept: Callable[[str], str | None], tmp_path: Path
) -> None:
    _, folder = folder_of(tmp_path, kept)
    with pytest.raises(RequestError, match=r"lacks .*, which layer 'penultimate' depends on"):
        load_encoder(folder, device="cpu")


def test_without_the_last_normalisation_what_goes_into_it_is_read_and_noted(
    tmp_path: Path, tiny_models: TinyModels
) -> None:
    is_last = without("pooler", "layernorm.")
    model, folder = folder_of(
        tmp_path, lambda name: name if "layernorm_" in name else is_last(name)
    )
    encoder, images = load_encoder(folder, device="cpu"), torch.rand(3, 3, 32, 32)
    taken: list[Any] = []
    model.layernorm.register_forward_pre_hook(lambda _, args: taken.append(args[0]))
    with torch.no_grad():
        model(pixel_values=pixels_of(encoder).map(images))
    torch.testing.assert_close(encoder(images), taken[0][:, 0], rtol=1e-4, atol=1e-5)
    said = "the layer is read before layernorm, whose weights the checkpoint lacks"
    assert encoder.notes == (said,)
    assert encoder.at("hidden_states[1]").notes == ()
    result = compare(encoder, tiny_models.vit, noise_images(6, 32), **QUICK)
    assert all(any(said in note for note in score.notes) for score in result.scores)


def test_a_pooler_that_lacks_is_left_out(tmp_path: Path) -> None:
    model, folder = folder_of(tmp_path, without("pooler"))
    encoder, images = load_encoder(folder, device="cpu"), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        expected = model(pixel_values=pixels_of(encoder).map(images)).last_hidden_state[:, 0]
    torch.testing.assert_close(encoder(images), expected, rtol=1e-4, atol=1e-5)
    assert encoder.notes == ()
