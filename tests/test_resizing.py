"""What the reference's canvas does to a model with another native size or crop, beside a
computation by hand.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from PIL import Image

import stir_hf
from stir_hf.inputs.images import resize
from tests.conftest import TinyModels
from tests.tiny import QUICK, Net, noise_images, pixels_of

IMAGES = noise_images(10, 48)


def resnet(folder: Path, tiny_models: TinyModels, **processor: Any) -> str:
    """The small ResNet with another image processor."""
    tf.ResNetForImageClassification.from_pretrained(tiny_models.resnet).save_pretrained(folder)
    tf.ViTImageProcessor(**processor).save_pretrained(folder)
    return str(folder)


def told(notes: tuple[str, ...]) -> str:
    (note,) = (note for note in notes if "under the reference's preprocessing" in note)
    return note


def test_the_resize_is_measured_and_told(tiny_models: TinyModels, tmp_path: Path) -> None:
    small = resnet(tmp_path, tiny_models, size={"height": 20, "width": 20}, resample=0)
    result = stir_hf.compare(small, tiny_models.vit, IMAGES, device="cpu", **QUICK)
    model, reference = (
        stir_hf.load_encoder(name, device="cpu") for name in (small, tiny_models.vit)
    )
    canvases = torch.stack([torch.from_numpy(reference.canvas(i)) for i in IMAGES]).float() / 255
    own = torch.stack([torch.from_numpy(model.canvas(i)) for i in IMAGES]).float() / 255
    changes = (model(canvases) - model(own)).norm(dim=1) / model(own).norm(dim=1)
    note = told(result.scores[0].notes)
    assert "(32x32, resized to 20x20), its representations of 8 images differ by" in note
    percent = float(note.partition("differ by ")[2].partition("%")[0]) / 100
    assert float(changes.min()) - 0.01 < percent < float(changes.max()) + 0.01
    assert percent > 0.01


def test_another_crop_at_the_same_size_is_told(tiny_models: TinyModels, tmp_path: Path) -> None:
    tf.ResNetForImageClassification.from_pretrained(tiny_models.resnet).save_pretrained(tmp_path)
    tf.CLIPImageProcessor(
        size={"shortest_edge": 44}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(tmp_path)
    result = stir_hf.compare(str(tmp_path), tiny_models.vit, IMAGES, device="cpu", **QUICK)
    note = told(result.scores[0].notes)
    assert "under the reference's preprocessing, its representations of 8 images differ by" in note


def blurred(image: Image.Image) -> torch.Tensor:
    """(3, 8, 8), resized as floats, of little contrast."""
    values = torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1) / 255
    return 0.5 + 0.02 * (resize(values[None], (8, 8))[0] - 0.5)


class Amplifies(Net):
    """Whose representations differ where images of little contrast do."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(50 * (images - 0.5))


def test_notes_on_a_processor_are_those_of_the_reference_alone() -> None:
    """The processor of a judged model does not see the images."""
    plain = tf.ViTImageProcessor(size={"height": 8, "width": 8})
    one = stir_hf.load_encoder(Amplifies(0), processor=blurred, name="one", device="cpu")
    other = stir_hf.load_encoder(Net(1), processor=plain, name="other", device="cpu")
    assert any("8 bits do not hold" in note for note in one.notes)
    judged, reverse = stir_hf.compare(one, other, IMAGES, device="cpu", **QUICK).scores
    assert (judged.model, reverse.model) == ("one", "other")
    assert not any("8 bits do not hold" in note for note in judged.notes)
    (note,) = (note for note in reverse.notes if "8 bits do not hold" in note)
    assert note.startswith("one: ")


def test_the_rounding_is_part_of_what_is_told_of_a_processor_of_floats() -> None:
    one, other = (
        stir_hf.load_encoder(Amplifies(i), processor=blurred, name=str(i), device="cpu")
        for i in (0, 1)
    )
    for score in stir_hf.compare(one, other, IMAGES, device="cpu", **QUICK).scores:
        assert "under the reference's preprocessing, its representations of" in told(score.notes)


def test_nothing_is_told_where_nothing_changes(tiny_models: TinyModels) -> None:
    result = stir_hf.compare(tiny_models.vit, tiny_models.vit, IMAGES, device="cpu", **QUICK)
    for score in result.scores:
        assert not any("under the reference's preprocessing" in note for note in score.notes)


def test_without_the_originals_the_canvas_is_asked(tiny_models: TinyModels, tmp_path: Path) -> None:
    small = resnet(tmp_path / "m", tiny_models, size={"height": 20, "width": 20}, resample=0)
    made = stir_hf.invert(tiny_models.vit, IMAGES, device="cpu", **QUICK)
    (score,) = stir_hf.score(small, made, device="cpu", progress=False).scores
    assert told(score.notes).endswith("from those under its own preprocessing of the canvas")
    (same,) = stir_hf.score(tiny_models.vit, made, device="cpu", progress=False).scores
    assert not any("under the reference's preprocessing" in note for note in same.notes)


@pytest.mark.verify
@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_a_native_size_that_is_not_square(
    shape: tuple[int, int], tiny_models: TinyModels, tmp_path: Path
) -> None:
    """The canvas is what the processor makes, pixel for pixel, and it is inverted at that shape."""
    height, width = shape
    wide = resnet(tmp_path, tiny_models, size={"height": height, "width": width})
    encoder = stir_hf.load_encoder(wide, device="cpu")
    assert encoder.extent == shape
    processor = tf.AutoImageProcessor.from_pretrained(wide)
    values = torch.stack([torch.from_numpy(encoder.canvas(i)) for i in IMAGES]).float() / 255
    inputs = torch.cat([processor(i, return_tensors="pt")["pixel_values"] for i in IMAGES])
    torch.testing.assert_close(pixels_of(encoder).map(values), inputs, atol=1e-5, rtol=0)
    made = stir_hf.invert(wide, IMAGES, device="cpu", **QUICK)
    assert made.inverted.shape == (10, 3, height, width)
    result = stir_hf.compare(wide, tiny_models.vit, IMAGES, device="cpu", **QUICK)
    assert f"(32x32, resized to {height}x{width})" in told(result.scores[0].notes)
