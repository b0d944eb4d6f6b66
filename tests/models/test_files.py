"""Which files of a repo are fetched."""

import json
from pathlib import Path

import pytest

from stir_hf import hub
from stir_hf.models.load.files import _needed

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
VARIANTS = ("model.fp16.safetensors", "open_clip_model.safetensors")
INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("there", "needed"),
    [
        (("model.safetensors", *VARIANTS), {"model.safetensors"}),
        ((INDEX, *SHARDS, *VARIANTS), {INDEX, *SHARDS}),
        ((*SHARDS, "adapter_model.safetensors"), {*SHARDS, "adapter_model.safetensors"}),
    ],
    ids=["one file", "shards", "other names"],
)
def test_only_the_weights_that_are_read_are_fetched(
    there: tuple[str, ...], needed: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = {"weight_map": {f"layer.{i}": name for i, name in enumerate(SHARDS)}}
    (tmp_path / INDEX).write_text(json.dumps(index))
    (tmp_path / "config.json").write_text("{}")
    fetched: list[str] = []

    def fetch(_: hub.Found, names: list[str]) -> Path:
        fetched.extend(names)
        return tmp_path

    monkeypatch.setattr(hub, "fetch", fetch)
    small = ("config.json", "README.md", "onnx/model.safetensors")
    found = hub.Found("lab/model", "model", "0" * 40, True, tmp_path, (*small, *there))
    assert set(_needed(found)) == {"config.json", *needed}
    assert set(fetched) <= {INDEX}
