"""What users bring: photographs, modes, annotations, flags, contexts; the same by every way."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import evaluate
import numpy as np
import pytest
import torch
from PIL import Image

from stir_hf import RequestError, compare, load_encoder, matrix, score
from stir_hf.data.samples import open_samples
from stir_hf.data.spec import DataSpec, described
from stir_hf.inputs.images import as_images
from stir_hf.metric import Stir
from stir_hf.report import table
from tests.conftest import TinyModels
from tests.tiny import QUICK, Net, noise_images, pictures

COLUMN = datasets.Features(image=datasets.Image())
TURNED: dict[int, Callable[[Any], Any]] = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: x[::-1].transpose(1, 0, 2),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: x.transpose(1, 0, 2)[::-1],
}
"""What each orientation of EXIF shows of the stored pixels (h, w, 3)."""


def seen(data: Any, **options: Any) -> list[np.ndarray]:
    """The images as they reach a processor, in the order of their index."""
    samples = open_samples(data, DataSpec(**{**described(data), **options}))
    found = {s.index: np.asarray(s.image) for s in map(samples.read, range(len(samples)))}
    return [found[i] for i in sorted(found)]


def streamed(images: list[Any], features: datasets.Features | None = COLUMN) -> Any:
    return datasets.IterableDataset.from_generator(
        lambda: ({"image": image} for image in images), features=features
    )


WAYS: dict[str, Callable[[list[Image.Image], Path], Any]] = {
    "list": lambda images, _: images,
    "column": lambda images, _: datasets.Dataset.from_dict({"image": images}, features=COLUMN),
    "stream": lambda images, _: streamed(images),
    "folder": lambda _, folder: str(folder),
}


@pytest.mark.usefixtures("unclosed_files")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_photographs_are_turned_however_they_come(way: str, kind: str, tmp_path: Path) -> None:
    """Orientations 1 to 8 of JPEG and PNG files."""
    stored = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    expected = []
    for orientation, turn in TURNED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.{kind}"
        Image.fromarray(stored).save(path, exif=exif, quality=95)
        expected.append(turn(np.asarray(Image.open(path))))
    opened: list[Any] = [Image.open(tmp_path / f"{i}.{kind}") for i in TURNED]
    split = {"num_samples": 8} if way == "stream" else {}
    found = seen(WAYS[way](opened, tmp_path), **split)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_metric_turns_photographs(tiny_models: TinyModels, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for i, image in enumerate(noise_images(8, 40)):
        image.crop((0, 0, 40, 30)).save(tmp_path / f"{i}.png", exif=exif)
    models = {"model": tiny_models.vit, "reference": tiny_models.resnet}
    opened = [Image.open(tmp_path / f"{i}.png") for i in range(8)]
    expected = Stir().compute(data=str(tmp_path), **models, **QUICK)
    assert Stir().compute(data=opened, **models, **QUICK) == expected
    added = Stir()
    added.add_batch(data=opened)
    assert added.compute(**models, **QUICK) == expected


def odd_images() -> dict[str, Image.Image]:
    """One image of each mode that a file can have."""
    colour = noise_images(1)[0]
    clear = colour.copy()
    clear.putalpha(Image.linear_gradient("L").resize(colour.size))
    palette = colour.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.info["transparency"] = 3
    deep = np.random.default_rng(0).integers(0, 65536, (8, 8), dtype=np.uint16)
    modes = {mode: colour.convert(mode) for mode in ("1", "L", "CMYK", "HSV", "YCbCr", "LAB")}
    extra = {"RGBA": clear, "LA": clear.convert("LA"), "P": palette}
    return {**modes, **extra, "I;16": Image.fromarray(deep)}


@pytest.mark.parametrize("mode", [*odd_images()])
def test_a_mode_is_kept_in_a_list(mode: str) -> None:
    from stir_hf.inputs.images import as_mode

    image = odd_images()[mode]
    samples = open_samples([image], DataSpec("images"))
    found = as_mode(samples.read(0).image, "RGB")
    assert np.array_equal(np.asarray(found), np.asarray(as_mode(image, "RGB")))


@pytest.mark.parametrize("way", ["column", "stream"])
def test_a_declared_mode_is_honoured(way: str) -> None:
    images = noise_images(4)
    grey = datasets.Features(image=datasets.Image(mode="L"))
    data: Any = datasets.Dataset.from_dict({"image": images}, features=grey)
    options = {}
    if way == "stream":
        data, options = streamed(images, grey), {"num_samples": 4}
    expected = [np.asarray(image.convert("L")) for image in images]
    assert all(np.array_equal(a, b) for a, b in zip(seen(data, **options), expected, strict=True))


def test_a_declared_mode_loses_neither_depth_nor_transparency() -> None:
    def first(image: Image.Image, mode: str) -> np.ndarray:
        features = datasets.Features(image=datasets.Image(mode=mode))
        return seen(datasets.Dataset.from_dict({"image": [image]}, features=features))[0]

    deep = Image.fromarray(np.full((4, 4), 0x8080, np.uint16))
    assert (first(deep, "L") == 0x80).all()  # `convert` would give 255
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    assert (first(clear, "RGB") == 255).all()  # `convert` would give red


@pytest.mark.usefixtures("unclosed_files")
def test_a_picture_that_moves_shows_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("L", (8, 8), value) for value in (40, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    samples = open_samples(str(tmp_path), DataSpec("animated"))
    assert samples.read(0).image.convert("L").getextrema() == (40, 40)


def test_a_picture_one_pixel_high(tiny_models: TinyModels) -> None:
    encoder = load_encoder(tiny_models.resnet)
    assert encoder.canvas(Image.new("RGB", (40, 1), "red")).shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((4, 3, 8, 8), np.uint8), r"item 0 is a uint8 array of shape \(3, 8, 8\)"),
        (np.zeros((4, 8, 8, 3)), r"item 0 is a float64 array of shape \(8, 8, 3\)"),
        ([Image.new("RGB", (0, 4))], "item 0 is none: it is empty"),
        (np.zeros((8, 8, 3), np.uint8), r"shape \(8, 8, 3\) is one image"),
        ([np.zeros((0, 8, 3), np.uint8)], r"shape \(0, 8, 3\)"),
        ([[1, 2]], "item 0 is a list"),
        (["a.png"], "item 0 is a str"),
        ([torch.zeros(3, 8, 8)], "item 0 is a Tensor"),
        (torch.zeros(4, 3, 8, 8), "not Tensor"),
        ({"image": []}, "not dict"),
        ([], "holds no images"),
        (None, "not NoneType"),
        (b"x", "not bytes"),
    ],
)
def test_what_are_no_images_is_one_line(given: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said) as told:
        as_images(given)
    assert len(str(told.value)) < 300
    with pytest.raises(RequestError):
        compare(Net(), Net(1), given, **QUICK)


def test_arrays_generators_and_tuples_are_images() -> None:
    images = noise_images(3)
    arrays = np.stack([np.asarray(image) for image in images])
    for given in (arrays, tuple(images), (image for image in images)):
        assert all(
            np.array_equal(np.asarray(a), np.asarray(b))
            for a, b in zip(as_images(given), images, strict=True)
        )
    assert as_images(arrays[:, :, :, :1])[0].mode == "L"


# folders


def saved(folder: Path, names: list[str]) -> Path:
    for name, image in zip(names, noise_images(len(names)), strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return folder


def notes_of(folder: Path, **options: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = open_samples(str(folder), DataSpec(str(folder), **options)).notes
    return found


def test_files_that_no_split_holds_are_noted(tmp_path: Path, tiny_models: TinyModels) -> None:
    names = [f"{i}.png" if i < 4 else f"shot_test_{i}.png" for i in range(10)]
    folder = saved(tmp_path / "shots", names)
    said = "4 image files are not among the 6 of split 'test': 0.png, 1.png, 2.png, …"
    assert notes_of(folder) == (said,)
    result = compare(tiny_models.vit, tiny_models.resnet, str(folder), **QUICK)
    assert all(said in found.notes for found in result.scores)
    assert said in table(result)
    assert [line.split("|")[3].strip() for line in table(result).splitlines()[-2:]] == ["6", "6"]


@pytest.mark.usefixtures("unclosed_files")
def test_files_that_the_metadata_leaves_out_are_noted(tmp_path: Path) -> None:
    folder = saved(tmp_path, [f"{i}.png" for i in range(6)])
    lines = "".join(f"{i}.png,{i}\n" for i in range(5))
    (folder / "metadata.csv").write_text("file_name,number\n" + lines)
    assert notes_of(folder) == ("1 image file is not among the 5 of split 'train': 5.png",)


def test_words_in_names_divide_and_folders_do(tmp_path: Path) -> None:
    words = saved(tmp_path / "words", ["a_train.png", "b_test.png", "c_test.png"])
    assert notes_of(words) == ("1 image file is not among the 2 of split 'test': a_train.png",)
    assert notes_of(words, split="test") == ()
    ordinary = saved(tmp_path / "ordinary", ["train/a.png", "test/b.png", "test/c.png"])
    assert notes_of(ordinary) == ()


def test_nothing_is_noted_where_all_is_there(tmp_path: Path) -> None:
    folder = saved(tmp_path / "a (b) é", ["x/1.png", "y/2.png"])
    (folder / ".hidden").mkdir()
    saved(folder / ".hidden", ["3.png"])
    assert notes_of(folder) == ()
    assert len(seen(str(folder))) == 2


def test_a_name_that_is_a_pattern_is_told(tmp_path: Path) -> None:
    folder = saved(tmp_path / "a [b]", ["1.png"])
    with pytest.raises(RequestError, match="for a pattern; rename it"):
        notes_of(folder)


@pytest.mark.parametrize("kind", ["json", "txt", "xml", "csv"])
@pytest.mark.parametrize("beside", [True, False], ids=["beside", "folder of their own"])
def test_annotations_are_passed_over(kind: str, beside: bool, tmp_path: Path) -> None:
    folder = saved(tmp_path, [f"images/{i}.png" for i in range(4)])
    labels = folder / ("images" if beside else "labels")
    labels.mkdir(exist_ok=True)
    for i in range(4):
        for name in (f"{i}.{kind}", f"{i}.more.{kind}"):
            (labels / name).write_text('{"a": 1}' if kind == "json" else "a,b\n1,2\n")
    found, expected = seen(str(folder)), noise_images(4)
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(found, expected, strict=True))
    assert notes_of(folder) == ()


# the call


def test_a_context_changes_nothing(tiny_models: TinyModels) -> None:
    def found() -> list[Any]:
        result = compare(tiny_models.vit, tiny_models.resnet, noise_images(8, 32), **QUICK)
        return [(s.stir, s.similarity) for s in result.scores]

    expected = found()
    for context in (
        torch.no_grad(),
        torch.inference_mode(),
        torch.autocast("cpu", dtype=torch.bfloat16),
    ):
        with context:
            assert found() == expected


def test_numbers_and_flags_of_numpy(tmp_path: Path) -> None:
    result = compare(
        Net(),
        Net(1),
        pictures(8),
        steps=np.int64(2),
        batch_size=np.uint8(4),
        num_samples=np.int32(8),
        draws=np.int64(1),
        seed=np.int64(0),
        exact=np.bool_(True),
        tf32=np.bool_(False),
        dtype=torch.float32,
        device=torch.device("cpu"),
        progress=False,
        out=tmp_path,
    )
    assert result.scores[0].num_samples == 8
    json.dumps(result.to_dict())


LONG = "x" * 300


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: load_encoder(LONG), "neither a folder here nor a Hub id"),
        (lambda: compare(LONG, Net(), pictures(6)), "neither a folder here nor a Hub id"),
        (lambda: compare(Net(), Net(1), LONG), "neither a folder here nor a Hub id"),
        (lambda: compare(Net(), Net(1), ""), "name is empty"),
        (lambda: compare(Net(), Net(1), Path("no/where")), "no such dataset folder: no/where"),
        (lambda: load_encoder(Path("no/where")), "no such model folder: no/where"),
        (lambda: load_encoder("a\nb"), "'a b'|a\\\\nb"),
        (lambda: compare(Net(), Net(1), pictures(6), layer=5), "must be the name of a layer"),
        (lambda: compare(Net(), Net(1), pictures(6), dtype="fp16"), "did you mean float16"),
        (lambda: compare(Net(), Net(1), pictures(6), dtype=torch.int8), "dtype 'int8' is unknown"),
        (lambda: compare(Net(), Net(1), pictures(6), out=LONG), "cannot be a folder"),
        (lambda: compare(Net(), Net(1), pictures(6), out=5), "out must be a folder"),
        (lambda: compare(Net(), Net(1), pictures(6), name={"a": "b"}), "name must be FOLDER=NAME"),
        (lambda: score(Net(), LONG), "no such folder of inversions"),
        (lambda: score(Net(), None), "inversions are the folder"),  # type: ignore[arg-type]
        (lambda: score(Net(), []), "inversions are the folder"),
        (lambda: matrix(None, pictures(6)), "a matrix takes a list"),  # type: ignore[arg-type]
        (lambda: matrix("org/x", pictures(6)), "a matrix takes a list"),
        (lambda: load_encoder(Net(), trust_remote_code="no"), "must be True or False"),  # type: ignore[arg-type]
        (lambda: load_encoder(Net(), channels=2), "channels must be 1 or 3"),
    ],
)
def test_what_cannot_be_meant_is_one_line(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(RequestError, match=said) as told:
        call()
    assert "\n" not in str(told.value)


def test_an_empty_batch_and_what_is_no_tensor(tiny_models: TinyModels) -> None:
    encoder = load_encoder(tiny_models.vit)
    assert encoder(torch.zeros(0, 3, 32, 32)).shape == (0, 16)
    wrong: Any = np.zeros((2, 3, 32, 32))
    with pytest.raises(RequestError, match="takes a float tensor"):
        encoder(wrong)


def test_the_metric_in_a_combination(tiny_models: TinyModels) -> None:
    options = {"model": tiny_models.vit, "reference": tiny_models.resnet, **QUICK}
    alone = Stir().compute(data=noise_images(8, 32), **options)
    assert evaluate.combine([Stir()]).compute(data=noise_images(8, 32), **options) == alone
    added = evaluate.combine({"a": Stir()}, force_prefix=True)
    added.add_batch(data=noise_images(8, 32))
    assert added.compute(**options)["a_stir"] == alone["stir"]


# code of a checkpoint's own


@pytest.fixture
def with_code(tmp_path: Path, tiny_models: TinyModels) -> Path:
    """A checkpoint whose configuration and network are Python files, which leave a trace."""
    import shutil

    folder = tmp_path / "coded"
    shutil.copytree(tiny_models.vit, folder)
    config = json.loads((folder / "config.json").read_text())
    code = {"AutoConfig": "of_config.Own", "AutoModelForImageClassification": "of_model.Net"}
    config |= {"model_type": "stir-hf-own", "auto_map": code}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "of_config.py").write_text(
        f"open({str(tmp_path / 'RAN')!r}, 'w').close()\n"
        "from transformers import ViTConfig\n"
        "class Own(ViTConfig):\n    model_type = 'stir-hf-own'\n"
    )
    (folder / "of_model.py").write_text(
        "from transformers import ViTForImageClassification\n"
        "from .of_config import Own\n"
        "class Net(ViTForImageClassification):\n    config_class = Own\n"
    )
    return folder


def test_code_is_never_run_nor_asked_about(with_code: Path) -> None:
    command = [sys.executable, "-m", "stir_hf", "layers", str(with_code), "--json"]
    ended = subprocess.run(command, input="y\n" * 4, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "brings Python code of its own, which is not run" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (with_code.parent / "RAN").exists()
    with pytest.raises(RequestError, match="--trust-remote-code"):
        load_encoder(str(with_code))


def test_code_is_run_where_that_is_allowed(with_code: Path, tiny_models: TinyModels) -> None:
    data, images = noise_images(6, 32), torch.rand(4, 3, 32, 32)
    result = compare(str(with_code), tiny_models.resnet, data, trust_remote_code=True, **QUICK)
    assert result.config["trust_remote_code"] is True
    found = load_encoder(str(with_code), trust_remote_code=True)(images)
    torch.testing.assert_close(found, load_encoder(tiny_models.vit)(images))


def test_a_checkpoint_of_timm_without_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "model.safetensors")
    config = {"architecture": "resnet10t", "num_classes": 5, "pretrained_cfg": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RequestError, match="is one of timm's; install timm to load it"):
        load_encoder(str(tmp_path))


def test_columns_that_could_be_images_are_told_how() -> None:
    bare = datasets.Dataset.from_dict({"image": [b"x"] * 4})
    with pytest.raises(RequestError, match=r"no column of images; .*cast_column"):
        compare(Net(), Net(1), bare, **QUICK)
    with pytest.raises(RequestError, match=r"holds no images; .*cast_column\('image'"):
        compare(Net(), Net(1), bare, image_column="image", **QUICK)
    with pytest.raises(RequestError, match="has no splits"):
        compare(Net(), Net(1), datasets.DatasetDict(), **QUICK)


def test_the_repo_of_annotated_images_is_one_of_images(tmp_path: Path) -> None:
    """As it is asked for a repo of the Hub: empty files in place of all that it holds."""
    from stir_hf.data.layout import layout_of

    for i in range(3):
        for name in (f"{i}.png", f"{i}.json", f"{i}.txt"):
            (tmp_path / name).touch()
    found = layout_of(tmp_path, None, "org/annotated")
    assert (found.reader, found.files) == ("imagefolder", {"train": ["0.png", "1.png", "2.png"]})
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- {config_name: default, data_files: '*.json'}\n---\n"
    )
    assert layout_of(tmp_path, None, "org/annotated").reader == "json"  # its card says so


def test_layers_that_the_configuration_leaves_out_are_told(
    tiny_models: TinyModels, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "short"
    shutil.copytree(tiny_models.vit, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    with pytest.raises(RequestError, match=r"the weights hold .*2.* which config.json leaves out"):
        load_encoder(str(folder))


@pytest.mark.parametrize("text", ["{", "[]", "null", ""])
def test_a_broken_configuration_is_told(text: str, tiny_models: TinyModels, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(tiny_models.vit, folder)
    (folder / "config.json").write_text(text)
    with pytest.raises(RequestError, match=r"broken/config.json is no JSON object"):
        load_encoder(str(folder))


@pytest.mark.parametrize("change", [{"hidden_size": "x"}, {"patch_size": 0}])
def test_a_configuration_that_makes_no_network_is_one_line(
    change: dict[str, Any], tiny_models: TinyModels, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "odd"
    shutil.copytree(tiny_models.vit, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(RequestError, match="cannot be loaded") as told:
        load_encoder(str(folder))
    assert len(str(told.value)) < 700


def test_shapes_that_disagree_are_both_told(tiny_models: TinyModels, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "seven"
    shutil.copytree(tiny_models.vit, folder)
    config = json.loads((folder / "config.json").read_text())
    labels = {str(i): str(i) for i in range(7)}
    config |= {"id2label": labels, "label2id": {name: int(i) for i, name in labels.items()}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RequestError, match=r"classifier.bias has shape 5 .* 7 by config.json"):
        load_encoder(str(folder))


def test_what_changes_numbers_is_recorded(tiny_models: TinyModels) -> None:
    result = compare(tiny_models.vit, Net32(), noise_images(6, 32), **QUICK)
    assert {"torchvision", "timm", "peft"} <= set(result.environment)
    processors = [model["processor_class"] for model in result.config["models"]]
    assert processors[0].startswith("ViTImageProcessor")
    assert processors[1] is None


class Net32(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3 * 32 * 32, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.linear(images.flatten(1))
        return found
