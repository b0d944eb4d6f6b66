"""Checkpoints of the zoo: trained for a moment, so that their activations are alive, and saved with
the image processor of their family.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as tf
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.auto import image_processing_auto

from tests.families.zoo import LABELS, MEMBERS, Member

ROWS = 28


def processor_of(name: str, side: int) -> Any:
    """The image processor of a family, all its sizes in proportion to a native side."""
    known: Any = image_processing_auto
    entry = known.IMAGE_PROCESSOR_MAPPING_NAMES[name]
    default = getattr(tf, entry["pil"])()
    about = default.to_dict()
    values: dict[str, Any] = {}
    if about.get("size"):
        square = Image.new("RGB", (97, 97))
        native = np.asarray(default(square, return_tensors="pt")["pixel_values"]).shape[-1]
        for key in ("size", "crop_size", "pad_size"):
            if about.get(key):
                values[key] = {k: round(v * side / native) for k, v in about[key].items()}
    return type(default)(**values)


def build(name: str, folder: Path) -> Any:
    """Train a member of the zoo, save it with its processor, and return it."""
    member = MEMBERS[name]
    torch.manual_seed(0)
    model = member.make()
    if member.widen:
        _widen(model)
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
    whole = not member.tower and "Model" not in member.architecture
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


def _widen(model: Any) -> None:
    """Give weights the scale of their width: by the 0.02 of wide networks narrow ones vanish."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.ones_(module.weight)


def train(model: Any, member: Member) -> None:
    """Tell stripes of different directions and colours apart, for a few steps."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    head, rate = nn.LazyLinear(LABELS), 3e-3
    head(read(model, member, _stripes(member.side)[0]).detach())
    optimiser = torch.optim.Adam([*model.parameters(), *head.parameters()], rate)
    for step in range(member.steps):
        images, labels = _stripes(member.side, step)
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
            read(model, member, _stripes(member.side, step)[0])


def _stripes(side: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images (n, 3, side, side) of about unit variance, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(ROWS) % LABELS
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    angle = labels * torch.pi / LABELS
    turned = angle.cos()[:, None, None] * x + angle.sin()[:, None, None] * y
    shift = torch.rand(ROWS, 3, 1, 1, generator=generator)
    waves = torch.sin(2 * torch.pi * (4 * turned[:, None] + shift))
    return waves + 0.5 * torch.randn(waves.shape, generator=generator), labels
