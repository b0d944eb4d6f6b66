"""The axes that a layer is pooled over are those whose length changes with the images' size.

A cross-section in `make test`, all families in `make verify`.
"""

import re
from pathlib import Path

import pytest
import torch

from stir_hf import Encoder, load_encoder
from stir_hf.models.read.taps import Layer, usual_axes
from tests.families.checkpoints import processor_of
from tests.families.sizes import doubled, outputs
from tests.families.zoo import MEMBERS
from tests.tiny import pixels_of

CROSS_SECTION = ("vit", "convnext", "swin", "focalnet", "vitdet", "sam", "mobilevitv2", "sapiens2")
"""Tokens; channels last; windows and (b, d, 1); channels last again, in a pyramid and in windows;
pixels of patches beside patches; heads beside tokens.
"""
FIXED = (
    r"(swin|donut|maskformer|mask2former|oneformer|dino|omdet).*encoder\.layers\.3\..*attention.*",
    r"sam2 .*blocks\.4\.attn.*",
    r"mobilevitv2 .*encoder\.layer\.[234]\..*",
    r"textnet .*pooler",
)
"""Layers of which axes of space keep their length, whatever the images' size: in one window, among
the pixels of a patch, of a pooler of several places.
"""
NO_CHANNELS = (".self.dropout", ".attn_drop", ".attention.dropout", "neck.position_encoding")
"""Layers that may hold none: weights of an attention of one head, and what no image changes."""


def pooled_over(layer: Layer) -> set[int]:
    """The axes of (b, …) that a layer is pooled over by default."""
    if layer.pooling == "flatten":
        return set()
    return set(layer.over or usual_axes(len(layer.shape) + 1))


def grows(one: tuple[int, ...], two: tuple[int, ...]) -> tuple[int, ...]:
    """The axes that are longer, or shorter, in the second shape."""
    return tuple(i for i, (a, b) in enumerate(zip(one, two, strict=True)) if a != b)


def check_layer(family: str, layer: Layer, one: tuple[int, ...], two: tuple[int, ...]) -> None:
    """Compare the axes with those that grow from images of a size to larger ones."""
    grown = {*grows(one, two)}
    if layer.pooling is None:
        assert any(name in layer.name for name in NO_CHANNELS), layer
        return
    over = pooled_over(layer)
    assert grown <= over, layer
    assert len(over) < len(layer.shape), layer
    if any(one[i] > 1 for i in over - grown):
        assert any(re.fullmatch(known, f"{family} {layer.name}") for known in FIXED), layer


def check_values(
    encoder: Encoder, layers: list[Layer], images: torch.Tensor, grown: dict[str, tuple[int, ...]]
) -> None:
    """Compare what is read with a mean by hand over the axes that grow with the images."""
    found = outputs(encoder, encoder.module, images)
    for layer in layers:
        over, values = grown[layer.name], found[layer.name]
        expected = (values.mean(over) if over else values).flatten(1)
        torch.testing.assert_close(encoder.at(layer.name)(images), expected, rtol=1e-4, atol=1e-5)


def check(name: str, folder: Path) -> None:
    member = MEMBERS[name]
    torch.manual_seed(0)
    member.make().eval().save_pretrained(folder)
    processor_of(member.processor or name, member.side).save_pretrained(folder)
    encoder = load_encoder(str(folder), device="cpu")
    height, width = encoder.extent or (member.height or member.side, member.side)
    encoder.find_layer((height, width))
    images = torch.rand(4, pixels_of(encoder).channels, height, width)
    larger = type(encoder.module)(doubled(encoder.module.config)).eval()
    one = outputs(encoder, encoder.module, images)
    two = outputs(
        encoder, larger, torch.rand(4, pixels_of(encoder).channels, 2 * height, 2 * width)
    )
    listed = [x for x in encoder.layers if len(x.shape) > 1 and len(two.get(x.name, ())) == 4]
    assert len(listed) >= 5
    for layer in listed:
        check_layer(name, layer, tuple(one[layer.name].shape), tuple(two[layer.name].shape))
    grown = {x.name: grows(one[x.name].shape, two[x.name].shape) for x in listed}
    kept = {
        x.name: {i for i in range(1, one[x.name].ndim) if i not in grown[x.name]} for x in listed
    }
    plain = [
        x
        for x in listed
        if x.pooling == "mean"
        and one[x.name].isfinite().all()
        and all(one[x.name].shape[i] == 1 for i in pooled_over(x) & kept[x.name])
    ]
    assert plain
    check_values(encoder, plain[:: max(1, len(plain) // 3)], images, grown)


@pytest.mark.parametrize("name", CROSS_SECTION)
def test_some_families_are_pooled_over_space(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


@pytest.mark.verify
@pytest.mark.parametrize("name", [name for name in MEMBERS if name not in CROSS_SECTION])
def test_every_family_is_pooled_over_space(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)
