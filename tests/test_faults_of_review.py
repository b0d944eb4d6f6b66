"""Faults that a review of the redesign found, each with its right value."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import stir_hf
from stir_hf import Inversions, RequestError, RunError
from stir_hf.data.identity import order_of
from stir_hf.data.images import cells
from stir_hf.data.sets.folder import OutputConfig
from stir_hf.engine import Box, InversionConfig, Paper
from stir_hf.inputs.orientation import upright
from stir_hf.registry import Registry
from stir_hf.similarity import MEASURES
from tests.tiny import Net, compared, dataset_of, inverted, judged, noise_images, pictures, rows


class Sharper(Net):
    """The weights of `Net`, another forward pass."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.sin(3 * super().forward(images))


def test_equal_weights_and_another_forward_pass_share_no_set() -> None:
    with pytest.raises(RequestError, match="have the same weights but different outputs"):
        compared(Net(), Sharper(), pictures(6))


def test_a_set_of_the_same_weights_is_not_called_the_same_network(tmp_path: Path) -> None:
    inverted(Net(), pictures(6), tmp_path)
    same, other = (judged(net, tmp_path) for net in (Net(), Sharper()))
    assert any("same network" in note for note in same.notes)
    assert not any("same network" in note for note in other.notes)


def test_fewer_images_with_more_draws_leave_the_larger_prefix(tmp_path: Path) -> None:
    inverted(Net(), pictures(10), tmp_path, num_samples=8)
    inverted(Net(), pictures(10), tmp_path, num_samples=5, draws=2)
    assert judged(Net(1), tmp_path).num_samples == 8


def test_labels_that_appear_later_do_not_break_a_set(tmp_path: Path) -> None:
    plain = pictures(8)
    inverted(Net(), plain, tmp_path, num_samples=5)
    labelled = plain.add_column("label", [0, 1] * 4).cast_column(
        "label", datasets.ClassLabel(names=["a", "b"])
    )
    assert len(inverted(Net(), labelled, tmp_path, num_samples=8)) == 8
    assert len(Inversions.load(tmp_path)) == 8


def test_an_image_of_another_size_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stir_hf.data.sources.samples.HEADERS_LOOKED_AT", 4)
    images = noise_images(8)
    found = inverted(Net(), dataset_of(images), tmp_path / "all")
    assert len(found) == 8
    late = int(order_of(8, 8)[-1])  # beyond the headers that are looked at
    images[late] = Image.new("RGB", (5, 5))
    for _ in range(2):
        again = inverted(Net(), dataset_of(images), tmp_path / "odd")
        assert again.left_out == {late: "unreadable"}
        assert len(again) == 7


def test_a_file_that_can_be_read_again_is_inverted_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, decode = pictures(8), upright
    calls = 0

    def fails(image: Image.Image) -> Image.Image:
        nonlocal calls
        calls += 1
        if calls in (6, 7):  # its bytes, and its file for the message
            raise OSError("image file is truncated")
        return decode(image)

    with monkeypatch.context() as patch:
        patch.setattr(cells, "upright", fails)
        first = inverted(Net(), data, tmp_path)
    assert set(first.left_out.values()) == {"unreadable"}
    assert len(inverted(Net(), data, tmp_path)) == 8
    assert len(rows(tmp_path)) == 8
    assert {row["status"] for row in rows(tmp_path)} <= {"converged", "max_steps"}


def test_a_fault_of_the_machine_is_no_fault_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(cells, "upright", full)
    with pytest.raises(RunError, match=r"cannot be read now: .*Too many open files"):
        inverted(Net(), pictures(6), tmp_path)


def test_a_dictionary_of_streams_is_a_stream(tmp_path: Path) -> None:
    stream = datasets.IterableDatasetDict({"test": pictures(8).to_iterable_dataset()})
    few = inverted(Net(), stream, tmp_path, num_samples=5)
    assert few.manifest.identity["data"]["order"] == "stream"
    assert few.index.tolist() == [0, 1, 2, 3, 4]
    assert len(inverted(Net(), stream, tmp_path, num_samples=7)) == 7


def test_a_part_keeps_the_temporary_folder() -> None:
    part = stir_hf.invert(Net(), pictures(8), steps=2, progress=False).prefix(5)
    assert part.image[:].shape[0] == 5
    assert part.restrict_to({int(part.index[0])}).inverted[0].ndim == 3


def test_a_start_of_another_version_leaves_the_floor_undefined(tmp_path: Path) -> None:
    made = inverted(Net(), pictures(6), tmp_path)
    engine = made.manifest.identity["engine"]
    later = {**engine, "start": {**engine["start"], "version": 2}}
    replace(made.manifest, identity={**made.manifest.identity, "engine": later}).write(made.path)
    score = judged(Net(1), tmp_path)
    assert score.floor is None
    assert score.stir is not None
    assert any("is of version 2" in note for note in score.notes)


def test_equal_configurations_are_spelt_alike() -> None:
    methods: list[Any] = [Paper(step_size=1), "paper:step_size=1", Paper(float(np.float32(1)))]
    spellings = [InversionConfig(method=method, constraint=Box()).spelling() for method in methods]
    assert spellings[0] == spellings[1] == spellings[2]
    assert all(type(s["method"]["step_size"]) is float for s in spellings)


def test_a_slice_of_everything_is_the_split(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    pictures(6).to_parquet(str(folder / "test.parquet"))
    whole = inverted(Net(), str(folder), tmp_path / "run", split="test")
    again = inverted(Net(), str(folder), tmp_path / "run", split="test[:]")
    assert again.manifest.hash == whole.manifest.hash
    for wrong in ("test[a:b]", "test[3:1]", "test[9:12]"):
        with pytest.raises(RequestError, match=r"test\["):
            inverted(Net(), str(folder), tmp_path / "run", split=wrong)


def test_a_name_is_not_taken_over_by_a_class_of_the_same_name() -> None:
    registry: Registry[Any] = Registry("toy")
    first = registry.add("car")(type("Car", (), {"__module__": "one"}))
    registry.add("car")(first)
    with pytest.raises(ValueError, match="is taken by"):
        registry.add("car")(type("Car", (), {"__module__": "two"}))


def test_a_new_name_is_what_results_say(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"out": tmp_path, "num_samples": 5, "steps": 2, "progress": False}
    data = pictures(6)
    stir_hf.compare(Net(), Net(1), data, **asked)
    result = stir_hf.compare(stir_hf.load_encoder(Net(), name="mine"), Net(1), data, **asked)
    assert {s.model for s in result.scores} == {s.reference for s in result.scores}
    assert "mine" in {s.model for s in result.scores}


def test_saving_a_set_onto_itself_changes_nothing(tmp_path: Path) -> None:
    made = inverted(Net(), pictures(6), tmp_path)
    before = {p: p.read_bytes() for p in made.path.iterdir()}
    assert made.save(made.path) == made.path
    assert {p: p.read_bytes() for p in made.path.iterdir()} == before


def test_lists_of_images_and_nothing_else(tmp_path: Path) -> None:
    images = noise_images(6)
    found = inverted(Net(), images, tmp_path)
    again = inverted(Net(), [np.asarray(image) for image in images], tmp_path)
    assert found.manifest.hash == again.manifest.hash
    for wrong, said in (
        (3, "not int"),
        ([], "no images"),
        ([images[0], "a.png"], "item 1 is a str"),
    ):
        with pytest.raises(RequestError, match=said):
            inverted(Net(), wrong, tmp_path)


def test_a_second_column_of_images_is_left_alone(tmp_path: Path) -> None:
    both = pictures(6).add_column("mask", [{"bytes": b"no image", "path": None}] * 6)
    both = both.cast_column("mask", datasets.Image())
    assert len(inverted(Net(), both, tmp_path, image_column="image")) == 6


def test_names_of_folders_that_are_not_there_are_refused(tmp_path: Path) -> None:
    config = OutputConfig(name=("runs/lr=0.1=mine", f"{tmp_path}/=data"))
    assert config.labels("runs/lr=0.1", str(tmp_path)) == {
        "runs/lr=0.1": "mine",
        str(tmp_path): "data",
    }
    with pytest.raises(RequestError, match=r"no model or dataset is runs/lr=0\.1"):
        config.labels("other", str(tmp_path))


def test_out_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = stir_hf.invert(Net(), pictures(5), out="~/run", steps=2, progress=False)
    assert made.path.is_relative_to(tmp_path / "run")
    assert len(Inversions.load("~/run")) == 5
    assert len(stir_hf.score(Net(1), "~/run", progress=False).scores) == 1


class Fragile(nn.Module):
    """Not finite for a white image."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()

    def forward(self, images: Tensor) -> Tensor:
        white = (images.flatten(1).min(1).values > 0.99)[:, None]
        return torch.where(white, torch.nan, self.net(images))


def test_an_image_that_another_reference_lost_is_named() -> None:
    images = noise_images(6)
    images[2] = Image.new("RGB", (8, 8), "white")
    for score in compared(Fragile(), Net(1), dataset_of(images)).scores:
        assert (score.num_samples, score.left_out) == (5, 1)
        assert any("left out" in note and note.endswith(": 2") for note in score.notes)


def test_a_measure_spelt_otherwise_is_the_same_run(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"out": tmp_path, "num_samples": 5, "steps": 2, "progress": False}
    measure = MEASURES.parse("linear_cka")
    for given in ("linear_cka", measure):
        stir_hf.compare(Net(), Net(1), pictures(6), measure=given, **asked)
