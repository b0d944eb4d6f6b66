"""Files replaced by others of the same name, size and time: what is on disk now is read."""

import gzip
import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from stir_hf import RequestError, load_encoder
from stir_hf.data.sources import contents
from stir_hf.data.sources.contents import kept_folder
from stir_hf.data.sources.samples import open_samples
from stir_hf.data.sources.spec import DataSpec
from tests.conftest import TinyModels

LABELLED = datasets.Features(image=datasets.Image(), label=datasets.Value("int64"))
CARD = """---
configs:
- {config_name: default, data_files: FILE}
dataset_info:
  features:
  - {name: image, dtype: image}
  - {name: label, dtype: int64}
---
"""


def bitmap(grey: int) -> bytes:
    Image.fromarray(np.full((8, 8, 3), grey, np.uint8)).save(file := io.BytesIO(), "bmp")
    return file.getvalue()


def lines(folder: Path, turn: int) -> str:
    """Paths of three images and a label each, as JSON."""
    rows = [{"image": f"{folder}/{i}.bmp", "label": (i * turn) % 3} for i in range(3)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def listed(turn: int, header: str, prefix: str = "") -> str:
    return f"{header},label\n" + "".join(f"{prefix}{i}.bmp,{(i * turn) % 3}\n" for i in range(3))


def table(turn: int) -> pa.Table:
    cells = [{"bytes": bitmap(turn * 20 + i), "path": None} for i in range(3)]
    rows = {"image": cells, "label": [turn] * 3}
    return datasets.Dataset.from_dict(rows, features=LABELLED).data.table


def parquet(folder: Path, turn: int) -> Path:
    pq.write_table(table(turn), path := folder / "t.parquet", compression="none")
    return path


def arrow(folder: Path, turn: int) -> Path:
    found = table(turn)
    path = folder / "t.arrow"
    with path.open("wb") as file, pa.ipc.new_stream(file, found.schema) as writer:
        writer.write_table(found)
    return path


def archive(folder: Path, turn: int) -> Path:
    with zipfile.ZipFile(folder / "t.zip", "w") as file:
        for i in range(3):
            file.writestr(zipfile.ZipInfo(f"{i}.bmp"), bitmap(turn * 20 + i))
    return folder / "t.zip"


def told_archive(folder: Path, turn: int) -> Path:
    with zipfile.ZipFile(folder / "t.zip", "w") as file:
        for i in range(3):
            file.writestr(zipfile.ZipInfo(f"{i}.bmp"), bitmap(i))
        file.writestr(zipfile.ZipInfo("metadata.csv"), listed(turn, "file_name"))
    return folder / "t.zip"


def tar(folder: Path, turn: int) -> Path:
    with tarfile.open(folder / "t.tar", "w") as file:
        for i in range(3):
            about, data = tarfile.TarInfo(f"{i}.png"), bitmap(turn * 20 + i)
            about.size = len(data)
            file.addfile(about, io.BytesIO(data))
    return folder / "t.tar"


def images(folder: Path) -> None:
    for i in range(3):
        (folder / f"{i}.bmp").write_bytes(bitmap(i))


def image(folder: Path, turn: int) -> Path:
    images(folder)
    (folder / "0.bmp").write_bytes(bitmap(100 + turn))
    return folder / "0.bmp"


def metadata(folder: Path, turn: int) -> Path:
    images(folder)
    (path := folder / "metadata.csv").write_text(listed(turn, "file_name"))
    return path


def comma_separated(folder: Path, turn: int) -> Path:
    images(folder)
    (folder / "README.md").write_text(CARD.replace("FILE", "t.csv"))
    (path := folder / "t.csv").write_text(listed(turn, "image", f"{folder}/"))
    return path


def packed_lines(folder: Path, turn: int) -> Path:
    images(folder)
    (folder / "README.md").write_text(CARD.replace("FILE", "t.jsonl.gz"))
    path = folder / "t.jsonl.gz"
    path.write_bytes(gzip.compress(lines(folder, turn).encode(), 0, mtime=0))
    return path


KINDS: list[Callable[[Path, int], Path]] = [
    parquet,
    arrow,
    archive,
    told_archive,
    tar,
    image,
    metadata,
    comma_separated,
    packed_lines,
]


def read(folder: Path, *, streaming: bool = False) -> list[tuple[int, int | None]]:
    """The grey and the label of each image."""
    samples = open_samples(str(folder), DataSpec(str(folder), streaming=streaming))
    found = [samples.sample(position) for position in np.argsort(samples.order)]
    return [(int(np.asarray(one.original)[0, 0, 0]), one.label) for one in found]


def replaced(path: Path, write: Callable[[], object]) -> None:
    """Write a file anew, with the size and the times that it had."""
    before = path.stat()
    write()
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.usefixtures("unclosed_files")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_file_that_was_replaced_is_read_anew(
    kind: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    path = kind(tmp_path, 1)
    first = read(tmp_path)
    assert read(tmp_path) == first
    replaced(path, lambda: kind(tmp_path, 2))
    by_hand: list[tuple[int, int | None]]
    if kind in (parquet, arrow):
        by_hand = [(40 + i, 2) for i in range(3)]
    elif kind in (archive, tar):
        by_hand = [(40 + i, None) for i in range(3)]
    elif kind is image:
        by_hand = [(102, None), (1, None), (2, None)]
    else:
        by_hand = [(i, (2 * i) % 3) for i in range(3)]
    assert read(tmp_path) == by_hand != first


@pytest.mark.usefixtures("unclosed_files")
@pytest.mark.parametrize("kind", [parquet, archive, metadata], ids=lambda kind: kind.__name__)
def test_a_stream_of_files_is_read_as_it_is_and_not_before(
    kind: Callable[[Path, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kind(tmp_path, 1)
    first = read(tmp_path)
    monkeypatch.setattr(contents, "_content", None)  # which reads a file to its end
    assert sorted(read(tmp_path, streaming=True)) == sorted(first)
    replaced(path, lambda: kind(tmp_path, 2))
    streamed = read(tmp_path, streaming=True)
    monkeypatch.undo()
    assert sorted(streamed) == sorted(read(tmp_path)) != sorted(first)


def test_equal_contents_are_kept_once(tmp_path: Path) -> None:
    parquet(tmp_path, 3)
    read(tmp_path)
    before = set(kept_folder().iterdir())
    os.utime(tmp_path / "t.parquet", (0, 0))
    read(tmp_path)
    assert set(kept_folder().iterdir()) == before


def test_rows_that_the_card_does_not_count_are_told(tmp_path: Path) -> None:
    parquet(tmp_path, 1)
    counted = "  splits: [{name: train, num_examples: 5, num_bytes: 1}]\n---\n"
    card = CARD.replace("FILE", "t.parquet").removesuffix("---\n") + counted
    (tmp_path / "README.md").write_text(card)
    with pytest.raises(RequestError, match="split train has 3 rows, but 5 by its card"):
        read(tmp_path)


def test_code_that_was_replaced_is_run_anew(tiny_models: TinyModels, tmp_path: Path) -> None:
    """As transformers keeps copies of it: two folders of one name, and one with other code."""

    def write(folder: Path, factor: int) -> None:
        (folder / "factor.py").write_text(f"FACTOR = {factor}\n")

    config = json.loads((Path(tiny_models.vit) / "config.json").read_text())
    code = {"AutoConfig": "own.Own", "AutoModelForImageClassification": "own.Net"}
    config |= {"model_type": "stir-hf-replaced", "auto_map": code}
    images, found = torch.rand(2, 3, 32, 32), {}
    for factor in (1, 3):
        folder = Path(shutil.copytree(tiny_models.vit, tmp_path / str(factor) / "net"))
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "own.py").write_text(OWN)
        write(folder, factor)
        found[factor] = load_encoder(str(folder), "logits", trust_remote_code=True)(images)
    torch.testing.assert_close(found[3], 3 * found[1])
    replaced(folder / "factor.py", lambda: write(folder, 5))
    anew = load_encoder(str(folder), "logits", trust_remote_code=True)(images)
    torch.testing.assert_close(anew, 5 * found[1])


OWN = """from transformers import ViTConfig, ViTForImageClassification
from .factor import FACTOR
class Own(ViTConfig):
    model_type = "stir-hf-replaced"
class Net(ViTForImageClassification):
    config_class = Own
    def forward(self, pixel_values=None, **more):
        found = super().forward(pixel_values, **more)
        found.logits = found.logits * FACTOR
        return found
"""
