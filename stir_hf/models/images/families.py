"""Exceptions for some model types of `transformers`: required values of the configuration, and the
place of the vision encoder inside a larger model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stir_hf.errors import RequestError

Inputs = Callable[[nn.Module, Tensor], dict[str, Tensor]]
"""Function from the module and its `pixel_values` (b, c, h, w) to further arguments of a pass."""


WRAP_IT = "write a module that takes images and calls it, and pass that as an object"
"""Advice for a network that needs more than images."""


@dataclass(frozen=True)
class Family:
    """The exceptions for one model type."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Values that the configuration must have."""
    inputs: Inputs = lambda _module, _pixels: {}
    notes: tuple[str, ...] = ()
    """Notes of a result on such a network."""
    encoder: str = ""
    """The name of the vision encoder inside what `AutoModel` loads, if it is a part."""
    logits: str = "logits"
    """The field of a result that holds a classifier's logits."""
    apart: bool = False
    """True if `AutoModel` omits the encoder: the class that the checkpoint names is loaded."""
    maps: str | None = None
    """The field of a result with feature maps, if `last_hidden_state` has its channels last."""
    refused: str | None = None
    """The reason why such networks are not supported; None if they are."""

    def set(self, config: Any) -> None:
        """Set the required values in a configuration."""
        for name, value in self.settings.items():
            setattr(config, name, value)

    def check_taken(self, called: str) -> None:
        """Raise RequestError if such networks are not supported."""
        if self.refused is not None:
            raise RequestError(
                f"model {called} is not supported: its model type {self.refused}; {WRAP_IT}"
            )

    def check(self, config: Any, called: str, part: str = "") -> None:
        """Raise RequestError if the configuration of a model in memory has other values."""
        for name, value in self.settings.items():
            if (has := getattr(config, name)) != value:
                where = f"model.{part}." if part else "model."
                raise RequestError(
                    f"{called} has {name}={has}, so an image has no fixed representation; set"
                    f" {where}config.{name} = {value}"
                )


def _in_order(module: nn.Module, pixels: Tensor) -> dict[str, Tensor]:
    """The noise by which a masked autoencoder sorts its patches, such that their order is kept."""
    config: Any = module.config
    count = (pixels.shape[2] // config.patch_size) * (pixels.shape[3] // config.patch_size)
    return {"noise": torch.arange(count, device=pixels.device).expand(len(pixels), -1)}


ORDINARY = Family()
_ENCODERS = {
    "backbone": (
        "chmv2",
        "depth_anything",
        "pp_ocrv5_mobile_det",
        "pp_ocrv5_server_det",
        "pp_ocrv6_medium_det",
        "pp_ocrv6_small_det",
        "prompt_depth_anything",
        "tipsv2_dpt",
        "upernet",
        "vitpose",
        "zoedepth",
    ),
    "backbone.backbone": ("lw_detr", "rf_detr"),
    "backbone.conv_encoder.model": (
        "dab-detr",
        "grounding-dino",
        "mm-grounding-dino",
        "table-transformer",
    ),
    "backbone.model": (
        "conditional_detr",
        "d_fine",
        "deformable_detr",
        "detr",
        "pp_doclayout_v2",
        "pp_doclayout_v3",
        "pp_doclayout_v4",
        "rt_detr",
        "rt_detr_v2",
    ),
    "encoder": ("pp_formulanet", "vision-encoder-decoder"),
    "image_tower": ("video_llava",),
    "pixel_level_module.encoder": ("mask2former", "maskformer", "oneformer"),
    "vision_backbone.vision_backbone": ("omdet-turbo",),
    "vision_encoder": (
        "edgetam",
        "edgetam_video",
        "sam",
        "sam2",
        "sam2_video",
        "sam3",
        "sam3_lite_text",
        "sam3_tracker",
        "sam3_tracker_video",
        "sam_hq",
    ),
    "vision_model": ("janus", "kosmos-2", "owlv2", "owlvit"),
}
"""Model types by the name of the vision encoder in what `AutoModel` loads."""
_REFUSED = {
    "bridgetower": "has a vision_model whose layers are run in turns with those of its texts",
    "imagegpt": "takes colour clusters, which no gradient reaches",
    "perceiver": "takes `inputs` of any kind, not images",
    **dict.fromkeys(("eomt", "eomt_dinov3"), "has learnt queries among its tokens"),
    **dict.fromkeys(
        ("inkling_mm_model", "inkling_vision"),
        "has a vision_tower that takes patches of clips, not images",
    ),
    **dict.fromkeys(
        ("molmo2", "molmo2_vision"),
        "has a vision_tower that takes the flattened patches of an image",
    ),
    **dict.fromkeys(
        ("siglip2", "siglip2_vision_model"), "takes sequences of patches with a mask, not images"
    ),
}
"""Model types that are not supported, with the reason."""
FAMILIES = {
    "vit_mae": Family({"mask_ratio": 0.0}, _in_order, ("masking is off: all patches are seen",)),
    "pp_lcnet": Family(logits="last_hidden_state"),
    **dict.fromkeys(
        ("edgetam_vision_model", "sam2_vision_model"), Family(maps="fpn_hidden_states")
    ),
    **{name: Family(encoder=part) for part, names in _ENCODERS.items() for name in names},
    **{name: Family(refused=reason) for name, reason in _REFUSED.items()},
}
"""Exceptions by the `model_type` of the configuration."""
_DPT_AROUND_A_BACKBONE = Family(encoder="backbone", apart=True)
"""A depth estimator whose encoder is of another model type (DINOv2, Swin, BEiT)."""
_SEES_ITSELF = ("yolos",)
"""Detectors whose `AutoModel` is a plain encoder, without a decoder."""


def detects(model_type: Any) -> bool:
    """Return whether the networks of a model type detect objects, so that their outputs belong to
    queries instead of the image.
    """
    from transformers.models.auto import modeling_auto as auto

    tasks: tuple[Mapping[str, Any], ...] = (
        auto.MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES,
        auto.MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES,
        auto.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES,
        auto.MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING_NAMES,
    )
    return model_type not in _SEES_ITSELF and any(model_type in task for task in tasks)


def family_of(config: Any) -> Family:
    """The exceptions for the network of a configuration."""
    own = getattr(config, "backbone_config", None) and not getattr(config, "is_hybrid", False)
    if own and getattr(config, "model_type", "") == "dpt":
        return _DPT_AROUND_A_BACKBONE
    return family_named(getattr(config, "model_type", ""))


def family_named(model_type: Any) -> Family:
    """The exceptions for a model type."""
    return FAMILIES.get(str(model_type), ORDINARY)
