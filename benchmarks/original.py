"""The original package, run as it is on the embedded networks: what `method="paper"` is held
against.

    python benchmarks/original.py [--steps 200] [--num-images 64]

Fetches stir-invariance 0.0 from PyPI, checks its hash, and puts it on the CPU; nothing else of its
code is changed. The networks are shown to it in evaluation mode (it would otherwise leave them in
training mode) and with true gradients (it asks for a "fake ReLU", which only its own networks
have). Its start images are replaced by ours, drawn per image. Writes
benchmarks/results/original.json, which tests/test_original.py reads: the relative error of each
image at iterates 0 to 10, and STIR of pairs with the mean best error of the inversions.
"""

import argparse
import hashlib
import importlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForImageClassification

from stir_hf import load_encoder
from stir_hf.data.sources.samples import open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.demo import IMAGES, MODELS, model_path
from stir_hf.engine import STARTS, start_value

RESULTS = Path(__file__).parent / "results" / "original.json"
PACKAGE, SHA256 = (
    "stir-invariance==0.0",
    "687912c6a1a705162d9d434948656ad76f4a953f40bdf1bd706b389b21ede96a",
)
CURVES, CURVE_IMAGES, CURVE_STEPS = ("standard-0", "robust-0"), 16, 10
PAIRS = (("standard-0", "standard-1"), ("standard-0", "robust-0"), ("robust-0", "robust-1"))


@contextmanager
def original() -> Iterator[ModuleType]:
    """The module `stir.stir` of the original."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
        ]
        subprocess.run([*pip, PACKAGE, "--dest", folder], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        if (found := hashlib.sha256(wheel.read_bytes()).hexdigest()) != SHA256:
            raise SystemExit(f"{wheel.name} is not the file that is known: sha256 {found}")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        for source in Path(folder, "stir").rglob("*.py"):
            source.write_text(source.read_text().replace("f'cuda:{devices[0]}'", "'cpu'"))
        # It imports these for its training scripts and plots; nothing that runs here uses them.
        unused = {
            name: mock.MagicMock()
            for name in ("torchvision", "joblib", "sklearn", "sklearn.metrics")
        }
        unused["torchvision"].datasets.ImageNet = object
        with (
            mock.patch.object(sys, "path", [folder, *sys.path]),
            mock.patch.dict(sys.modules, unused),
        ):
            yield importlib.import_module("stir.stir")


class Network(nn.Module):
    """An embedded network with the signature that the original asks of a model."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.classifier = AutoModelForImageClassification.from_pretrained(
            model_path(name)
        ).requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> "Network":  # noqa: ARG002 - it stays in evaluation mode
        return self

    def forward(self, x: Tensor, with_latent: bool = False, **_: Any) -> Any:
        latent = self.classifier.resnet(x).pooler_output.flatten(1)
        logits = self.classifier.classifier(latent[:, :, None, None])
        return (logits, latent) if with_latent else logits


class Normalize(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        config = json.loads(Path(model_path(name), "preprocessor_config.json").read_text())
        self.mean, self.std = config["image_mean"][0], config["image_std"][0]

    def forward(self, x: Tensor) -> Tensor:
        normalized: Tensor = (x - self.mean) / self.std
        return normalized


def load(count: int) -> tuple[list[int], Tensor, Tensor]:
    """Indices, images and start images."""
    encoder = load_encoder(model_path(MODELS[0]))
    samples = open_samples(str(IMAGES), DataSpec("demo", num_samples=count))
    places = np.argsort(samples.order).tolist()
    canvas = np.stack([encoder.canvas(samples.sample(place).original) for place in places])
    x = torch.from_numpy(canvas.astype(np.float32) / 255)
    _, c, h, w = x.shape
    noise, indices = STARTS.parse("noise"), sorted(samples.order.tolist())
    starts = [start_value(noise, (c, h, w), seed=0, index=i, draw=0) for i in indices]
    return indices, x, torch.stack(starts)


class Runner:
    """Runs the original and takes down the relative error of each image at each iterate."""

    def __init__(self, stir: Any) -> None:
        self.stir = stir

    def loss(self, errors: list[Tensor]) -> Any:
        class Recorded(self.stir.LPNormLossSingleModel):  # type: ignore[name-defined, misc]
            def __call__(self, *args: Any, **kwargs: Any) -> Any:
                loss, extra = super().__call__(*args, **kwargs)
                errors.append(loss.detach())
                return loss, extra

        return Recorded(self.stir.hp.DummyArgs(("lpnorm_type", 2.0, float)))

    def options(self, errors: list[Tensor], steps: int) -> dict[str, Any]:
        """What its `_stir` uses unless told otherwise, but for the number of iterations."""
        return {
            "custom_loss": self.loss(errors),
            "constraint": "unconstrained",
            "eps": 1000,
            "step_size": 0.5,
            "iterations": steps,
            "targeted": True,
            "do_tqdm": False,
            "should_normalize": True,
            "use_best": True,
        }

    def curve(self, name: str, images: Tensor, starts: Tensor) -> list[list[float]]:
        """Per image, the relative errors of iterates 0 to 10."""
        errors: list[Tensor] = []
        model = self.stir.AttackerModel(Network(name), Normalize(name))
        (_, target), _ = model(images, with_latent=True)
        model(
            starts,
            target=target,
            make_adv=True,
            layer_num=None,
            **self.options(errors, CURVE_STEPS),
        )
        rows: list[list[float]] = torch.stack(errors, dim=1).tolist()
        return rows

    def pair(
        self, a: str, b: str, images: Tensor, starts: Tensor, steps: int
    ) -> list[dict[str, Any]]:
        """Both directions, each with the mean over images of the best error."""
        errors: list[Tensor] = []
        networks = Network(a), Network(b), Normalize(a), Normalize(b)
        with mock.patch.object(self.stir, "get_seed_images", return_value=starts):
            found = self.stir.STIR(*networks, images, ve_kwargs=self.options(errors, steps))
        first, second = (
            torch.stack(e).amin(0).mean().item() for e in (errors[: steps + 1], errors[steps + 1 :])
        )
        return [
            {
                "model": b,
                "reference": a,
                "stir": found.m2m1,
                "similarity": found.rsm,
                "mean_relative_error": first,
            },
            {
                "model": a,
                "reference": b,
                "stir": found.m1m2,
                "similarity": found.rsm,
                "mean_relative_error": second,
            },
        ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--num-images", type=int, default=64)
    args = parser.parse_args()
    indices, images, starts = load(args.num_images)
    found: dict[str, Any] = {
        "package": PACKAGE,
        "sha256": SHA256,
        "torch": torch.__version__,
        "seed": 0,
        "steps": args.steps,
        "indices": indices,
        "errors": {},
        "scores": [],
    }
    with original() as stir:
        runner = Runner(stir)
        for name in CURVES:
            found["errors"][name] = runner.curve(name, images[:CURVE_IMAGES], starts[:CURVE_IMAGES])
        for a, b in PAIRS:
            found["scores"] += runner.pair(a, b, images, starts, args.steps)
            print(*found["scores"][-2:], sep="\n", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
