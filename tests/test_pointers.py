"""Texts in the place of files that git-lfs or git-annex would fetch: told where they are read, and
passed over where they are not.
"""

import json
import shutil
from pathlib import Path

import datasets
import pytest
import torch
from safetensors.torch import load_file, save_file

import stir_hf
from stir_hf import RequestError, load_encoder
from stir_hf.data.sources.samples import open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.pointers import pointer_in
from tests.conftest import TinyModels
from tests.tiny import QUICK, Net, dataset_of, noise_images, picture_folder, pictures

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 343942\n"
ANNEX = b"/annex/objects/SHA256E-s343942--" + b"0" * 64 + b".png\n"


def test_what_a_pointer_is() -> None:
    assert "git lfs pull" in str(pointer_in(LFS))
    assert "git annex get" in str(pointer_in(ANNEX))
    assert pointer_in(LFS + b" " * 1024) is None  # longer than any
    assert pointer_in(b"version 2") is None


@pytest.fixture
def vit(tiny_models: TinyModels, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_models.vit, tmp_path / "vit"))


@pytest.mark.parametrize(
    "name", ["ema.safetensors", "tokenizer.json", "adapter_model.safetensors", "pytorch_model.bin"]
)
def test_beside_good_weights_they_are_passed_over(
    name: str, vit: Path, tiny_models: TinyModels
) -> None:
    images = torch.rand(2, 3, 32, 32)
    (vit / name).write_bytes(LFS)
    assert torch.equal(load_encoder(str(vit))(images), load_encoder(tiny_models.vit)(images))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocessor_config.json"])
def test_in_the_place_of_a_file_of_a_checkpoint(name: str, vit: Path) -> None:
    (vit / name).write_bytes(LFS)
    with pytest.raises(RequestError, match=rf"{name} is a git-lfs pointer, .*`git lfs pull`"):
        load_encoder(str(vit))


def test_in_the_place_of_one_shard(vit: Path) -> None:
    weights = load_file(vit / "model.safetensors")
    places = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(weights)}
    for shard in set(places.values()):
        part = {name: weights[name] for name in weights if places[name] == shard}
        save_file(part, vit / shard, {"format": "pt"})
    index = {"metadata": {}, "weight_map": places}
    (vit / "model.safetensors.index.json").write_text(json.dumps(index))
    (vit / "model.safetensors").unlink()
    load_encoder(str(vit))
    (vit / "model-00002-of-00002.safetensors").write_bytes(LFS)
    with pytest.raises(RequestError, match=r"00002-of-00002.safetensors is a git-lfs pointer"):
        load_encoder(str(vit))


@pytest.mark.parametrize(
    "name", ["t.parquet", "t.arrow", "t.zip", "t.tar", "t.csv", "t.jsonl", "deep/test.parquet"]
)
@pytest.mark.parametrize("streaming", [False, True])
def test_in_the_place_of_a_table_or_an_archive(name: str, streaming: bool, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(LFS)
    with pytest.raises(RequestError, match=rf"{name} is a git-lfs pointer"):
        open_samples(str(tmp_path), DataSpec(str(tmp_path), streaming=streaming))


def test_one_shard_of_a_split(tmp_path: Path) -> None:
    for i in range(2):
        pictures(3).to_parquet(tmp_path / f"test-0000{i}-of-00002.parquet")
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(LFS)
    assert len(open_samples(str(tmp_path), DataSpec(str(tmp_path)))) == 6  # train is not read
    (tmp_path / "test-00001-of-00002.parquet").write_bytes(LFS)
    with pytest.raises(RequestError, match=r"test-00001-of-00002.parquet is a git-lfs pointer"):
        open_samples(str(tmp_path), DataSpec(str(tmp_path)))


def test_in_the_place_of_metadata(tmp_path: Path) -> None:
    picture_folder(tmp_path / "data", 3)
    (tmp_path / "data" / "metadata.csv").write_bytes(LFS)
    with pytest.raises(RequestError, match=r"metadata.csv is a git-lfs pointer"):
        open_samples(str(tmp_path / "data"), DataSpec("it"))


def test_in_a_saved_dataset(tmp_path: Path) -> None:
    pictures(3).save_to_disk(str(tmp_path / "data"))
    (file,) = (tmp_path / "data").glob("*.arrow")
    file.write_bytes(LFS)
    with pytest.raises(RequestError, match="is a git-lfs pointer"):
        open_samples(str(tmp_path / "data"), DataSpec("it"))


@pytest.mark.usefixtures("unclosed_files")
@pytest.mark.parametrize("text", [LFS, ANNEX], ids=["lfs", "annex"])
def test_in_the_place_of_an_image(text: bytes, tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "data", 5)
    (folder / "03.png").write_bytes(text)
    with pytest.raises(RequestError, match=r"image 3 of .* cannot be read: it is a git-.* pointer"):
        open_samples(str(folder), DataSpec(str(folder)))


def test_in_a_table_of_images() -> None:
    cells = dataset_of(noise_images(5)).data.column("image").to_pylist()
    cells[2]["bytes"] = LFS
    features = datasets.Features(image=datasets.Image())
    data = datasets.Dataset.from_dict({"image": cells}, features=features)
    with pytest.raises(RequestError, match="image 2 of it cannot be read: it is a git-lfs pointer"):
        open_samples(data, DataSpec("it"))


def test_in_the_place_of_rows_of_an_inversion_set(tmp_path: Path) -> None:
    made = stir_hf.invert(Net(), pictures(5), out=tmp_path, **QUICK)
    (shard,) = made.path.glob("*.parquet")
    shard.write_bytes(LFS)
    with pytest.raises(RequestError, match=rf"{shard.name} is a git-lfs pointer"):
        stir_hf.score(Net(1), str(tmp_path), progress=False)


@pytest.mark.parametrize("name", ["banner.png", "cache-0.arrow", "README.md"])
def test_beside_a_saved_dataset_they_are_passed_over(name: str, tmp_path: Path) -> None:
    pictures(3).save_to_disk(str(tmp_path))
    (tmp_path / name).write_bytes(LFS)
    for streaming in (False, True):
        spec = DataSpec("it", streaming=streaming)
        assert len(open_samples(str(tmp_path), spec)) == 3


@pytest.mark.parametrize("name", ["dataset_dict.json", "test/state.json", "test/dataset_info.json"])
def test_in_the_place_of_what_a_saved_dataset_says_of_itself(name: str, tmp_path: Path) -> None:
    datasets.DatasetDict(test=pictures(3)).save_to_disk(str(tmp_path))
    (tmp_path / name).write_bytes(LFS)
    (tmp_path / "banner.png").write_bytes(LFS)
    with pytest.raises(RequestError, match=rf"{name} is a git-lfs pointer"):
        open_samples(str(tmp_path), DataSpec("it"))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocessor_config.json"])
def test_a_folder_in_the_place_of_a_file_of_a_checkpoint(name: str, vit: Path) -> None:
    (vit / name).unlink()
    (vit / name).mkdir()
    with pytest.raises(RequestError, match=rf"{name} is a folder; expected a file$"):
        load_encoder(str(vit))


def test_a_folder_in_the_place_of_rows_of_an_inversion_set(tmp_path: Path) -> None:
    made = stir_hf.invert(Net(), pictures(5), out=tmp_path, **QUICK)
    (shard,) = made.path.glob("*.parquet")
    shard.unlink()
    shard.mkdir()
    with pytest.raises(RequestError, match=rf"{shard.name} is a folder; expected a file$"):
        stir_hf.score(Net(1), str(tmp_path), progress=False)


@pytest.mark.parametrize("value", [["a.safetensors"], {"a": 1}, 3, None])
def test_a_list_of_shards_that_names_no_files(value: object, vit: Path) -> None:
    (vit / "model.safetensors").unlink()
    index = {"weight_map": {"one": value, "other": "a.safetensors"}}
    (vit / "model.safetensors.index.json").write_text(json.dumps(index))
    told = r"model.safetensors.index.json names .*; expected safetensors beside it$"
    with pytest.raises(RequestError, match=told):
        load_encoder(str(vit))
