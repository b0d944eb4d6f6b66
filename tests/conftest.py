"""Small networks and images that the tests share. The Hugging Face cache is a folder of this
session.
"""

import atexit
import gc
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HOME = tempfile.mkdtemp(prefix="stir-hf-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ["HF_HOME"] = _HOME
os.environ.setdefault("OMP_NUM_THREADS", "1")
for _name in (
    "HF_HUB_CACHE",
    "HF_DATASETS_CACHE",
    "HF_MODULES_CACHE",
    "HF_TOKEN",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
):
    os.environ.pop(_name, None)

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "stir_hf" / "demo"


@dataclass(frozen=True)
class TinyModels:
    """Folders of checkpoints with random weights, each with its image processor."""

    resnet: str
    vit: str
    mobilenet: str
    text: str


def keep_figures(name: str, figures: dict[str, Any]) -> None:
    """Keep what a long check measured, with where it ran, beside the results of the benchmarks."""
    from stir_hf.runtime import environment

    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    path.write_text(
        json.dumps({**figures, "environment": environment(torch.device("cpu"))}, indent=1) + "\n",
        "utf-8",
    )


LONG = [
    "tests/space/",
    "tests/publish/",
    "tests/test_hub_datasets.py",
    "tests/test_hub.py",
    "tests/test_streams.py",
    "tests/test_metric.py",
    "tests/processes",
    "tests/families",
    "tests/test_faults_runs.py",
]
"""The tests that take longest, which run first: none is left to one process in the end."""


TOGETHER = ("tests/space/", "tests/publish/")
"""Folders whose tests run in one process, since they share a server."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process the next file, or all files of a folder whose tests share a server."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped] # has none

    class Scheduling(LoadFileScheduling):  # type: ignore[misc] # as it has no types
        def _split_scope(self, nodeid: str) -> str:
            together = (folder for folder in TOGETHER if nodeid.startswith(folder))
            return next(together, nodeid.partition("::")[0])

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first."""

    def place(item: pytest.Item) -> int:
        return next((i for i, path in enumerate(LONG) if item.nodeid.startswith(path)), len(LONG))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of every later garbage collection: it stays to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def unclosed_files() -> Iterator[None]:
    """For images that do not decode: `datasets` leaves their files to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture(scope="session")
def demo() -> Path:
    return DEMO


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    import transformers as tf

    folder = tmp_path_factory.mktemp("tiny-models")

    def save(name: str, make: Callable[[], Any]) -> str:
        torch.manual_seed(0)
        model = make().eval()
        for module in model.modules():  # statistics that differ from the identity
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1)
        model.save_pretrained(folder / name)
        size = {"height": 32, "width": 32}
        tf.ViTImageProcessor(size=size, resample=2, do_convert_rgb=None).save_pretrained(
            folder / name
        )
        return str(folder / name)

    labels: Any = {"num_labels": 5}
    resnet = tf.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 12, 16],
        depths=[1, 1, 1],
        layer_type="basic",
        **labels,
    )
    vit = tf.ViTConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=32,
        patch_size=8,
        hidden_dropout_prob=0.1,
        **labels,
    )
    mobilenet = tf.MobileNetV2Config(
        image_size=32, depth_multiplier=0.1, min_depth=4, depth_divisible_by=4, **labels
    )
    bert = tf.BertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        vocab_size=20,
    )
    tf.BertModel(bert).save_pretrained(folder / "text")
    return TinyModels(
        save("resnet", lambda: tf.ResNetForImageClassification(resnet)),
        save("vit", lambda: tf.ViTForImageClassification(vit)),
        save("mobilenet", lambda: tf.MobileNetV2ForImageClassification(mobilenet)),
        str(folder / "text"),
    )


@pytest.fixture(scope="session")
def bare_vit(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of the ViT classifier under a config that names the bare class: its pooler has
    no weights.
    """
    folder = tmp_path_factory.mktemp("bare") / "vit"
    shutil.copytree(tiny_models.vit, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["ViTModel"]}))
    return str(folder)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder with splits train (6) and test (12): colour, grey and half transparent
    images, two labels.
    """
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 12)):
        for i in range(count):
            kind, mode = [(3, "RGB"), (1, "L"), (4, "RGBA")][i % 3]
            path = folder / split / "ab"[i % 2] / f"{i:02d}-{mode}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            array = rng.integers(0, 256, (36 + i, 40, kind), dtype=np.uint8)
            Image.fromarray(array[..., 0] if kind == 1 else array).save(path)
    return folder
