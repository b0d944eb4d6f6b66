"""A model in memory is read as its checkpoint is, whatever its head.

A cross-section in `make test`, all families in `make verify`.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf

from stir_hf import Encoder, RequestError, load_encoder
from tests.families.checkpoints import _widen, processor_of
from tests.families.zoo import MEMBERS, SWIN, TEXT, Member, T, _config, _two

HEADS = {
    "clip (projection)": Member(
        "CLIPVisionModelWithProjection", {**T, "projection_dim": 8}, processor="clip", reads=""
    ),
    "vit (masked)": Member("ViTForMaskedImageModeling", T, processor="vit", reads=""),
    "blip (captions)": Member(
        "BlipForConditionalGeneration",
        processor="blip",
        reads="",
        config=_two("BlipConfig", {**T}, {**TEXT, "encoder_hidden_size": 32}, projection_dim=8),
    ),
}
"""Classes whose checkpoints are read without their heads."""
NOTED = {
    "segformer (segmentation)": "the network before the head (segformer) of Segformer",
    "vit_mae": "the network before the head (vit) of ViTMAEForPreTraining is read",
    "yolos": "the network before the head (vit) of YolosForObjectDetection is read",
    "clipseg": "the vision tower (clip.vision_model) of CLIPSegForImageSegmentation is read",
    "clip (projection)": "the network before the head (vision_model) of CLIPVisionModelWithPro",
    "vit (masked)": "the network before the head (vit) of ViTForMaskedImageModeling is read",
    "blip (captions)": "the vision tower (vision_model) of BlipForConditionalGeneration is read",
    "vit": "",
    "pp_lcnet": "",
}
"""The cross-section, and what is said of what is read; of a classifier nothing."""

POOLERS = ("vit (backbone)",)
"""Networks with a pooler, which a classifier's checkpoint lacks: in memory it may be random."""


def both(name: str, folder: Path) -> tuple[Any, Encoder, torch.Tensor]:
    """A network in memory, the encoder of its folder, and images."""
    member = (MEMBERS | HEADS)[name]
    torch.manual_seed(0)
    model = member.make().eval()
    if member.widen:
        _widen(model, member.shift)
    if model.config.model_type == "vit_mae":
        model.config.mask_ratio = 0.0
    model.save_pretrained(folder)
    processor_of(member.processor or name, member.side).save_pretrained(folder)
    images = torch.rand(3, 3, member.side, member.side)
    return model, load_encoder(str(folder), device="cpu"), images


def check(name: str, folder: Path) -> Encoder | None:
    """The encoder of an object; None of one whose pooler cannot be known to be trained."""
    model, of_folder, images = both(name, folder)
    if name in POOLERS:
        with pytest.raises(RequestError, match="pooler was trained is not known"):
            load_encoder(model, processor=str(folder))
        return None
    of_object = load_encoder(model, processor=str(folder))
    found, expected = of_object(images), of_folder(images)
    assert found.shape == expected.shape
    assert bool(expected.isfinite().all())
    assert float((found - expected).norm()) <= 1e-5 * float(expected.norm())
    return of_object


@pytest.mark.parametrize("name", NOTED)
def test_some_objects_are_read_as_their_folders(name: str, tmp_path: Path) -> None:
    encoder = check(name, tmp_path)
    assert encoder is not None
    said = NOTED[name]
    assert any(note.startswith(said) for note in encoder.notes) if said else encoder.notes == ()


@pytest.mark.verify
@pytest.mark.parametrize("name", [*MEMBERS, *HEADS])
def test_every_object_is_read_as_its_folder(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (lambda: _config("Dinov2Config", **T, out_features=["stage2"]), 32),
        (lambda: _config("DINOv3ViTConfig", **T, out_features=["stage2"]), 32),
        (lambda: _config("SwinConfig", **SWIN, out_features=["stage4"]), 64),
    ],
    ids=["dinov2", "dinov3", "swin"],
)
def test_a_backbone_that_was_made_by_itself_is_read_as_it_is(config: Any, size: int) -> None:
    torch.manual_seed(0)
    model: Any = tf.AutoBackbone.from_config(config()).eval()
    processor = tf.ViTImageProcessor(size={"height": size, "width": size})
    encoder = load_encoder(model, processor=processor)
    assert encoder.module is model
    assert encoder.notes == ()
