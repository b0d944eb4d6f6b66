"""A small network of every image family of `transformers` that runs here: its class, the values of
its configuration, and the side of its images.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import transformers as tf

LABELS = 7
"""Classes of every classifier: a number that no other width has."""

T: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
"""A small transformer over patches."""
TEXT: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 50,
    "projection_dim": 8,
}
FOUR: dict[str, Any] = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]}
PYRAMID: dict[str, Any] = {
    "hidden_sizes": [8, 16, 16, 32],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 2, 4],
}
SWIN: dict[str, Any] = {
    "image_size": 64,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 2, 2, 4],
    "window_size": 2,
}


@dataclass(frozen=True)
class Member:
    """One family, as it is tested."""

    architecture: str
    """The class that a checkpoint holds."""
    values: dict[str, Any] = field(default_factory=dict)
    side: int = 32
    processor: str | None = None
    """The family whose image processor it is, where that is another; a class of a processor."""
    reads: str = "head"
    """What the penultimate layer is: the input of the `head`, the `pooler`, `cls`, the `mean` over
    tokens or space, or that of the last of its feature `maps` or of those of its `fpn`, or the
    `cls of maps`.
    """
    tower: str = ""
    """The part that takes images, where it has several."""
    widen: bool = True
    """Whether its weights are given the scale of their width before it is trained."""
    steps: int = 30
    """Of its training."""
    config: Callable[[], Any] | None = None
    """Makes the configuration, where keywords do not."""
    height: int = 0
    """Of its images, where that is not the side."""
    shift: float = 0.0
    """By how many deviations the outputs of batch normalisation are shifted where it is widened: no
    gradient passes a rectifier that is zero at all positions, and such an image cannot be inverted.
    """

    def make(self) -> Any:
        """The network, with random weights."""
        cls = getattr(tf, self.architecture)
        if self.config is not None:
            return cls(self.config())
        labels = {"num_labels": LABELS} if self.reads == "head" else {}
        return cls(cls.config_class(**self.values, **labels))


def _two(
    config: str, vision: dict[str, Any], text: dict[str, Any] | None = None, **more: Any
) -> Any:
    def make() -> Any:
        return getattr(tf, config)(
            vision_config=vision, text_config=TEXT if text is None else text, **more
        )

    return make


HGNET: dict[str, Any] = {
    "stem_channels": [3, 8, 8],
    "stage_in_channels": [8, 16, 16, 24],
    "stage_mid_channels": [8, 8, 8, 8],
    "stage_out_channels": [16, 16, 24, 32],
    "stage_num_blocks": [1, 1, 1, 1],
    "stage_numb_of_layers": [1, 1, 1, 1],
    "embedding_size": 8,
    "hidden_sizes": [16, 16, 24, 32],
}
STAGES = ["stage1", "stage2", "stage3", "stage4"]


def _config(name: str, **values: Any) -> Any:
    return getattr(tf, name)(**values)


def _resnet() -> Any:
    return _config("ResNetConfig", **FOUR, embedding_size=8, out_features=STAGES)


def _detector() -> dict[str, Any]:
    """The configuration of a small DETR."""
    names = ("encoder", "decoder")
    return {
        "backbone_config": _resnet(),
        "use_timm_backbone": False,
        "d_model": 16,
        "num_queries": 5,
        **{f"{name}_layers": 1 for name in names},
        **{f"{name}_attention_heads": 2 for name in names},
        **{f"{name}_ffn_dim": 16 for name in names},
    }


def _rt_detr() -> Any:
    backbone = _config(
        "RTDetrResNetConfig",
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 24],
        depths=[1] * 4,
        out_features=STAGES[1:],
    )
    values = {name: value for name, value in _detector().items() if name != "use_timm_backbone"}
    widths = {"d_model": 32, "encoder_hidden_dim": 32, "encoder_in_channels": [16, 16, 24]}
    more = {"backbone_config": backbone, "decoder_in_channels": [32] * 3, "num_denoising": 0}
    return _config("RTDetrConfig", **{**values, **widths, **more})


def _depth_anything() -> Any:
    values = {**T, "image_size": 56, "patch_size": 14, "num_hidden_layers": 4}
    backbone = _config("Dinov2Config", **values, out_features=STAGES, reshape_hidden_states=False)
    return _config(
        "DepthAnythingConfig",
        backbone_config=backbone,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8] * 4,
        fusion_hidden_size=8,
        head_hidden_size=8,
        patch_size=14,
    )


def _zoedepth() -> Any:
    backbone = _config(
        "BeitConfig",
        **{**T, "image_size": 48, "patch_size": 16, "num_hidden_layers": 4},
        out_features=STAGES,
        reshape_hidden_states=False,
    )
    return _config(
        "ZoeDepthConfig",
        backbone_config=backbone,
        neck_hidden_sizes=[8] * 4,
        fusion_hidden_size=8,
        bottleneck_features=8,
        num_relative_features=8,
        bin_embedding_dim=8,
        num_attractors=[2, 2, 2, 2],
        patch_transformer_hidden_size=16,
        patch_transformer_intermediate_size=16,
    )


def _sam() -> Any:
    vision = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 32}
    both = {"image_size": 64, "patch_size": 8}
    return _config(
        "SamConfig",
        vision_config={
            **vision,
            **both,
            "output_channels": 16,
            "window_size": 4,
            "global_attn_indexes": [1],
        },
        prompt_encoder_config={"hidden_size": 16, **both},
        mask_decoder_config={
            "hidden_size": 16,
            "mlp_dim": 16,
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "iou_head_hidden_dim": 16,
        },
    )


def _found(hidden: int = 32, layers: int = 1) -> dict[str, Any]:
    """A small decoder over the three maps of `_hgnet`."""
    return {
        "encoder_in_channels": [16, 24, 32],
        "encoder_hidden_dim": hidden,
        "d_model": hidden,
        "decoder_in_channels": [hidden] * 3,
        "num_denoising": 0,
        "num_queries": 5,
        "encoder_layers": 1,
        "decoder_layers": layers,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 16,
        "decoder_ffn_dim": 16,
    }


def _hgnet() -> Any:
    return _config("HGNetV2Config", **HGNET, out_features=STAGES[1:])


def _pp_doclayout_v2() -> Any:
    order = {"num_attention_heads": 2, "num_hidden_layers": 1}
    order |= {"hidden_size": 16, "intermediate_size": 16}
    return _config(
        "PPDocLayoutV2Config", backbone_config=_hgnet(), reading_order_config=order, **_found()
    )


def _pp_doclayout_v4() -> Any:
    values = {name: value for name, value in _found().items() if name != "d_model"}
    return _config("PPDocLayoutV4Config", backbone_config=_hgnet(), hidden_size=32, **values)


def _of_windows(config: str, backbone: str, own: dict[str, Any], **more: Any) -> Any:
    """LW-DETR and RF-DETR."""
    values = {name: value for name, value in T.items() if name != "intermediate_size"}
    values |= {"image_size": 64, "out_indices": [1, 2], **more}
    own = {**own, "d_model": 32, "decoder_layers": 2, "decoder_ffn_dim": 16, "num_queries": 5}
    return _config(config, backbone_config=_config(backbone, **values), group_detr=1, **own)


def _deformable_detr() -> Any:
    backbone = _config("ResNetConfig", **FOUR, embedding_size=8, out_features=STAGES[1:])
    values = {**_detector(), "d_model": 32, "decoder_layers": 2, "backbone_config": backbone}
    return _config("DeformableDetrConfig", **values)


def _dab_detr() -> Any:
    values = {name: value for name, value in _detector().items() if name != "d_model"}
    return _config("DabDetrConfig", **values, hidden_size=16)


def _grounding_dino(config: str) -> Callable[[], Any]:
    names = ("encoder", "decoder")
    text = {"model_type": "bert", **{k: v for k, v in TEXT.items() if k != "projection_dim"}}
    return lambda: _config(
        config,
        backbone_config=_config("SwinConfig", **SWIN, out_features=STAGES[1:]),
        text_config=text,
        d_model=32,
        num_queries=5,
        **{f"{name}_layers": 2 for name in names},
        **{f"{name}_ffn_dim": 16 for name in names},
        **{f"{name}_attention_heads": 2 for name in names},
    )


def _oneformer() -> Any:
    text = {"width": 16, "num_layers": 1, "vocab_size": 50, "context_length": 8}
    return _config(
        "OneFormerConfig",
        backbone_config=_config("SwinConfig", **SWIN, out_features=STAGES),
        hidden_dim=32,
        conv_dim=32,
        mask_dim=32,
        num_attention_heads=2,
        encoder_layers=1,
        decoder_layers=2,
        task_seq_len=8,
        num_queries=5,
        **{f"text_encoder_{name}": value for name, value in text.items()},
    )


def _omdet_turbo() -> Any:
    text = {"text_projection_in_dim": 16, "text_projection_out_dim": 16, "class_embed_dim": 16}
    return _config(
        "OmDetTurboConfig",
        backbone_config=_config("SwinConfig", **SWIN, out_features=STAGES[1:]),
        text_config={"model_type": "clip_text_model", **TEXT},
        task_encoder_hidden_dim=16,
        encoder_hidden_dim=32,
        decoder_hidden_dim=32,
        encoder_in_channels=[32, 64, 128],
        vision_features_channels=[32] * 3,
        encoder_layers=1,
        decoder_num_layers=1,
        num_queries=5,
        **text,
    )


_PROMPTS = {"hidden_size": 16, "image_size": 64, "patch_size": 8}
_MASKS = {
    "hidden_size": 16,
    "mlp_dim": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "iou_head_hidden_dim": 16,
}


def _sam_hq() -> Any:
    sam = _sam()
    return _config(
        "SamHQConfig",
        vision_config={k: v for k, v in sam.vision_config.to_dict().items() if k != "model_type"},
        prompt_encoder_config=_PROMPTS,
        mask_decoder_config={**_MASKS, "vit_dim": 16},
    )


def _sam2() -> Any:
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 16,
        "image_size": [64, 64],
        "patch_kernel_size": [7, 7],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [4, 4, 4, 4],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [2, 2],
    }
    vision = {
        "backbone_config": backbone,
        "backbone_channel_list": [128, 64, 32, 16],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 24,
    }
    parts = {"prompt_encoder_config": _PROMPTS, "mask_decoder_config": _MASKS}
    return _config("Sam2Config", vision_config=vision, **parts)


def _sam3_tracker() -> Any:
    backbone = {
        **T,
        "model_type": "sam3_vit_model",
        "image_size": 64,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": 64,
    }
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": 16,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    }
    parts = {"prompt_encoder_config": _PROMPTS, "mask_decoder_config": _MASKS}
    return _config("Sam3TrackerConfig", vision_config=vision, **parts)


def _blip_2() -> Any:
    values = {name: value for name, value in TEXT.items() if name != "projection_dim"}
    words = {"model_type": "opt", "vocab_size": 50, "hidden_size": 16, "ffn_dim": 16}
    words |= {"num_hidden_layers": 1, "num_attention_heads": 2, "word_embed_proj_dim": 16}
    return _config(
        "Blip2Config",
        vision_config={**T},
        qformer_config={**values, "encoder_hidden_size": 32},
        text_config=words,
        num_query_tokens=4,
    )


def _kosmos_2() -> Any:
    text = {"embed_dim": 16, "layers": 1, "ffn_dim": 16, "attention_heads": 2, "vocab_size": 50}
    return _config("Kosmos2Config", vision_config={**T}, text_config=text)


def _dense(config: str, backbone: str) -> Callable[[], Any]:
    """A depth estimator around another family's encoder."""
    values = {**T, "num_hidden_layers": 4, "out_features": STAGES, "reshape_hidden_states": False}
    return lambda: _config(
        config,
        backbone_config=_config(backbone, **values),
        neck_hidden_sizes=[8] * 4,
        fusion_hidden_size=8,
    )


def _of_swin(config: str, **more: Any) -> Callable[[], Any]:
    swin = {**SWIN, "out_features": STAGES}
    return lambda: _config(config, backbone_config=_config("SwinConfig", **swin), **more)


def _detects(
    architecture: str,
    tower: str,
    config: Callable[[], Any],
    processor: str | None = None,
    **more: Any,
) -> Member:
    how: dict[str, Any] = {"tower": tower, "config": config, "processor": processor, **more}
    return Member(architecture, side=64, reads="maps", **how)


MEMBERS: dict[str, Member] = {
    # transformers over patches, with CLS
    "vit": Member("ViTForImageClassification", T),
    "deit": Member("DeiTForImageClassification", T),
    "deit (distilled)": Member("DeiTForImageClassificationWithTeacher", T, processor="deit"),
    "vit_msn": Member("ViTMSNForImageClassification", T),
    "beit": Member("BeitForImageClassification", T),
    "data2vec-vision": Member("Data2VecVisionForImageClassification", T),
    "dinov2": Member("Dinov2ForImageClassification", T),
    "dinov2_with_registers": Member(
        "Dinov2WithRegistersForImageClassification", T, processor="dinov2"
    ),
    "ijepa": Member("IJepaForImageClassification", T),
    "dinov2 (backbone)": Member("Dinov2Model", T, processor="dinov2", reads="pooler"),
    "dinov3_vit": Member("DINOv3ViTModel", T, processor="dinov2", reads="pooler"),
    "pixio": Member("PixioModel", T, reads="pooler"),
    "vit (backbone)": Member("ViTModel", T, processor="vit", reads="pooler"),
    "vit_mae": Member(
        "ViTMAEForPreTraining",
        {
            **T,
            "decoder_hidden_size": 16,
            "decoder_num_hidden_layers": 1,
            "decoder_num_attention_heads": 2,
            "decoder_intermediate_size": 16,
        },
        reads="cls",
    ),
    "yolos": Member("YolosForObjectDetection", {**T, "image_size": [32, 32]}, reads="cls"),
    "dpt": Member(
        "DPTForDepthEstimation",
        {
            **T,
            "num_hidden_layers": 4,
            "backbone_out_indices": [0, 1, 2, 3],
            "neck_hidden_sizes": [8, 8, 8, 8],
            "fusion_hidden_size": 8,
        },
        reads="cls",
    ),
    "beit (segmentation)": Member(
        "BeitForSemanticSegmentation",
        {**T, "num_hidden_layers": 4, "out_indices": [1, 2, 3, 4], "pool_scales": [1, 2]},
        processor="beit",
        reads="cls",
    ),
    "vitdet": Member("VitDetModel", {**T, "mlp_ratio": 2}, processor="vit", reads="mean"),
    "mlcd": Member("MLCDVisionModel", T, processor="mlcd", reads="pooler"),
    # hierarchies of windows and pyramids
    "swin": Member("SwinForImageClassification", SWIN, 64),
    "swinv2": Member("Swinv2ForImageClassification", SWIN, 64),
    "donut-swin": Member(
        "DonutSwinForImageClassification", {**SWIN, "image_size": [64, 48]}, 48, height=64
    ),
    "hiera": Member(
        "HieraForImageClassification",
        {
            "image_size": [64, 64],
            "embed_dim": 16,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 2, 2, 4],
        },
        64,
    ),
    "focalnet": Member(
        "FocalNetForImageClassification",
        {
            "image_size": 64,
            "embed_dim": 16,
            "depths": [1, 1, 1, 1],
            "focal_levels": [1, 1, 1, 1],
            "focal_windows": [3, 3, 3, 3],
        },
        64,
    ),
    "pvt": Member(
        "PvtForImageClassification",
        {
            "image_size": 64,
            **PYRAMID,
        },
        64,
    ),
    "pvt_v2": Member(
        "PvtV2ForImageClassification",
        {
            "image_size": 64,
            **PYRAMID,
        },
        64,
    ),
    "segformer": Member(
        "SegformerForImageClassification",
        {
            **PYRAMID,
        },
        64,
    ),
    "segformer (segmentation)": Member(
        "SegformerForSemanticSegmentation",
        {
            **PYRAMID,
            "decoder_hidden_size": 16,
        },
        64,
        processor="segformer",
        reads="mean",
    ),
    "glpn": Member(
        "GLPNForDepthEstimation",
        {
            **PYRAMID,
            "decoder_hidden_size": 16,
        },
        64,
        reads="mean",
    ),
    "cvt": Member(
        "CvtForImageClassification",
        {"embed_dim": [8, 16, 32], "num_heads": [1, 2, 2], "depth": [1, 2, 3]},
        64,
    ),
    "levit": Member(
        "LevitForImageClassification",
        {
            "image_size": 64,
            "hidden_sizes": [16, 24, 32],
            "num_attention_heads": [1, 2, 2],
            "depths": [1, 1, 1],
            "key_dim": [8, 8, 8],
        },
        64,
        widen=False,
    ),
    "swiftformer": Member(
        "SwiftFormerForImageClassification",
        {"depths": [1, 1, 1, 1], "embed_dims": [8, 12, 16, 24], "image_size": 64},
        64,
    ),
    "poolformer": Member(
        "PoolFormerForImageClassification",
        {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]},
        64,
    ),
    "swin2sr": Member(
        "Swin2SRModel",
        {
            "image_size": 32,
            "patch_size": 1,
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [2, 2],
            "window_size": 4,
        },
        reads="mean",
    ),
    # convolutions
    "resnet": Member("ResNetForImageClassification", {**FOUR, "embedding_size": 8}, 64, shift=1.0),
    "regnet": Member(
        "RegNetForImageClassification",
        {**FOUR, "embedding_size": 8, "groups_width": 4},
        64,
        shift=1.0,
    ),
    "bit": Member(
        "BitForImageClassification",
        {
            "hidden_sizes": [16, 16, 32, 32],
            "depths": [1, 1, 1, 1],
            "embedding_size": 16,
            "num_groups": 4,
        },
        64,
    ),
    "convnext": Member("ConvNextForImageClassification", FOUR, 64),
    "convnextv2": Member("ConvNextV2ForImageClassification", FOUR, 64),
    "dinov3_convnext": Member(
        "DINOv3ConvNextModel", FOUR, 64, processor="convnext", reads="pooler"
    ),
    "efficientnet": Member(
        "EfficientNetForImageClassification",
        {
            "image_size": 64,
            "width_coefficient": 0.25,
            "in_channels": [32, 32, 48, 64],
            "out_channels": [32, 48, 64, 96],
            "kernel_sizes": [3, 3, 5, 3],
            "strides": [1, 2, 2, 1],
            "num_block_repeats": [1] * 4,
            "expand_ratios": [1, 4, 4, 4],
            "depthwise_padding": [],
            "hidden_dim": 320,
        },
        64,
        shift=0.5,
    ),
    "mobilenet_v1": Member(
        "MobileNetV1ForImageClassification",
        {"image_size": 64, "depth_multiplier": 0.25, "min_depth": 8},
        64,
        shift=1.0,
        steps=60,
    ),
    "mobilenet_v2": Member(
        "MobileNetV2ForImageClassification",
        {"image_size": 64, "depth_multiplier": 0.25, "min_depth": 8, "depth_divisible_by": 8},
        64,
        shift=1.0,
    ),
    "mobilenet_v2 (segmentation)": Member(
        "MobileNetV2ForSemanticSegmentation",
        {"image_size": 64, "depth_multiplier": 0.25, "min_depth": 8, "depth_divisible_by": 8},
        64,
        shift=1.0,
        processor="mobilenet_v2",
        reads="mean",
    ),
    "mobilevit": Member(
        "MobileViTForImageClassification",
        {
            "image_size": 64,
            "hidden_sizes": [16, 24, 32],
            "num_attention_heads": 2,
            "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 40],
        },
        64,
    ),
    "mobilevitv2": Member(
        "MobileViTV2ForImageClassification", {"image_size": 64, "width_multiplier": 0.25}, 64
    ),
    "hgnet_v2": Member("HGNetV2ForImageClassification", HGNET, 64, processor="vit", shift=1.0),
    "pp_lcnet": Member(
        "PPLCNetForImageClassification", {"scale": 0.25}, 64, processor="vit", shift=1.0
    ),
    "textnet": Member(
        "TextNetForImageClassification",
        {
            "image_size": [64, 64],
            "stem_out_channels": 8,
            "hidden_sizes": [8, 8, 16, 16, 24],
            "conv_layer_kernel_sizes": [[[3, 3]], [[3, 3]], [[1, 3]], [[3, 1]]],
            "conv_layer_strides": [[1], [2], [2], [2]],
        },
        64,
    ),
    # what sees the image in detectors and the like
    "detr": Member(
        "DetrForObjectDetection",
        side=64,
        reads="maps",
        tower="model.backbone.model",
        config=lambda: _config("DetrConfig", **_detector()),
    ),
    "conditional_detr": Member(
        "ConditionalDetrForObjectDetection",
        side=64,
        reads="maps",
        tower="model.backbone.model",
        config=lambda: _config("ConditionalDetrConfig", **_detector()),
    ),
    "rt_detr": Member(
        "RTDetrForObjectDetection",
        side=64,
        steps=60,
        reads="maps",
        tower="model.backbone.model",
        config=_rt_detr,
    ),
    "maskformer": Member(
        "MaskFormerForInstanceSegmentation",
        side=64,
        reads="maps",
        tower="model.pixel_level_module.encoder",
        config=lambda: _config(
            "MaskFormerConfig", backbone_config=_config("SwinConfig", **SWIN, out_features=STAGES)
        ),
    ),
    "upernet": Member(
        "UperNetForSemanticSegmentation",
        side=64,
        reads="maps",
        tower="backbone",
        config=lambda: _config(
            "UperNetConfig",
            backbone_config=_config("ConvNextConfig", **FOUR, out_features=STAGES),
            hidden_size=16,
            auxiliary_in_channels=16,
            auxiliary_channels=8,
        ),
    ),
    "depth_anything": Member(
        "DepthAnythingForDepthEstimation",
        side=56,
        reads="cls of maps",
        tower="backbone",
        config=_depth_anything,
    ),
    "zoedepth": Member(
        "ZoeDepthForDepthEstimation",
        side=48,
        reads="cls of maps",
        tower="backbone",
        config=_zoedepth,
    ),
    "vitpose": Member(
        "VitPoseForPoseEstimation",
        side=24,
        height=32,
        reads="maps",
        tower="backbone",
        config=lambda: _config(
            "VitPoseConfig",
            backbone_config=_config(
                "VitPoseBackboneConfig",
                **{**T, "image_size": [32, 24], "patch_size": [8, 8]},
                out_indices=[2],
            ),
            scale_factor=2,
        ),
    ),
    "sam": Member("SamModel", side=64, reads="mean", tower="vision_encoder", config=_sam),
    "owlvit": Member(
        "OwlViTForObjectDetection",
        reads="pooler",
        tower="owlvit.vision_model",
        config=_two("OwlViTConfig", {**T}, projection_dim=8),
    ),
    "hgnet_v2 (backbone)": Member(
        "HGNetV2Backbone", HGNET, 64, processor="vit", reads="maps", shift=1.0
    ),
    # towers
    "clip": Member(
        "CLIPModel",
        side=32,
        reads="pooler",
        tower="vision_model",
        config=_two("CLIPConfig", {**T, "projection_dim": 8}, projection_dim=8),
    ),
    "clip_vision_model": Member("CLIPVisionModel", T, processor="clip", reads="pooler"),
    "clip (classifier)": Member(
        "CLIPForImageClassification",
        processor="clip",
        config=_two("CLIPConfig", {**T}, projection_dim=8, num_labels=LABELS),
    ),
    "metaclip_2": Member(
        "MetaClip2Model",
        reads="pooler",
        tower="vision_model",
        config=_two("MetaClip2Config", {**T}, projection_dim=8),
    ),
    "siglip": Member(
        "SiglipModel", reads="pooler", tower="vision_model", config=_two("SiglipConfig", {**T})
    ),
    "siglip_vision_model": Member(
        "SiglipVisionModel", T, processor="siglip", reads="pooler", steps=45
    ),
    "siglip (classifier)": Member(
        "SiglipForImageClassification",
        processor="siglip",
        config=_two("SiglipConfig", {**T}, num_labels=LABELS),
    ),
    "aimv2_vision_model": Member("Aimv2VisionModel", T, reads="pooler"),
    "aimv2": Member(
        "Aimv2Model",
        processor="clip",
        reads="pooler",
        tower="vision_model",
        config=_two("Aimv2Config", {**T}, projection_dim=8),
    ),
    "chinese_clip": Member(
        "ChineseCLIPModel",
        reads="pooler",
        tower="vision_model",
        config=_two("ChineseCLIPConfig", {**T}, projection_dim=8),
    ),
    "altclip": Member(
        "AltCLIPModel",
        reads="pooler",
        tower="vision_model",
        config=_two("AltCLIPConfig", {**T}, {**TEXT, "project_dim": 8}, projection_dim=8),
    ),
    "clipseg": Member(
        "CLIPSegForImageSegmentation",
        reads="pooler",
        tower="clip.vision_model",
        config=_two(
            "CLIPSegConfig",
            {**T, "num_hidden_layers": 10},
            projection_dim=8,
            reduce_dim=8,
            decoder_intermediate_size=16,
            decoder_num_attention_heads=2,
        ),
    ),
    "blip": Member(
        "BlipModel",
        reads="pooler",
        tower="vision_model",
        config=_two("BlipConfig", {**T}, {**TEXT, "encoder_hidden_size": 32}, projection_dim=8),
    ),
    "align": Member(
        "AlignModel",
        side=64,
        shift=1.0,
        reads="pooler",
        tower="vision_model",
        config=_two(
            "AlignConfig",
            {
                "image_size": 64,
                "width_coefficient": 0.25,
                "depth_coefficient": 0.25,
                "hidden_dim": 320,
            },
            projection_dim=8,
        ),
    ),
    # what sees the image in further detectors, segmenters and the like
    "d_fine": _detects(
        "DFineForObjectDetection",
        "model.backbone.model",
        lambda: _config("DFineConfig", backbone_config=_hgnet(), **_found(layers=2)),
        "rt_detr",
        steps=90,
    ),
    "deformable_detr": _detects(
        "DeformableDetrForObjectDetection", "model.backbone.model", _deformable_detr, shift=0.5
    ),
    "dab-detr": _detects(
        "DabDetrForObjectDetection", "model.backbone.conv_encoder.model", _dab_detr, "detr"
    ),
    "deimv2": _detects(
        "Deimv2ForObjectDetection",
        "model.conv_encoder.model",
        lambda: _config("Deimv2Config", backbone_config=_hgnet(), **_found(layers=2)),
        steps=90,
    ),
    "lw_detr": _detects(
        "LwDetrForObjectDetection",
        "model.backbone.backbone",
        lambda: _of_windows(
            "LwDetrConfig",
            "LwDetrViTConfig",
            {"projector_scale_factors": [1.0]},
            pretrain_image_size=64,
            num_windows=4,
            window_block_indices=[0],
        ),
    ),
    "rf_detr": _detects(
        "RfDetrForObjectDetection",
        "model.backbone.backbone",
        lambda: _of_windows("RfDetrConfig", "RfDetrDinov2Config", {}, num_windows=2),
        "detr",
    ),
    "rt_detr_v2": _detects(
        "RTDetrV2ForObjectDetection",
        "model.backbone.model",
        lambda: _config("RTDetrV2Config", backbone_config=_hgnet(), **_found(layers=2)),
        "rt_detr",
    ),
    "table-transformer": _detects(
        "TableTransformerForObjectDetection",
        "model.backbone.conv_encoder.model",
        lambda: _config("TableTransformerConfig", **_detector()),
    ),
    "pp_doclayout_v2": _detects(
        "PPDocLayoutV2ForObjectDetection",
        "model.backbone.model",
        _pp_doclayout_v2,
        "detr",
        shift=0.1,
    ),
    "pp_doclayout_v3": _detects(
        "PPDocLayoutV3ForObjectDetection",
        "model.backbone.model",
        lambda: _config("PPDocLayoutV3Config", backbone_config=_hgnet(), **_found()),
        "detr",
        shift=0.5,
    ),
    "pp_doclayout_v4": _detects(
        "PPDocLayoutV4ForObjectDetection",
        "model.backbone.model",
        _pp_doclayout_v4,
        "detr",
        shift=0.1,
    ),
    "grounding-dino": _detects(
        "GroundingDinoForObjectDetection",
        "model.backbone.conv_encoder.model",
        _grounding_dino("GroundingDinoConfig"),
    ),
    "mm-grounding-dino": _detects(
        "MMGroundingDinoForObjectDetection",
        "model.backbone.conv_encoder.model",
        _grounding_dino("MMGroundingDinoConfig"),
    ),
    "omdet-turbo": _detects(
        "OmDetTurboForObjectDetection", "vision_backbone.vision_backbone", _omdet_turbo
    ),
    "oneformer": _detects(
        "OneFormerForUniversalSegmentation", "model.pixel_level_module.encoder", _oneformer
    ),
    "mask2former": _detects(
        "Mask2FormerForUniversalSegmentation",
        "model.pixel_level_module.encoder",
        _of_swin(
            "Mask2FormerConfig",
            num_attention_heads=2,
            feature_size=32,
            mask_feature_size=32,
            hidden_dim=32,
        ),
    ),
    "maskformer-swin": Member(
        "MaskFormerSwinModel", SWIN, 64, processor="maskformer", reads="pooler"
    ),
    "sam_hq": Member("SamHQModel", side=64, reads="mean", tower="vision_encoder", config=_sam_hq),
    "sam2": Member(
        "Sam2Model", side=64, processor="vit", reads="fpn", tower="vision_encoder", config=_sam2
    ),
    "sam3_tracker": Member(
        "Sam3TrackerModel",
        side=64,
        processor="vit",
        reads="mean",
        tower="vision_encoder",
        config=_sam3_tracker,
    ),
    "dpt (dinov2)": Member(
        "DPTForDepthEstimation",
        processor="dpt",
        reads="cls of maps",
        tower="backbone",
        config=_dense("DPTConfig", "Dinov2Config"),
    ),
    "tipsv2_dpt": Member(
        "Tipsv2DptForDepthEstimation",
        processor="dpt",
        reads="cls of maps",
        tower="backbone",
        config=_dense("Tipsv2DptConfig", "Tipsv2VisionConfig"),
    ),
    "mobilevit (segmentation)": Member(
        "MobileViTForSemanticSegmentation",
        {
            "image_size": 64,
            "hidden_sizes": [16, 24, 32],
            "num_attention_heads": 2,
            "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 40],
        },
        64,
        processor="mobilevit",
        reads="mean",
    ),
    "tipsv2": Member(
        "Tipsv2Model",
        processor="vit",
        reads="pooler",
        tower="vision_model",
        config=_two("Tipsv2Config", {**T}, {**TEXT, "hidden_size": 32}),
    ),
    "tipsv2_vision_model": Member("Tipsv2VisionModel", T, processor="vit", reads="pooler"),
    "sapiens2": Member(
        "Sapiens2Model", {**T, "image_size": [32, 32]}, processor="vit", reads="pooler"
    ),
    "blip-2": Member(
        "Blip2ForConditionalGeneration",
        reads="pooler",
        tower="vision_model",
        config=_blip_2,
    ),
    "kosmos-2": Member(
        "Kosmos2ForConditionalGeneration",
        processor="clip",
        reads="pooler",
        tower="vision_model",
        config=_kosmos_2,
    ),
}


def _patches() -> Any:
    return _config("Siglip2Config", vision_config={**T, "num_patches": 16}, text_config=TEXT)


REFUSED: dict[str, tuple[Member, str]] = {
    "imagegpt": (
        Member(
            "ImageGPTForImageClassification",
            {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64, "vocab_size": 17},
            side=8,
        ),
        "colour clusters",
    ),
    "siglip2": (
        Member("Siglip2Model", processor="siglip2", config=_patches),
        "sequences of patches",
    ),
    "perceiver": (
        Member(
            "PerceiverForImageClassificationLearned",
            {
                "image_size": 32,
                "d_latents": 32,
                "num_latents": 8,
                "d_model": 32,
                "num_blocks": 1,
                "num_self_attends_per_block": 1,
                "num_self_attention_heads": 2,
            },
        ),
        "takes `inputs`",
    ),
    "eomt": (
        Member(
            "EomtForUniversalSegmentation",
            {
                "hidden_size": 32,
                "num_hidden_layers": 3,
                "num_attention_heads": 2,
                "image_size": 64,
                "patch_size": 8,
                "num_blocks": 1,
                "num_queries": 5,
                "num_upscale_blocks": 1,
            },
            64,
            processor="vit",
            reads="",
        ),
        "queries among its tokens",
    ),
    "dinat": (
        Member("DinatForImageClassification", processor="vit"),
        "requires the natten library",
    ),
}
"""What is refused by default, and a part of the line that says so."""
