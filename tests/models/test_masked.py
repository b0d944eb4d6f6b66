"""Masked autoencoders: all patches are seen, in their order."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf

from stir_hf import RequestError, compare, load_encoder
from tests.conftest import TinyModels
from tests.tiny import QUICK, SEES, noise_images


@pytest.fixture
def autoencoder(tmp_path: Path) -> str:
    torch.manual_seed(0)
    config = tf.ViTMAEConfig(
        **SEES,
        decoder_hidden_size=16,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    tf.ViTMAEForPreTraining(config).save_pretrained(tmp_path)
    size = {"height": 32, "width": 32}
    tf.ViTImageProcessor(size=size, resample=2, do_convert_rgb=None).save_pretrained(tmp_path)
    return str(tmp_path)


@pytest.mark.parametrize(
    "layer", ["layernorm:cls", "layernorm:flatten", "hidden_states[1]:flatten"]
)
def test_all_patches_are_seen_in_their_order(autoencoder: str, layer: str) -> None:
    model: Any = tf.ViTMAEModel.from_pretrained(autoencoder, mask_ratio=0.0).eval()
    images, order = torch.rand(4, 3, 32, 32), torch.arange(16).expand(4, -1)
    with torch.no_grad():
        result = model(pixel_values=(images - 0.5) / 0.5, noise=order, output_hidden_states=True)
    state = result.hidden_states[1] if "hidden" in layer else result.last_hidden_state
    assert state.shape == (4, 17, 16)
    expected = state[:, 0] if layer.endswith("cls") else state.flatten(1)
    found = load_encoder(autoencoder, layer)(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_same_comparison_twice_is_the_same(autoencoder: str, tiny_models: TinyModels) -> None:
    data = noise_images(8, 32)
    one, two = (compare(autoencoder, tiny_models.vit, data, **QUICK) for _ in range(2))
    assert [s.stir for s in one.scores] == [s.stir for s in two.scores]
    assert any("masking is off" in note for note in one.scores[0].notes)


def test_an_object_that_masks_is_told_how_not_to(autoencoder: str) -> None:
    model: Any = tf.ViTMAEModel.from_pretrained(autoencoder)
    with pytest.raises(RequestError, match=r"mask_ratio=0.75.*set model.config.mask_ratio = 0.0"):
        load_encoder(model)
    model.config.mask_ratio = 0.0
    images = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(
        load_encoder(model)(images), load_encoder(autoencoder)(images), rtol=1e-4, atol=1e-5
    )


def test_a_masked_autoencoder_that_is_a_tower_sees_all_patches(tmp_path: Path) -> None:
    torch.manual_seed(0)
    text: dict[str, Any] = {"num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}
    config = tf.VisionTextDualEncoderConfig.from_vision_text_configs(
        tf.ViTMAEConfig(**SEES),
        tf.BertConfig(**text, hidden_size=16, intermediate_size=24),
        projection_dim=8,
    )
    model: Any = tf.VisionTextDualEncoderModel(config).eval()
    model.save_pretrained(tmp_path)
    processor = tf.ViTImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path)
    encoder, images = load_encoder(str(tmp_path), device="cpu"), torch.rand(4, 3, 32, 32)
    assert torch.equal(encoder(images), encoder(images))
    assert "masking is off: all patches are seen" in encoder.notes
    with pytest.raises(RequestError, match=r"model\.vision_model\.config\.mask_ratio = 0\.0"):
        load_encoder(model, processor=processor)
    model.vision_model.config.mask_ratio = 0.0
    found = load_encoder(model, processor=processor)(images)
    torch.testing.assert_close(encoder(images), found, rtol=1e-4, atol=1e-5)
