"""Vectors as data, and networks over them: in memory and as checkpoints with code of their own."""

import textwrap
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

LENGTH, ROWS = 12, 40

CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel


class TableConfig(PretrainedConfig):
    model_type = "stir_test_table"

    def __init__(self, features=12, hidden=16, classes=3, **more):
        super().__init__(**more)
        self.features, self.hidden, self.classes = features, hidden, classes


class TableModel(PreTrainedModel):
    config_class = TableConfig
    main_input_name = "{main}"

    def __init__(self, config):
        super().__init__(config)
        self.body = torch.nn.Linear(config.features, config.hidden)
        self.head = torch.nn.Linear(config.hidden, config.classes)
        self.post_init()

    def forward(self, {main}, **more):
        hidden = torch.tanh(self.body({main}))
        return {{"logits": self.head(hidden)}}
"""


def features(count: int = ROWS, length: int = LENGTH, seed: int = 0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(1, 2, size=(count, length))
    return drawn.astype(np.float32)


def linear(width: int, seed: int, length: int = LENGTH) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(length, width)


def checkpoint(folder: Path, seed: int, main: str = "inputs") -> Path:
    """A folder that `from_pretrained` loads with `trust_remote_code`."""
    folder.mkdir(parents=True)
    (folder / "table.py").write_text(textwrap.dedent(CODE.format(main=main)))
    (folder / "config.json").write_text(
        '{"model_type": "stir_test_table", "architectures": ["TableModel"], "features": 12,'
        ' "hidden": 16, "classes": 3, "auto_map": {"AutoConfig": "table.TableConfig",'
        ' "AutoModel": "table.TableModel"}}'
    )
    body, head = linear(16, seed), linear(3, seed + 100, 16)
    tensors = {
        **{f"body.{name}": value.detach() for name, value in body.named_parameters()},
        **{f"head.{name}": value.detach() for name, value in head.named_parameters()},
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def table_of(rows: Any, **more: Any) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"features": [list(map(float, row)) for row in rows], **more})


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parquet with a column of vectors and one of labels."""
    folder = tmp_path_factory.mktemp("features")
    rows = table_of(features(), label=[i % 3 for i in range(ROWS)])
    rows.to_parquet(str(folder / "test.parquet"))
    return folder
