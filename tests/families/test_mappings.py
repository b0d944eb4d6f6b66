"""Every model type that `transformers` lists for a task of images is looked at here.

Vision-language networks are looked at in tests/families/test_vision_language.py.
"""

import pytest
from transformers.models.auto import modeling_auto

from stir_hf.models.images.families import detects, family_named
from tests.families.zoo import MEMBERS, REFUSED

TASKS = (
    "BACKBONE",
    "CAUSAL_IMAGE_MODELING",
    "DEPTH_ESTIMATION",
    "IMAGE",
    "IMAGE_CLASSIFICATION",
    "IMAGE_MATTING",
    "IMAGE_SEGMENTATION",
    "IMAGE_TO_IMAGE",
    "INSTANCE_SEGMENTATION",
    "KEYPOINT_DETECTION",
    "KEYPOINT_MATCHING",
    "MASKED_IMAGE_MODELING",
    "MASK_GENERATION",
    "NORMAL_ESTIMATION",
    "OBJECT_DETECTION",
    "POINTMAP_ESTIMATION",
    "POSE_ESTIMATION",
    "SEMANTIC_SEGMENTATION",
    "UNIVERSAL_SEGMENTATION",
    "ZERO_SHOT_IMAGE_CLASSIFICATION",
    "ZERO_SHOT_OBJECT_DETECTION",
)

_BACKBONE = "a backbone without a checkpoint of its own: it is read in a detector's"
_LARGE = "read as pp_ocrv5_mobile_det is, whose form it has"
_LANGUAGE = "in tests/families/test_vision_language.py"
_PAIRS = "takes pairs of images"
_TIMM = "needs timm; in make verify-timm"
_TOWER = "its encoder is looked at in tests/models/test_towers.py"
_VIDEO = "takes videos"
OTHERS = {
    "chmv2": _TOWER,
    "cohere2_vision": _LANGUAGE,
    "depth_pro": "cuts an image of 1536 pixels into 35 patches",
    "edgetam": _TIMM,
    "edgetam_video": _TIMM,
    "efficientloftr": _PAIRS,
    "eomt_dinov3": "refused as eomt is",
    "lightglue": _PAIRS,
    "llama4": _LANGUAGE,
    "lw_detr_vit": _BACKBONE,
    "mllama": _LANGUAGE,
    "mlcd_vision_model": "the model type of mlcd",
    "owlv2": _TOWER,
    "pp_lcnet_v3": _BACKBONE,
    "pp_lcnet_v4": _BACKBONE,
    "pp_ocrv5_mobile_det": _TOWER,
    "pp_ocrv5_server_det": _LARGE,
    "pp_ocrv6_medium_det": _LARGE,
    "pp_ocrv6_small_det": _TOWER,
    "prompt_depth_anything": _TOWER,
    "rf_detr_dinov2": _BACKBONE,
    "rt_detr_resnet": _BACKBONE,
    "sam2_video": "the encoder is that of sam2",
    "sam3_video": _VIDEO,
    "shieldgemma2": _LANGUAGE,
    "superglue": _PAIRS,
    "superpoint": "has no representation of an image: a layer must be chosen",
    "timesformer": _VIDEO,
    "timm_backbone": _TIMM,
    "timm_wrapper": _TIMM,
    "uvdoc_backbone": _BACKBONE,
    "videomae": _VIDEO,
    "videomt": _VIDEO,
    "videoprism": _VIDEO,
    "videoprism_vision_model": _VIDEO,
    "vitpose_backbone": _BACKBONE,
    "vitmatte": "takes an image with a map of its foreground, in 4 channels",
    "vivit": _VIDEO,
    "zoedepth": _TOWER,
}
"""Model types that the zoo has no member of, and why."""
LOOKED_AT = {name.partition(" (")[0] for name in (*MEMBERS, *REFUSED)} | set(OTHERS)


@pytest.mark.parametrize("task", TASKS)
def test_every_model_type_is_looked_at(task: str) -> None:
    listed = getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES", {})
    assert sorted(set(listed) - LOOKED_AT) == []


def test_of_every_detector_it_is_said_what_sees_the_image() -> None:
    tasks = [getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES", {}) for task in TASKS]
    listed = {name for task in tasks for name in task if detects(name)}
    said = {name for name in listed if family_named(name).encoder or family_named(name).refused}
    assert listed >= {"deformable_detr", "detr", "grounding-dino", "mask2former"}
    assert "yolos" not in listed  # whose `AutoModel` is a plain encoder
    assert listed - said <= {"deimv2", "videomt"}  # whose one backbone is found; of videos
