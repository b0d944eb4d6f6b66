"""Checkpoints of several towers: the one that takes images is read."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from safetensors.torch import save_file

from stir_hf import RequestError, compare, load_encoder
from tests.conftest import TinyModels
from tests.tiny import QUICK, SEES, noise_images, pixels_of

READS: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 50,
}
BOTH: dict[str, Any] = {"vision_config": SEES, "text_config": READS}


def dual() -> Any:
    towers = tf.ViTConfig(**SEES), tf.BertConfig(**READS)
    config = tf.VisionTextDualEncoderConfig.from_vision_text_configs(*towers, projection_dim=8)
    return tf.VisionTextDualEncoderModel(config)


def llava() -> Any:
    text = tf.LlamaConfig(**READS, num_key_value_heads=2)
    config = tf.LlavaConfig(vision_config=tf.CLIPVisionConfig(**SEES), text_config=text)
    return tf.LlavaForConditionalGeneration(config)


def flava() -> Any:
    text = {name: value for name, value in READS.items() if name != "vocab_size"}
    config = tf.FlavaConfig(image_config=SEES, text_config=READS, multimodal_config=text)
    return tf.FlavaModel(config)


TOWERS: dict[str, tuple[Callable[[], Any], str]] = {
    "clip": (lambda: tf.CLIPModel(tf.CLIPConfig(**BOTH, projection_dim=8)), "vision_model"),
    "siglip": (lambda: tf.SiglipModel(tf.SiglipConfig(**BOTH)), "vision_model"),
    "chinese_clip": (
        lambda: tf.ChineseCLIPModel(tf.ChineseCLIPConfig(**BOTH, projection_dim=8)),
        "vision_model",
    ),
    "blip": (
        lambda: tf.BlipModel(
            tf.BlipConfig(vision_config=SEES, text_config={**READS, "encoder_hidden_size": 16})
        ),
        "vision_model",
    ),
    "dual": (dual, "vision_model"),
    "flava": (flava, "image_model"),
    "llava": (llava, "vision_tower"),
}


@pytest.fixture(params=TOWERS)
def checkpoint(request: Any, tmp_path: Path) -> tuple[str, str]:
    """A folder, and the name of the tower in what is loaded from it."""
    make, tower = TOWERS[request.param]
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    size = {"height": 32, "width": 32}
    processor = tf.CLIPImageProcessor(size=size, do_center_crop=False, resample=2)
    processor.save_pretrained(tmp_path)
    return str(tmp_path), tower


def test_the_vision_tower_is_read(checkpoint: tuple[str, str]) -> None:
    folder, name = checkpoint
    encoder, images = load_encoder(folder), torch.rand(4, 3, 32, 32)
    whole: Any = tf.AutoModel.from_pretrained(folder).eval()
    tower = whole.get_submodule(name)
    with torch.no_grad():
        result = tower(pixel_values=pixels_of(encoder).map(images), return_dict=True)
    expected = result.pooler_output
    torch.testing.assert_close(encoder(images), expected, rtol=1e-4, atol=1e-5)
    assert encoder.notes == (f"the vision tower ({name}) of {type(whole).__name__} is read",)


def test_a_score_says_that_a_tower_was_read(tmp_path: Path, tiny_models: TinyModels) -> None:
    tf.CLIPModel(tf.CLIPConfig(**BOTH, projection_dim=8)).save_pretrained(tmp_path)
    tf.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(tmp_path)
    result = compare(str(tmp_path), tiny_models.resnet, noise_images(8, 32), **QUICK)
    for score in result.scores:
        assert any("the vision tower (vision_model) of CLIPModel" in n for n in score.notes)


def test_an_object_of_two_towers(tmp_path: Path) -> None:
    model: Any = tf.CLIPModel(tf.CLIPConfig(**BOTH, projection_dim=8)).eval()
    processor = tf.CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)
    encoder, images = load_encoder(model, processor=processor), torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        expected = model.vision_model(pixel_values=pixels_of(encoder).map(images)).pooler_output
    torch.testing.assert_close(encoder(images), expected, rtol=1e-4, atol=1e-5)


def test_a_network_of_texts_has_no_tower(tiny_models: TinyModels, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="takes input_ids, not images, and has no vision tower"):
        load_encoder(tiny_models.text, processor=tiny_models.vit)


def test_an_object_that_detects(tmp_path: Path) -> None:
    from tests.families.checkpoints import build, read
    from tests.families.zoo import MEMBERS

    member, model = MEMBERS["detr"], build("detr", tmp_path)
    encoder, folder = load_encoder(model, processor=str(tmp_path)), load_encoder(str(tmp_path))
    images = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        expected = read(model, member, pixels_of(encoder).map(images))
    torch.testing.assert_close(encoder(images), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder(images), folder(images))
    assert encoder.notes == (
        "the vision tower (model.backbone.model) of DetrForObjectDetection is read",
    )


def test_an_object_of_a_family_that_is_not_taken() -> None:
    config = tf.ImageGPTConfig(n_embd=16, n_layer=1, n_head=2, n_positions=64, vocab_size=17)
    with pytest.raises(RequestError, match="colour clusters"):
        load_encoder(tf.ImageGPTModel(config), processor=tf.ViTImageProcessor())


def test_a_detector_of_an_unknown_shape_is_read_at_its_only_backbone() -> None:
    from stir_hf.models.images.towers import image_tower
    from tests.families.zoo import MEMBERS

    model: Any = MEMBERS["deformable_detr"].make()
    assert image_tower(model, "x") == ("model.backbone.model", model.model.backbone.model)
    with pytest.raises(RequestError, match=r"is a detector without .*none that can be identified"):
        image_tower(model.model.decoder, "x")
    model.other = MEMBERS["hgnet_v2 (backbone)"].make()
    with pytest.raises(RequestError, match=r"has several \(model\.backbone\.model, other\)"):
        image_tower(model, "x")


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is there")
def test_a_detector_that_needs_timm_is_told_of_another_revision(tmp_path: Path) -> None:
    about = {"model_type": "detr", "use_timm_backbone": True, "backbone": "resnet18"}
    about |= {"architectures": ["DetrForObjectDetection"], "backbone_config": None}
    (tmp_path / "config.json").write_text(json.dumps(about))
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(RequestError, match=r"requires the timm library.*@no_timm"):
        load_encoder(str(tmp_path), processor=tf.ViTImageProcessor())


def test_a_detector_around_a_backbone_of_timms_is_told_of_another_revision() -> None:
    from stir_hf.models.images.families import family_named
    from stir_hf.models.images.towers import image_tower
    from tests.families.zoo import MEMBERS

    model: Any = MEMBERS["detr"].make()
    model.model.backbone.model = torch.nn.Conv2d(3, 4, 3)  # as timm's, which has no configuration
    with pytest.raises(RequestError, match=r"backbone is timm's.*MODEL@no_timm"):
        image_tower(model, "x", family_named("detr").encoder)


@pytest.mark.parametrize("named", [None, ["DPTModel"]])
def test_a_depth_estimator_without_its_class_is_told_of_that(
    named: list[str] | None, tmp_path: Path
) -> None:
    from tests.families.zoo import MEMBERS

    MEMBERS["dpt (dinov2)"].make().save_pretrained(tmp_path)
    about = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**about, "architectures": named}))
    said = r"has no part 'backbone'.* in DPTModel; .*architectures=(None|\['DPTModel'\])"
    with pytest.raises(RequestError, match=said) as raised:
        load_encoder(str(tmp_path), processor=tf.ViTImageProcessor(), device="cpu")
    assert "timm" not in str(raised.value)


NEED_MORE = (
    "blip-2",
    "d_fine",
    "grounding-dino",
    "oneformer",
    "kosmos-2",
    "dpt (dinov2)",  # its `AutoModel` has another encoder, which is random
    "mobilevit (segmentation)",  # its `AutoModel` has a layer more, which is random
)


@pytest.mark.parametrize("name", NEED_MORE)
def test_networks_that_need_more_than_an_image_are_read_at_what_sees_it(
    name: str, tmp_path: Path
) -> None:
    from tests.families.checkpoints import processor_of, read
    from tests.families.zoo import MEMBERS

    member = MEMBERS[name]
    torch.manual_seed(0)
    model = member.make().eval()
    model.save_pretrained(tmp_path)
    processor_of(member.processor or name, member.side).save_pretrained(tmp_path)
    encoder = load_encoder(str(tmp_path), device="cpu")
    images = torch.rand(4, 3, member.side, member.side)
    with torch.no_grad():
        expected = read(model, member, pixels_of(encoder).map(images))
    torch.testing.assert_close(encoder(images), expected, rtol=1e-4, atol=1e-5)


def test_what_sees_the_image_is_where_the_family_says() -> None:
    from stir_hf.models.images.families import family_named
    from stir_hf.models.images.towers import image_tower
    from tests.families import zoo

    swin = zoo._config("SwinConfig", **zoo.SWIN, out_features=zoo.STAGES)
    small = {"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32}
    rt = zoo._rt_detr()
    found: dict[str, Any] = {
        "table-transformer": tf.TableTransformerModel(
            zoo._config("TableTransformerConfig", **zoo._detector())
        ),
        "rt_detr_v2": tf.RTDetrV2Model(
            zoo._config(
                "RTDetrV2Config",
                backbone_config=rt.backbone_config,
                encoder_in_channels=rt.encoder_in_channels,
                encoder_hidden_dim=32,
                d_model=32,
            )
        ),
        "mask2former": tf.Mask2FormerModel(
            zoo._config("Mask2FormerConfig", backbone_config=swin, num_attention_heads=2, **small)
        ),
    }
    for name in ("PPOCRV5MobileDet", "PPOCRV6SmallDet"):
        if hasattr(tf, f"{name}Config"):
            model_type = getattr(tf, f"{name}Config").model_type
            found[model_type] = getattr(tf, f"{name}ForObjectDetection")(
                zoo._config(f"{name}Config")
            )
    if hasattr(tf, "CHMv2Config"):
        config = zoo._dense("CHMv2Config", "DINOv3ViTConfig")()
        found["chmv2"] = tf.CHMv2ForDepthEstimation(config)
    depth = zoo._depth_anything()
    found |= {
        "owlv2": tf.Owlv2ForObjectDetection(
            zoo._config(
                "Owlv2Config",
                vision_config={**zoo.T, "image_size": 64},
                text_config=zoo.TEXT,
                projection_dim=8,
            )
        ),
        "zoedepth": tf.ZoeDepthForDepthEstimation(
            zoo._config(
                "ZoeDepthConfig",
                backbone_config=zoo._config(
                    "BeitConfig",
                    **zoo.T,
                    out_features=["stage1", "stage2"],
                    reshape_hidden_states=False,
                ),
                backbone_hidden_size=32,
                reassemble_factors=[1, 0.5],
                neck_hidden_sizes=[8, 8],
                fusion_hidden_size=8,
                bottleneck_features=8,
                num_relative_features=4,
            )
        ),
        "prompt_depth_anything": tf.PromptDepthAnythingForDepthEstimation(
            zoo._config(
                "PromptDepthAnythingConfig",
                **{
                    name: getattr(depth, name)
                    for name in (
                        "backbone_config",
                        "reassemble_hidden_size",
                        "neck_hidden_sizes",
                        "fusion_hidden_size",
                        "head_hidden_size",
                        "patch_size",
                    )
                },
            )
        ),
    }
    sides = {"chmv2": 32, "prompt_depth_anything": 56, "zoedepth": 32}
    for model_type, model in found.items():
        name, part = image_tower(model, model_type, family_named(model_type).encoder)
        assert name
        side = sides.get(model_type, 64)
        result = part(torch.rand(2, 3, side, side))
        assert hasattr(result, "feature_maps") or result.pooler_output.shape == (2, 32)
