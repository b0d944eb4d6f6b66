"""Train the four networks that `stir-hf demo` embeds, and pick its 200 images; by name, six more.

    python examples/train_demo_models.py [--data ID_OR_FOLDER] [--out stir_hf/demo] [NAME ...]

Two ResNets are trained in the ordinary way and two adversarially, on Fashion-MNIST (MIT licence),
one per seed. The adversary moves each training image by at most 1.0 in L2 (projected gradient
descent, Madry et al. 2018). `vit-standard vit-robust convnext-standard convnext-robust` are
networks of two other families, trained for a few minutes, which the benchmarks use.
`vit-cifar10 convnext-cifar10` are the same two families on CIFAR-10, in colour, 32 pixels; give
`--data` its Hub id or folder. At the end the script prints each network's accuracy on the 10,000
test images, clean and under a 20-step attack of the same size (1,000 images of CIFAR-10), and keeps
the figures in `models/training.json`. Needs only torch, transformers and datasets; about ten
minutes on two cores for the four, half an hour for each of the two.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    AutoModelForImageClassification,
    ConvNextConfig,
    ResNetConfig,
    ViTConfig,
    ViTImageProcessor,
)

EPSILON = 1.0  # L2 radius of the adversary, pixels in [0, 1]
NUM_IMAGES = 200  # the first ones of the test split


@dataclass(frozen=True)
class Recipe:
    """One network: its seed, whether an adversary trains it, and for how many epochs."""

    seed: int
    robust: bool
    epochs: int
    family: str = "resnet"
    rate: float = 4e-3
    images: int = 60_000
    attack_steps: int = 4
    attacked: int = 10_000
    """Test images that are attacked at the end."""


EMBEDDED = {
    "standard-0": Recipe(seed=0, robust=False, epochs=12),
    "standard-1": Recipe(seed=1, robust=False, epochs=12),
    "robust-0": Recipe(seed=0, robust=True, epochs=10),
    "robust-1": Recipe(seed=1, robust=True, epochs=10),
}
SHORT: dict[str, Any] = {"rate": 3e-3, "seed": 7}
SHORT_ROBUST = {**SHORT, "robust": True, "epochs": 3, "images": 24_000, "attack_steps": 2}
CIFAR: dict[str, Any] = {"rate": 2e-3, "seed": 0, "images": 50_000, "attacked": 1000}
RECIPES = EMBEDDED | {
    "vit-standard": Recipe(family="vit", robust=False, epochs=2, **SHORT),
    "vit-robust": Recipe(family="vit", **SHORT_ROBUST),
    "convnext-standard": Recipe(family="convnext", robust=False, epochs=2, **SHORT),
    "convnext-robust": Recipe(family="convnext", **SHORT_ROBUST),
    "vit-cifar10": Recipe(family="vit-cifar10", robust=False, epochs=8, **CIFAR),
    "convnext-cifar10": Recipe(family="convnext-cifar10", robust=False, epochs=4, **CIFAR),
}
CONFIGS = {
    "resnet": ResNetConfig(
        embedding_size=20, hidden_sizes=[20, 40, 80], depths=[2, 2, 2], layer_type="basic"
    ),
    "vit": ViTConfig(
        image_size=28,
        patch_size=4,
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=96,
        hidden_dropout_prob=0.0,
    ),
    "convnext": ConvNextConfig(
        image_size=28, patch_size=2, num_stages=3, hidden_sizes=[24, 48, 96], depths=[1, 2, 1]
    ),
    "vit-cifar10": ViTConfig(
        image_size=32,
        patch_size=4,
        hidden_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=192,
        hidden_dropout_prob=0.0,
    ),
    "convnext-cifar10": ConvNextConfig(
        image_size=32, patch_size=2, num_stages=3, hidden_sizes=[32, 64, 128], depths=[1, 2, 1]
    ),
}


class Classifier(nn.Module):
    """A network over images in [0, 1]."""

    def __init__(self, network: Any, images: Tensor) -> None:
        super().__init__()
        self.network = network
        self.mean, self.std = (
            figure.mul(1e4).round().div(1e4)
            for figure in (images.mean((0, 2, 3)), images.std((0, 2, 3)))
        )

    def forward(self, images: Tensor) -> Any:
        normal = (images - self.mean[:, None, None]) / self.std[:, None, None]
        return self.network(pixel_values=normal).logits


def new_model(names: list[str], family: str = "resnet", channels: int = 1) -> Any:
    config = CONFIGS[family]
    config.num_channels = channels
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
    return AutoModelForImageClassification.from_config(config)


def attack(model: nn.Module, images: Tensor, labels: Tensor, steps: int) -> Tensor:
    """Images moved by at most EPSILON in L2 so that the loss rises (projected gradient ascent from
    a random start).
    """
    shape = (-1, 1, 1, 1)
    delta = torch.randn_like(images)
    delta *= (
        EPSILON * torch.rand(len(images)).view(shape) / delta.flatten(1).norm(dim=1).view(shape)
    )
    for _ in range(steps):
        delta.requires_grad_(True)
        loss = F.cross_entropy(model((images + delta).clamp(0, 1)), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, delta)
        with torch.no_grad():
            gradient /= gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(shape)
            delta = delta + 2.5 * EPSILON / steps * gradient
            delta *= (
                (EPSILON / delta.flatten(1).norm(dim=1).clamp_min(1e-12)).clamp_max(1).view(shape)
            )
    return (images + delta).clamp(0, 1).detach()


def augment(images: Tensor) -> Tensor:
    """Shift each batch by up to two pixels and mirror half of its images."""
    dy, dx = np.random.randint(0, 5, 2)
    height, width = images.shape[2:]
    images = F.pad(images, (2, 2, 2, 2))[:, :, dy : dy + height, dx : dx + width]
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images)


def train(model: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe) -> None:
    images, labels = images[: recipe.images], labels[: recipe.images]
    batch, steps = 128, len(images) // 128 * recipe.epochs
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=steps, pct_start=0.2
    )
    for epoch in range(recipe.epochs):
        started, right, seen = time.time(), 0, 0
        for rows in torch.randperm(len(images)).split(batch):
            if len(rows) < batch:
                continue
            x, y = augment(images[rows]), labels[rows]
            if recipe.robust:
                model.eval()
                x = attack(model, x, y, steps=recipe.attack_steps)
            model.train()
            out = model(x)
            optimizer.zero_grad()
            F.cross_entropy(out, y, label_smoothing=0.0 if recipe.robust else 0.05).backward()
            optimizer.step()
            schedule.step()
            right, seen = right + int((out.argmax(1) == y).sum()), seen + len(y)
        print(
            f"  epoch {epoch}: train accuracy {right / seen:.3f}, {time.time() - started:.0f} s",
            flush=True,
        )
    model.eval().requires_grad_(False)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, steps: int = 0) -> float:
    right = 0
    for x, y in zip(images.split(500), labels.split(500), strict=True):
        shown = attack(model, x, y, steps) if steps else x
        with torch.no_grad():
            right += int((model(shown).argmax(1) == y).sum())
    return right / len(images)


def tensors(split: datasets.Dataset) -> tuple[Tensor, Tensor]:
    column = next(n for n, kind in split.features.items() if isinstance(kind, datasets.Image))
    pixels = np.stack([np.asarray(image) for image in split[column]])
    images = torch.from_numpy(pixels).float().div(255)
    images = images.permute(0, 3, 1, 2).contiguous() if images.ndim == 4 else images[:, None]
    return images, torch.tensor(split["label"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", default="zalando-datasets/fashion_mnist", help="Hub id or folder of Fashion-MNIST"
    )
    parser.add_argument("--out", type=Path, default=Path("stir_hf/demo"))
    parser.add_argument("names", nargs="*", choices=[*RECIPES, []], metavar="NAME")
    args = parser.parse_args()
    splits = datasets.load_dataset(args.data)
    (train_x, train_y), (test_x, test_y) = tensors(splits["train"]), tensors(splits["test"])
    for name in args.names or EMBEDDED:
        recipe, folder = RECIPES[name], args.out / "models" / name
        torch.manual_seed(recipe.seed)
        np.random.seed(recipe.seed)
        print(name, recipe, flush=True)
        labels, channels = splits["train"].features["label"].names, train_x.shape[1]
        network = new_model(labels, recipe.family, channels)
        model = Classifier(network, train_x)
        train(model, train_x, train_y, recipe)
        record = {
            "accuracy": accuracy(model, test_x, test_y),
            "accuracy_under_attack": accuracy(
                model, test_x[: recipe.attacked], test_y[: recipe.attacked], steps=20
            ),
            "epsilon_l2": EPSILON,
            "seed": recipe.seed,
            "epochs": recipe.epochs,
            "parameters": network.num_parameters(),
        }
        print(name, record, flush=True)
        network.save_pretrained(folder)
        side = train_x.shape[-1]
        ViTImageProcessor(
            size={"height": side, "width": side},
            image_mean=[round(float(x), 4) for x in model.mean],
            image_std=[round(float(x), 4) for x in model.std],
            do_convert_rgb=channels > 1,
        ).save_pretrained(folder)
        (folder / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    if args.names:
        return
    images = args.out / "images" / "test-00000-of-00001.parquet"
    images.parent.mkdir(parents=True, exist_ok=True)
    splits["test"].select(range(NUM_IMAGES)).to_parquet(images)


if __name__ == "__main__":
    main()
