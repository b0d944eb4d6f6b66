"""Starts from the data, given starts and mixtures, and the floors that they give."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import stir_hf
from stir_hf import Inversions, RequestError
from stir_hf.engine import STARTS
from stir_hf.similarity import linear_cka
from tests.test_cli import run
from tests.tiny import Net, dataset_of, inverted, judged, noise_images, pictures, record, rows


def start_indices(out: Path) -> dict[tuple[int, int], int]:
    found = (row for row in rows(out) if "draw" in row)
    return {(row["index"], row["draw"]): row["start_index"] for row in found}


def test_other_starts_do_not_depend_on_batches_parts_or_growth(tmp_path: Path) -> None:
    data, how = pictures(40), {"start": "other", "draws": 2, "num_samples": 24}
    inverted(Net(), data, tmp_path / "a", **how, batch_size=3)
    found = start_indices(tmp_path / "a")
    assert len(found) == 48
    assert all(start != index for (index, _), start in found.items())
    assert any(found[i, 0] != found[i, 1] for i, _ in found)
    inverted(Net(), data, tmp_path / "b", **how, batch_size=64)
    assert start_indices(tmp_path / "b") == found
    for part in ("1/3", "2/3", "3/3"):
        inverted(Net(), data, tmp_path / "parts", **how, part=part)
    assert start_indices(tmp_path / "parts") == found
    few, more = {**how, "num_samples": 9}, {**how, "num_samples": 40}
    inverted(Net(), data, tmp_path / "c", **few)
    first = start_indices(tmp_path / "c")
    assert first.items() <= found.items()
    inverted(Net(), data, tmp_path / "c", **more)
    assert found.items() <= start_indices(tmp_path / "c").items()


def test_no_image_starts_from_a_copy_of_itself(tmp_path: Path) -> None:
    one, two, three = noise_images(3)
    inverted(Net(), dataset_of([one, one, two, one, one, three, one]), tmp_path, start="other")
    same = {0: 0, 1: 0, 3: 0, 4: 0, 6: 0, 2: 2, 5: 5}
    assert all(same[start] != same[index] for (index, _), start in start_indices(tmp_path).items())


def test_images_that_are_all_copies_have_no_other_to_start_from() -> None:
    (one,) = noise_images(1)
    data = dataset_of([one] * 5)
    with pytest.raises(stir_hf.RunError, match="no other image than copies of image"):
        inverted(Net(), data, start="other")


@pytest.mark.parametrize("method", ["adam-polyak", "paper", "adam"])
def test_the_floor_is_of_the_other_images(method: str, tmp_path: Path) -> None:
    found = inverted(Net(), pictures(30), tmp_path, start="other", method=method)
    score = judged(Net(1), tmp_path)
    place = {int(index): i for i, index in enumerate(found.index)}
    starts = [place[start_indices(tmp_path)[int(index), 0]] for index in found.index]
    originals = torch.from_numpy(np.asarray(found.image))
    with torch.no_grad():
        seen = Net(1)(originals)
    assert score.floor == pytest.approx(linear_cka(seen, seen[starts]), abs=1e-6)


def test_the_floor_of_fewer_images_needs_no_others(tmp_path: Path) -> None:
    inverted(Net(), pictures(30), tmp_path, start="other")
    whole = judged(Net(1), tmp_path, num_samples=12)
    inverted(Net(), pictures(30), tmp_path / "few", start="other", num_samples=12)
    assert whole.floor == judged(Net(1), tmp_path / "few").floor


def test_a_set_without_its_start_is_told(tmp_path: Path) -> None:
    found = inverted(Net(), pictures(8), tmp_path, start="other")
    with pytest.raises(RequestError, match="does not hold an original from which"):
        found.originals_at(np.array([3, 99]))
    np.testing.assert_array_equal(found.originals_at(np.array([3, 0, 3]))[1], found.image[0])


def test_the_floor_of_a_mixture_is_of_its_starts(tmp_path: Path) -> None:
    found = inverted(Net(), pictures(30), tmp_path, start="mixture")
    score = judged(Net(1), found)
    values = [
        STARTS.parse("mixture").value((3, 8, 8), 0, int(index), 0).clip(0, 1)
        for index in found.index
    ]
    with torch.no_grad():
        seen = Net(1)(torch.from_numpy(np.asarray(found.image)))
        of_starts = Net(1)(torch.from_numpy(np.stack(values)))
    assert score.floor == pytest.approx(linear_cka(seen, of_starts), abs=1e-6)


def test_restarts_are_of_other_starts_and_the_floor_is_of_those_that_won(tmp_path: Path) -> None:
    data = pictures(30)
    once = inverted(Net(), data, restarts=1, steps=4)
    best = inverted(Net(), data, tmp_path, restarts=3, steps=4)
    assert (best.relative_error <= once.relative_error + 1e-7).all()
    won = best.restarts()
    assert set(won) == {0, 1, 2}
    assert (best.tried == 3).all()
    score = judged(Net(1), tmp_path)
    noise = STARTS.parse("noise")
    values = [
        noise.value((3, 8, 8), 0, int(index), 0, int(again)).clip(0, 1)
        for index, again in zip(best.index, won, strict=True)
    ]
    with torch.no_grad():
        seen = Net(1)(torch.from_numpy(np.asarray(best.image)))
        of_starts = Net(1)(torch.from_numpy(np.stack(values)))
    assert score.floor == pytest.approx(linear_cka(seen, of_starts), abs=1e-6)
    assert any("30 of 30 inversions started again" in note for note in score.notes)


class Dead(nn.Module):
    """Units that are off where an image is dark, and then have no gradient."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = images.flatten(1)
        gate = torch.relu(rows.mean(1, keepdim=True) - 0.5)
        return torch.cat((gate * rows[:, :9], 0 * gate + 0.01), 1)


def test_images_that_stall_start_again_once_and_are_counted(tmp_path: Path) -> None:
    data = [Image.new("RGB", (8, 8), (v, v, v)) for v in range(200, 220)]
    how: dict[str, Any] = {"start": "uniform", "steps": 150}
    before = inverted(Dead(), data, tmp_path / "a", restarts=1, **how)
    after = inverted(Dead(), data, tmp_path / "b", **how)
    stuck = before.relative_error > 0.5
    assert 0 < stuck.sum() < 20
    assert ((after.tried == 2) == stuck).all()
    assert (after.relative_error <= before.relative_error).all()
    assert (after.restarts()[stuck] == 1).any()
    note = f"{stuck.sum()} of 20 inversions stalled and started again"
    assert any(note in line for line in judged(Net(), tmp_path / "b").notes)
    assert record(tmp_path / "b")["identity"]["engine"]["restarts"] == "stalled"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images to invert, and as many to start from."""
    for name, seed in (("data", 0), ("starts", 5)):
        (tmp_path / name).mkdir()
        for i, image in enumerate(noise_images(12, seed=seed)):
            image.save(tmp_path / name / f"{i:02d}.png")
    return tmp_path


def test_starts_are_given_as_a_folder(folder: Path) -> None:
    starts = [np.asarray(image).transpose(2, 0, 1) for image in noise_images(12, seed=5)]
    values = torch.from_numpy(np.stack(starts).astype(np.float32) / 255)
    by_name = inverted(Net(), str(folder / "data"), folder / "a", start=f"given:{folder}/starts")
    by_value = inverted(Net(), str(folder / "data"), start="given", starts=values)
    assert by_name.manifest.hash == by_value.manifest.hash
    np.testing.assert_array_equal(by_name.inverted, by_value.inverted)
    assert str(folder) not in json.dumps(by_name.manifest.to_dict())
    fewer = inverted(
        Net(), str(folder / "data"), start=f"given:{folder}/starts", num_samples=5, steps=1
    )
    with torch.no_grad():
        np.testing.assert_allclose(
            Inversions.values(fewer, "start"), values[fewer.index], atol=1e-7
        )


def test_a_folder_of_starts_on_the_command_line(
    folder: Path, tiny_models: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["compare", str(tiny_models.vit), str(tiny_models.resnet), "--dataset"]
    asked += [str(folder / "data"), "--steps", "2", "--json", "--start"]
    code, printed, _ = run([*asked, f"given:{folder}/starts"], capsys)
    assert code == 0
    assert json.loads(printed)["config"]["start"] == "given"
    assert str(folder) not in printed
    (folder / "starts" / "00.png").unlink()
    code, _, err = run([*asked, f"given:{folder}/starts"], capsys)
    assert code == 2
    line = err.splitlines()[-1]
    assert "has 11 images; expected 12, one for each image of" in line
