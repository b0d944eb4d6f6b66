"""Every vision-language type that `transformers` lists: its vision tower is found and read, or
refused in a line that names it and says why, or there is a reason here why it is not looked at.

The structure of the whole network is built on the meta device; a tower is built by itself, small.
"""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
import transformers as tf
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from stir_hf import RequestError, load_encoder
from stir_hf.models.images.families import family_of
from stir_hf.models.images.towers import image_tower
from stir_hf.models.load.checkpoints import _auto_class
from tests.tiny import pixels_of

TASKS = (
    "DOCUMENT_QUESTION_ANSWERING",
    "IMAGE_TEXT_TO_TEXT",
    "MULTIMODAL_LM",
    "RETRIEVAL",
    "VISION_2_SEQ",
    "VISUAL_QUESTION_ANSWERING",
    "ZERO_SHOT_IMAGE_CLASSIFICATION",
)
LISTED: dict[str, str] = {}
for task in TASKS:
    LISTED |= getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES", {})


def sees(name: str) -> bool:
    """Return True for a listed type, and for one whose configuration has one of something that
    sees.
    """
    if name in LISTED:
        return True
    parts = getattr(CONFIG_MAPPING[name], "sub_configs", None) if name in CONFIG_MAPPING else None
    return any("vision" in part or "image" in part for part in parts or {})


SAM3 = ("vision_encoder", "Sam3VisionModel")
SIGLIP, CLIP, GOT = "SiglipVisionModel", "CLIPVisionModel", "GotOcr2VisionEncoder"
READ: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("sam3", "sam3_lite_text", "sam3_tracker", "sam3_tracker_video"), SAM3),
    **dict.fromkeys(("modernvbert", "ultravbert"), ("vision_model", SIGLIP)),
    "owlvit": ("vision_model", "OwlViTVisionTransformer"),
    "owlv2": ("vision_model", "Owlv2VisionTransformer"),
    "aimv2": ("vision_model", "Aimv2VisionModel"),
    "flava": ("image_model", "FlavaImageModel"),
    "groupvit": ("vision_model", "GroupViTVisionTransformer"),
    "sam": ("vision_encoder", "SamVisionEncoder"),
    "vision-text-dual-encoder": ("vision_model", "ViTModel"),
    "xclip": ("vision_model", "XCLIPVisionModel"),
    **dict.fromkeys(
        ("aya_vision", "cohere2_vision", "gemma3", "llava_onevision", "paligemma"),
        ("vision_tower", SIGLIP),
    ),
    **dict.fromkeys(
        ("llava", "llava_next", "llava_next_video", "vipllava"), ("vision_tower", CLIP)
    ),
    **dict.fromkeys(
        ("lighton_ocr", "mistral3", "mistral_large4"), ("vision_tower", "PixtralVisionModel")
    ),
    "align": ("vision_model", "AlignVisionModel"),
    "altclip": ("vision_model", "AltCLIPVisionModel"),
    "aria": ("vision_tower", "Idefics3VisionTransformer"),
    "blip": ("vision_model", "BlipVisionModel"),
    "blip-2": ("vision_model", "Blip2VisionModel"),
    "chinese_clip": ("vision_model", "ChineseCLIPVisionModel"),
    "clip": ("vision_model", CLIP),
    "clipseg": ("vision_model", "CLIPSegVisionModel"),
    "colmodernvbert": ("vlm.vision_model", SIGLIP),
    "colpali": ("vlm.vision_tower", SIGLIP),
    "deepseek_vl": ("vision_model", SIGLIP),
    "florence2": ("vision_tower", "Florence2VisionBackbone"),
    "git": ("image_encoder", "GitVisionModel"),
    "got_ocr2": ("vision_tower", GOT),
    "granite_docling": ("vision_model", "GraniteDoclingVisionModel"),
    "idefics": ("vision_model", "IdeficsVisionTransformer"),
    "idefics2": ("vision_model", "Idefics2VisionTransformer"),
    "idefics3": ("vision_model", "Idefics3VisionTransformer"),
    "instructblip": ("vision_model", "InstructBlipVisionModel"),
    "instructblipvideo": ("vision_model", "InstructBlipVideoVisionModel"),
    "internvl": ("vision_tower", "InternVLVisionModel"),
    "janus": ("vision_model", "JanusVisionModel"),
    "kosmos-2": ("vision_model", "Kosmos2VisionModel"),
    "lighton_ocr": ("vision_encoder", "PixtralVisionModel"),
    "llama4": ("vision_model", "Llama4VisionModel"),
    "metaclip_2": ("vision_model", "MetaClip2VisionModel"),
    "nemotron_h_omni": ("vision_model", "RadioModel"),
    "ovis2": ("vision_tower.transformer", "Ovis2VisionTransformer"),
    "phi4_multimodal": (
        "embed_tokens_extend.image_embed.img_processor",
        "Phi4MultimodalVisionModel",
    ),
    "pi0": ("vlm.vision_tower", SIGLIP),
    "pp_chart2table": ("model.vision_tower", GOT),
    "pp_formulanet": ("model.encoder", "PPFormulaNetVisionModel"),
    "qianfan_ocr": ("vision_tower", "QianfanOCRVisionModel"),
    "shieldgemma2": ("model.vision_tower", SIGLIP),
    "siglip": ("vision_model", SIGLIP),
    "smolvlm": ("vision_model", "SmolVLMVisionTransformer"),
    "step3p7": ("vision_model", "Step3p7VisionModel"),
    "t5gemma2": ("encoder.vision_tower", SIGLIP),
    "tipsv2": ("vision_model", "Tipsv2VisionModel"),
    "unlimited_ocr": ("vision_tower", "UnlimitedOcrVisionModel"),
    "video_llava": ("image_tower", CLIP),
    "vision-encoder-decoder": ("encoder", "ViTModel"),
}
"""The tower that is found, by the model type, and its class."""


def _packed(name: str) -> str:
    return rf"vision tower \({name}\) does not run on images alone: \w+ takes .*(grid_thw|sizes)"


REFUSED: dict[str, str] = {
    "bridgetower": "vision_model whose layers are run in turns",
    "embedding_gemma2": "not images, and has no vision tower",
    "glm_image": _packed("visual"),
    **dict.fromkeys(
        (
            "cosmos3_edge",
            "cosmos3_omni",
            "exaone4_5",
            "glm46v",
            "glm4v",
            "glm4v_moe",
            "glm5_next",
            "glm_ocr",
            "glmga",
            "paddleocr_vl",
            "qwen2_5_omni_thinker",
            "qwen2_5_vl",
            "qwen2_vl",
            "qwen3_5",
            "qwen3_5_moe",
            "qwen3_omni_moe_thinker",
            "qwen3_vl",
            "qwen3_vl_moe",
        ),
        _packed("visual"),
    ),
    **dict.fromkeys(
        (
            "dots3_note",
            "ernie4_5_vl_moe",
            "inkling2",
            "kimi_k25",
            "lfm3_vl",
            "minicpm_ocr",
            "minicpmv4_6",
            "minicpmv4_7",
            "minimax_m3_vl",
            "muse_glimmer",
            "muse_spark",
        ),
        _packed("vision_tower"),
    ),
    **dict.fromkeys(("hyperclovax_vision_v2", "video_llama_3"), _packed("vision_model")),
    **dict.fromkeys(
        (
            "chameleon",
            "emu3",
            "evolla",
            "fuyu",
            "gemma4_unified",
            "layoutlm",
            "layoutlmv3",
            "mistral4",
            "udop",
            "videoprism",
            "vilt",
        ),
        "not images, and has no vision tower",
    ),
    "deepseek_vl_hybrid": r"several vision towers \(high_res_vision_model, vision_model\)",
    "gemma4": r"\(vision_tower\) .* takes pixel_values and pixel_position_ids",
    "inkling_mm_model": "has a vision_tower that takes patches of clips",
    "kosmos-2.5": r"\(vision_model\) .* takes flattened_patches",
    "lfm2_vl": r"\(vision_tower\) .* takes pixel_values and pixel_attention_mask and spatial_",
    "mllama": r"\(vision_model\) .* takes pixel_values and aspect_ratio_ids and aspect_ratio_mask",
    "molmo2": "has a vision_tower that takes the flattened patches",
    "pix2struct": r"it does not run on images alone: .* takes flattened_patches",
    "qwen2_5_omni": _packed("thinker.model.visual"),
    "siglip2": "takes sequences of patches with a mask",
}
"""What the line says."""

_AUDIO = "takes sounds"
_TIMM = "its tower is timm's; in make verify-timm"
_NO_DEFAULT = "its configuration has no defaults that a network can be built from"
OTHERS = {
    **dict.fromkeys(
        (
            "fun_asr_nano",
            "glmasr",
            "granite_speech",
            "granite_speech_plus",
            "kyutai_speech_to_text",
            "moss_transcribe_diarize",
            "nemo_speechlm",
            "qwen2_audio",
            "qwen3_asr",
            "vibevoice_asr",
            "voxtral",
            "voxtral_realtime",
        ),
        _AUDIO,
    ),
    **dict.fromkeys(
        ("edgetam", "edgetam_video", "fast_vlm", "gemma3n", "pe_video_encoder", "perception_lm"),
        _TIMM,
    ),
    **dict.fromkeys(
        (
            "cohere_compass",
            "deepseek_ocr2",
            "diffusion_gemma",
            "granite4_vision",
            "hunyuan_vl",
            "qwen3_omni_moe",
            "qwen4_exp",
        ),
        _NO_DEFAULT,
    ),
    "layoutlmv2": "needs detectron2",
    **dict.fromkeys(
        ("depth_pro", "sam2", "sam2_video", "sam_hq"), "in tests/families/zoo.py, or as sam is"
    ),
    "slanext": "has no network without its head",
    "t5gemma2_encoder": "the encoder of t5gemma2",
}
"""Types that are not built here, and why."""
LAYERS = (
    "decoder_layers",
    "depth",
    "encoder_layers",
    "num_decoder_layers",
    "num_encoder_layers",
    "num_hidden_layers",
    "num_layers",
)
PER_LAYER = ("indexer_types", "layer_types", "layers_block_type", "mlp_layer_types")
GIVEN: dict[str, Callable[[], dict[str, Any]]] = {
    "aya_vision": lambda: {"vision_config": tf.SiglipVisionConfig()},
    "chameleon": lambda: {"vocabulary_map": {"<image>": 4, "IMGIMGBS": 5}},
    "emu3": lambda: {"vocabulary_map": {"<image>": 4}},
    "gemma4": lambda: {"vision_config": {}},
}
"""What their configurations need beside the defaults."""
QUICK = (
    "llava",
    "idefics3",
    "florence2",
    "janus",
    "muse_glimmer",
    "qwen2_vl",
    "kosmos-2.5",
    "sam3",
    "bridgetower",
)


def shrink(config: Any) -> None:
    """Give a configuration, and those inside of it, two layers."""
    for name, value in list(vars(config).items()):
        if isinstance(value, tf.PretrainedConfig):
            shrink(value)
        elif name in LAYERS and isinstance(value, int):
            setattr(config, name, min(value, 2))
        elif name in PER_LAYER and isinstance(value, list):
            setattr(config, name, value[:2])
        elif re.fullmatch(r"num_(local_|routed_)?experts|n_routed_experts", name) and value:
            setattr(config, name, min(value, 4))


def check(name: str) -> None:
    if not sees(name):
        pytest.skip(f"this version of transformers has no type {name} that sees")
    config: Any = CONFIG_MAPPING[name](**GIVEN.get(name, dict)())
    shrink(config)
    if name in LISTED:
        config.architectures = [LISTED[name]]
    auto, family = _auto_class(config, labelled=False), family_of(config)
    if name in REFUSED and family.refused:
        assert re.search(REFUSED[name], family.refused)
        return
    with torch.device("meta"):
        whole = auto.from_config(config) if hasattr(auto, "from_config") else auto(config)
    if name in REFUSED:
        with pytest.raises(RequestError, match=REFUSED[name]) as raised:
            image_tower(whole, name, family.encoder)
        assert "\n" not in str(raised.value)
        assert str(raised.value).endswith("as an object")
        return
    found, tower = image_tower(whole, name, family.encoder)
    assert (found, type(tower).__name__) == READ[name]


@pytest.mark.verify
def test_every_type_is_looked_at() -> None:
    looked_at = {*READ, *REFUSED, *OTHERS}
    types = {*LISTED, *CONFIG_MAPPING} - looked_at
    assert sorted(name for name in types if sees(name)) == []
    assert not {*READ} & {*REFUSED}
    assert not {*OTHERS} & {*READ, *REFUSED}


@pytest.mark.parametrize("name", QUICK)
def test_some_towers_are_found_or_refused_by_name(name: str) -> None:
    check(name)


@pytest.mark.verify
@pytest.mark.parametrize("name", sorted({*READ, *REFUSED}))
def test_every_tower_is_found_or_refused_by_name(name: str) -> None:
    check(name)


SMALL: dict[str, Any] = {
    "attention_heads": 2,
    "depth": 2,
    "embed_dim": 16,
    "encoder_layers": 2,
    "head_dim": 8,
    "hidden_size": 16,
    "image_size": 32,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "num_heads": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_layers": 2,
    "patch_size": 8,
}
FOUR: dict[str, Any] = {"depths": [1] * 4, "embed_dim": [8, 8, 16, 16], "num_heads": [1, 1, 2, 2]}
OWN_SIZES: dict[str, dict[str, Any]] = {
    "Florence2VisionBackbone": {**FOUR, "num_groups": [1, 1, 2, 2], "window_size": 4},
    "Llama4VisionModel": {
        **{key: SMALL[key] for key in ("hidden_size", "image_size", "patch_size")},
        "intermediate_size": 64,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "projector_input_dim": 16,
        "projector_output_dim": 16,
        "pixel_shuffle_ratio": 0.5,
    },
}
TOWERS = sorted({tower for _, tower in READ.values()})
APART = {
    "GroupViTVisionTransformer": "has stages, which these sizes do not fit",
    "Sam3VisionModel": "is large; tests/families/zoo.py has a small one",
    "SamVisionEncoder": "tests/families/zoo.py has a small one",
    "XCLIPVisionModel": "takes clips of several frames, 8 by default",
    "AlignVisionModel": "large; tests/families/zoo.py has a small one",
    "IdeficsVisionTransformer": "is made by its network alone",
    "Ovis2VisionTransformer": "is made by its network alone",
    "PPFormulaNetVisionModel": "is large",
    "PixtralVisionModel": "packs the images of a batch: tests/models/test_rows.py",
    "UnlimitedOcrVisionModel": "is large",
    "ViTModel": "read in tests/families/test_families.py",
}
"""Towers that are not built by themselves here, and why."""
QUICK_TOWERS = (
    "Florence2VisionBackbone",
    "GotOcr2VisionEncoder",
    "Idefics3VisionTransformer",
    SIGLIP,
)


def class_of(tower: str) -> Any:
    if hasattr(tf, tower):
        return getattr(tf, tower)
    for name in {name.replace("-", by) for name in READ for by in ("", "_")}:
        try:
            module = import_module(f"transformers.models.{name}.modeling_{name}")
        except ImportError:
            continue
        if hasattr(module, tower):
            return getattr(module, tower)
    return pytest.skip(f"this version of transformers has no {tower}")


def check_rows(tower: str) -> None:
    """A tower's rows are the means over its last hidden state, or its pooled output, each image's
    alone.
    """
    kind = class_of(tower)
    default = kind.config_class()
    sizes = OWN_SIZES.get(tower) or {k: v for k, v in SMALL.items() if hasattr(default, k)}
    torch.manual_seed(0)
    model = kind(kind.config_class(**sizes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    side = 64 if tower == "Florence2VisionBackbone" else 32
    processor = tf.ViTImageProcessor(size={"height": side, "width": side})
    encoder = load_encoder(model, "output", processor=processor)
    images = torch.rand(3, 3, side, side)
    with torch.no_grad():
        alone = [model(pixels_of(encoder).map(images[i : i + 1])) for i in range(3)]
    first = torch.cat([next(iter(one.values())) for one in alone])
    over = {2: (), 3: (1,), 4: (2, 3)}[first.ndim]
    expected = first.mean(over) if over else first
    torch.testing.assert_close(encoder(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tower", QUICK_TOWERS)
def test_the_rows_of_some_towers_are_the_images(tower: str) -> None:
    check_rows(tower)


@pytest.mark.verify
@pytest.mark.parametrize("tower", sorted({*TOWERS} - {*APART}))
def test_the_rows_of_every_tower_are_the_images(tower: str) -> None:
    check_rows(tower)


def test_a_tower_by_itself_is_read_or_refused_as_in_its_network() -> None:
    processor = tf.ViTImageProcessor(size={"height": 32, "width": 32})
    from transformers.models.qwen2_vl import modeling_qwen2_vl as qwen

    kind: Any = qwen.Qwen2VisionTransformerPretrainedModel
    visual = kind(kind.config_class(depth=1, embed_dim=16, num_heads=2, hidden_size=16))
    said = "and it does not run on images alone: Qwen2Vision.* takes hidden_states and grid_thw"
    with pytest.raises(RequestError, match=said):
        load_encoder(visual, processor=processor)
