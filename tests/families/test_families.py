"""Every image family: what is read by default, as `transformers` itself gives it; that it can be
inverted; that it comes back untouched.

A cross-section in `make test`, all of them in `make verify`, which keeps the figures and writes
docs/families.md from them. STIR_HF_PHOTOS names a folder of photographs for that, a dataset with
the split `test`; without it the images are noise with the spectrum of photographs.
"""

import json
import os
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
import transformers as tf
from PIL import Image
from safetensors.torch import save_file

import stir_hf
from stir_hf.data.sets.spread import spread_of
from stir_hf.runtime import environment
from tests.families import table
from tests.families.checkpoints import build, pixel_values, processor_of, read
from tests.families.zoo import MEMBERS, REFUSED
from tests.test_cli import run

PHOTOS = os.environ.get("STIR_HF_PHOTOS")
COUNT, INVERTED = 20, 8
CROSS_SECTION = (
    "vit",
    "swin",
    "clip",
)


def images() -> list[Image.Image]:
    """Of different shapes."""
    if PHOTOS:
        rows = datasets.load_dataset(PHOTOS, split="test").select(range(COUNT))
        return [row["image"].convert("RGB") for row in rows]
    rng = np.random.default_rng(0)
    return [_noise(rng, 80 + 7 * i, 150 - 3 * i) for i in range(COUNT)]


def _noise(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Noise whose amplitude falls with the frequency."""
    across, down = np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height))
    frequency = np.hypot(across, down)
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(rng.standard_normal((3, height, width))) / frequency
    values = np.fft.ifft2(spectrum).real
    values = (values - values.mean()) / values.std()
    return Image.fromarray((values * 50 + 128).clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def processed(processor: Any, image: Image.Image, size: tuple[int, int], own: int) -> torch.Tensor:
    """(1, 3, h, w): what the processor makes of an image; of its middle square, where the size
    follows the image's shape or it fills other shapes up, at the network's own size where the size
    follows the image's.
    """
    side, kind = min(image.size), type(processor).__name__
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    if kind.startswith(("Swin2SR", "ZoeDepth")):
        return pixel_values(processor, square.resize((own, own), Image.Resampling.BILINEAR))
    found = pixel_values(processor, image)
    if tuple(found.shape[2:]) == size and not kind.startswith("Sam"):
        return found
    return pixel_values(processor, square)


def values_of(encoder: stir_hf.Encoder, image: Image.Image) -> torch.Tensor:
    """(3, h, w): an image on the canvas; before it is rounded where a note tells of that."""
    if encoder.preprocessing.rounds:
        assert any("values that 8 bits do not hold" in note for note in encoder.notes)
        return encoder.preprocessing.values(image).float()
    return torch.from_numpy(encoder.canvas(image)).float() / 255


def state_of(module: torch.nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in module.state_dict().items()}


def hooks_of(module: torch.nn.Module) -> list[int]:
    return [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules()]


def others_of(layers: tuple[Any, ...]) -> str:
    """The layers beside the one that is read by default, in short."""
    shapes = {layer.name: "x".join(map(str, layer.shape)) for layer in layers}
    states = [name for name in shapes if name.startswith("hidden_states")]
    named = [f"{len(shapes) - len(states) - ('logits' in shapes)} modules"]
    if states:
        named.insert(
            0, f"hidden_states[0…{len(states) - 1}] {shapes[states[0]]} to {shapes[states[-1]]}"
        )
    if "logits" in shapes:
        named.insert(0, f"logits {shapes['logits']}")
    return ", ".join(named)


def check(name: str, folder: Path) -> dict[str, Any]:
    """All that is owed of one family; the figures."""
    member, model = MEMBERS[name], build(name, folder)
    encoder = stir_hf.load_encoder(str(folder), device="cpu")
    given = images()
    if encoder.extent is None:  # they must be of one size
        given = [image.resize((member.side + 9, member.side + 5)) for image in given]
    canvases = torch.stack([values_of(encoder, image) for image in given])
    found, size = encoder(canvases), (canvases.shape[2], canvases.shape[3])
    processor = tf.AutoImageProcessor.from_pretrained(folder)
    inputs = torch.cat([processed(processor, image, size, member.side) for image in given])
    with torch.no_grad():
        expected = read(model, member, inputs)
    assert found.shape == expected.shape
    own = float(((found - expected).norm(dim=1) / expected.norm(dim=1)).max())
    assert own < 1e-4
    noise = encoder(torch.rand_like(canvases))  # must be far off, or little is inverted
    assert float(((noise - found).norm(dim=1) / found.norm(dim=1)).median()) > 0.1
    before, hooks = state_of(encoder.module), hooks_of(encoder.module)
    made = stir_hf.invert(
        encoder, given[:INVERTED], steps=300, tolerance=0.02, progress=False, batch_size=8
    )
    assert state_of(encoder.module) == before
    assert hooks_of(encoder.module) == hooks
    assert len(made) == INVERTED
    error = made.relative_error
    assert error.max() < 0.05
    assert encoder.penultimate is not None
    spread = spread_of([found.double().numpy()])
    assert spread is not None
    return {
        "class": member.architecture,
        "layer": encoder.penultimate.name.removeprefix("penultimate ").strip("()")
        + (f", {encoder.penultimate.pooling}" if encoder.penultimate.pooling != "flatten" else ""),
        "width": found.shape[1],
        "others": others_of(encoder.layers),
        "size": "x".join(map(str, encoder.extent or ("the images'",))),
        "processor": type(processor).__name__,
        "own": own,
        "mean_over_spread": spread.mean / spread.spread,
        "error": {"median": float(np.median(error)), "max": float(error.max())},
        "notes": list(encoder.notes),
    }


@pytest.mark.parametrize("name", CROSS_SECTION)
def test_some_families(name: str, tmp_path: Path) -> None:
    check(name, tmp_path)


def line_of(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command line says of a family that is refused."""
    member, _ = REFUSED[name]
    if name == "dinat":  # which is not even made
        tf.DinatConfig(architectures=[member.architecture]).save_pretrained(folder / name)
        save_file({"x": torch.zeros(1)}, folder / name / "model.safetensors")
    else:
        member.make().save_pretrained(folder / name)
    if name != "imagegpt":  # whose processor needs colour clusters
        processor_of(member.processor or name, member.side).save_pretrained(folder / name)
    capsys.readouterr()  # the bar of what was saved
    code, out, err = run(["layers", str(folder / name)], capsys)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    return line


@pytest.mark.parametrize("name", REFUSED)
def test_some_are_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert REFUSED[name][1] in line_of(name, tmp_path, capsys)


@pytest.mark.verify
def test_every_family(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = {}
    found: dict[str, Any] = {"families": {}}
    for i, name in enumerate(MEMBERS):
        try:
            found["families"][name] = check(name, tmp_path / str(i))
        except (AssertionError, stir_hf.RequestError, stir_hf.RunError) as error:
            failed[name] = str(error)
    lines = {name: line_of(name, tmp_path, capsys) for name in REFUSED}
    shown = {name: line.replace(f"{tmp_path}/", "") for name, line in lines.items()}
    found["refused"] = {name: line.replace("\n", " ") for name, line in shown.items()}
    found["images"] = f"{COUNT} photographs" if PHOTOS else f"{COUNT} images of noise"
    found["environment"] = environment(torch.device("cpu"))
    assert failed == {}
    assert len({member.architecture for member in MEMBERS.values()}) >= 40
    table.RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    table.write()


def test_the_page_is_what_was_found() -> None:
    assert table.PAGE.read_text("utf-8") == table.made()
