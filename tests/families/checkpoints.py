"""Checkpoints of the zoo: trained for a moment, so that their activations are alive, and saved with
the image processor of their family.
"""

from pathlib import Path
from typing import Any

import torch
import transformers as tf
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.auto import image_processing_auto

from tests.families.zoo import LABELS, MEMBERS, Member

ROWS = 28


MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""Of ImageNet, where the class has the same for all channels by default."""
RESAMPLES = {
    0: ("efficientnet", "align"),
    2: ("beit", "data2vec-vision", "dpt", "pvt", "pvt_v2", "mobilevit", "mobilevitv2"),
    3: ("swin", "swinv2", "swiftformer"),
}
FLAGSHIPS: dict[str, dict[str, Any]] = {
    **{name: {"resample": number} for number, names in RESAMPLES.items() for name in names},
    "depth_anything": {"resample": 3, "keep_aspect_ratio": True, "ensure_multiple_of": 14},
    "zoedepth": {"size": {"height": 144, "width": 192}, "ensure_multiple_of": 16},
}
"""What the processor of a family's best-known checkpoint has beside the defaults of its class:
nearest (0), bilinear (2) or bicubic (3) resampling, and sizes that are no square's.
"""


def pixel_values(processor: Any, image: Image.Image) -> Tensor:
    """(1, c, h, w): what a processor makes of an image."""
    whole = {"boxes": [[[0, 0, *image.size]]]}
    more = whole if type(processor).__name__.startswith("VitPose") else {}
    found: Tensor = processor(image, return_tensors="pt", **more)["pixel_values"]
    return found


def processor_of(name: str, side: int) -> Any:
    """The image processor of a family, all its sizes in proportion to a native width, with means
    and standard deviations that differ between the channels.
    """
    known: Any = image_processing_auto
    entry = known.IMAGE_PROCESSOR_MAPPING_NAMES[name]
    default = getattr(tf, entry["pil"])()
    about = default.to_dict()
    values: dict[str, Any] = {}
    if about.get("size") and name != "zoedepth":
        native = pixel_values(default, Image.new("RGB", (97, 97))).shape[-1]
        for key in ("size", "crop_size", "pad_size"):
            if about.get(key):
                values[key] = {k: round(v * side / native) for k, v in about[key].items()}
    if len(set(about.get("image_mean") or [])) == 1:
        values |= {"image_mean": MEAN, "image_std": STD}
    return type(default)(**values, **FLAGSHIPS.get(name, {}))


def build(name: str, folder: Path) -> Any:
    """Train a member of the zoo, save it with its processor, and return it."""
    member = MEMBERS[name]
    torch.manual_seed(0)
    model = member.make()
    if member.widen:
        _widen(model, member.shift)
    train(model, member)
    settle(model, member)
    model.eval().save_pretrained(folder)
    processor_of(member.processor or name, member.side).save_pretrained(folder)
    return model


def tower_of(model: Any, member: Member) -> Any:
    """The part that takes images."""
    return model.get_submodule(member.tower) if member.tower else model


def read(model: Any, member: Member, inputs: Tensor) -> Tensor:
    """The penultimate representation (b, d), as `transformers` itself gives it."""
    tower = tower_of(model, member)
    if member.reads == "head":
        return _before_head(tower, inputs)
    bare = any(word in member.architecture for word in ("Model", "Backbone"))
    whole = not member.tower and not bare and hasattr(tower, "base_model_prefix")
    body = getattr(tower, tower.base_model_prefix) if whole else tower
    result = body(pixel_values=inputs, return_dict=True, **_unmasked(body, inputs))
    if member.reads == "pooler":
        pooled: Tensor = result.pooler_output
        return pooled.flatten(1)
    if member.reads == "fpn":
        result.feature_maps = result.fpn_hidden_states
    maps = "maps" in member.reads or member.reads == "fpn"
    last: Tensor = result.feature_maps[-1] if maps else result.last_hidden_state
    if member.reads in ("cls", "cls of maps"):
        return last[:, 0]
    return last.mean(1) if last.ndim == 3 else last.mean((2, 3))


def _unmasked(body: Any, inputs: Tensor) -> dict[str, Any]:
    if body.config.model_type != "vit_mae":
        return {}
    body.config.mask_ratio = 0.0
    count = (inputs.shape[-1] // body.config.patch_size) ** 2
    return {"noise": torch.arange(count).expand(len(inputs), -1)}


def _before_head(model: Any, inputs: Tensor) -> Tensor:
    """What goes into the first layer with an output per class."""
    head = next(
        m
        for m in model.modules()
        if isinstance(m, nn.Linear | nn.Conv2d) and m.weight.shape[0] == LABELS
    )
    taken: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, args: taken.append(args[0]))
    model(pixel_values=inputs)
    hook.remove()
    return taken[0].flatten(1)


def _widen(model: Any, shift: float) -> None:
    """Give weights the scale of their width: by the 0.02 of wide networks narrow ones vanish."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.ones_(module.weight)
            nn.init.constant_(module.bias, shift)
        elif type(module).__name__.endswith("FrozenBatchNorm2d"):  # of detectors, no torch class
            module.bias.fill_(shift)


def train(model: Any, member: Member) -> None:
    """Tell stripes of different directions and colours apart, for a few steps."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    head, rate = nn.LazyLinear(LABELS), 3e-3
    head(read(model, member, _stripes(member)[0]).detach())
    optimiser = torch.optim.Adam([*model.parameters(), *head.parameters()], rate)
    for step in range(member.steps):
        images, labels = _stripes(member, step)
        loss = F.cross_entropy(
            head(F.layer_norm(x := read(model, member, images), x.shape[1:])), labels
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        optimiser.step()


def settle(model: Any, member: Member) -> None:
    """Give batch normalisation the statistics of what it sees."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the mean over all passes
    with torch.no_grad():
        for step in range(8):
            read(model, member, _stripes(member, step)[0])


def _stripes(member: Member, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images (n, 3, height, side) of about unit variance, and their classes."""
    height, side = member.height or member.side, member.side
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(ROWS) % LABELS
    y, x = torch.meshgrid(torch.arange(height) / side, torch.arange(side) / side, indexing="ij")
    angle = labels * torch.pi / LABELS
    turned = angle.cos()[:, None, None] * x + angle.sin()[:, None, None] * y
    shift = torch.rand(ROWS, 3, 1, 1, generator=generator)
    waves = torch.sin(2 * torch.pi * (4 * turned[:, None] + shift))
    return waves + 0.5 * torch.randn(waves.shape, generator=generator), labels
