"""A model in memory that is read without its head: what else it has is read by its own names."""

from typing import Any

import pytest
import torch
import transformers as tf
from torch import Tensor

from stir_hf import RequestError, compare, load_encoder
from stir_hf.models.load.identity import hash_of_weights
from tests.families.checkpoints import _widen
from tests.families.zoo import MEMBERS, T, _config
from tests.tiny import QUICK, noise_images, pixels_of

IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
PROCESSOR: Any = tf.ViTImageProcessor(size={"height": 32, "width": 32})


def segmenter() -> Any:
    return MEMBERS["segformer (segmentation)"].make()


def projection() -> Any:
    return tf.CLIPVisionModelWithProjection(_config("CLIPVisionConfig", **T, projection_dim=8))


def masked() -> Any:
    return tf.ViTForMaskedImageModeling(_config("ViTConfig", **T))


def given_to(model: Any, name: str, images: Tensor) -> Tensor:
    """What a module of a model gives, where it is run by itself."""
    found: list[Any] = []
    handle = model.get_submodule(name).register_forward_hook(lambda *words: found.append(words[2]))
    with torch.no_grad():
        model(pixel_values=images)
    handle.remove()
    output: Tensor = found[0][0] if isinstance(found[0], tuple) else found[0]
    return output


@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (segmenter, "decode_head.classifier"),
        (segmenter, "segformer.stages.3"),
        (projection, "visual_projection"),
        (masked, "vit.layernorm"),
        (masked, "decoder.0"),
    ],
)
def test_modules_of_the_whole_model_are_read_by_their_names(make: Any, layer: str) -> None:
    torch.manual_seed(0)
    model = make().eval()
    _widen(model, 0.1)
    encoder = load_encoder(model, f"{layer}:flatten", processor=PROCESSOR)
    expected = given_to(model, layer, pixels_of(encoder).map(IMAGES)).flatten(1)
    torch.testing.assert_close(encoder(IMAGES), expected, rtol=1e-4, atol=1e-5)
    assert encoder.module is model
    assert encoder.notes == ()
    identity = encoder.identity()
    assert identity["weights"] == hash_of_weights(model)
    assert identity["tap"]["module"] in dict(model.named_modules())


def test_logits_of_pixels_are_read_where_they_are_asked_for() -> None:
    model = segmenter().eval()
    encoder = load_encoder(model, "logits:flatten", processor=PROCESSOR)
    with torch.no_grad():
        expected = model(pixel_values=pixels_of(encoder).map(IMAGES)).logits.flatten(1)
    torch.testing.assert_close(encoder(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_the_part_before_the_head_stays_what_is_read_otherwise() -> None:
    model = segmenter().eval()
    body = load_encoder(model, processor=PROCESSOR, name="it")
    for layer in ("penultimate", "output", "hidden_states[1]", "stages.3"):
        encoder = load_encoder(model, "decode_head.classifier", processor=PROCESSOR, name="it")
        found = encoder.at(layer)
        assert (found.module is model.segformer, found.name) == (True, "it")
        assert found.identity() == body.at(layer).identity()
        assert "the network before the head (segformer)" in found.notes[0]
    at = body.named("other").at("logits")
    assert (at.module is model, at.name, at.notes) == (True, "other", ())


def test_a_layer_of_neither_is_refused() -> None:
    with pytest.raises(RequestError, match=r"no layer 'decode_head\.clasifier'"):
        load_encoder(segmenter(), "decode_head.clasifier", processor=PROCESSOR)


def test_both_are_compared_and_the_model_comes_back() -> None:
    model: Any = segmenter().train()
    _widen(model, 0.1)
    before = [(m.training, list(m._forward_hooks), list(vars(m))) for m in model.modules()]
    one = load_encoder(model, processor=PROCESSOR, name="body")
    other = load_encoder(model, "decode_head.classifier", processor=PROCESSOR, name="head")
    result = compare(one, other, noise_images(8, 32), **QUICK)
    assert [score.layer for score in result.scores] == ["penultimate", "decode_head.classifier"]
    assert all(parameter.requires_grad for parameter in model.parameters())
    after = [(m.training, list(m._forward_hooks), list(vars(m))) for m in model.modules()]
    assert after == before
