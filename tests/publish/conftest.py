"""A stand-in Hub with checkpoints and images, and the folder of a run on them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stir_hf.demo import IMAGES, model_path
from tests.publish.clients import Client, Worker
from tests.stand_in_hub import StandInHub, serve

QUICK = ("--num-samples", 6, "--steps", 3)


@pytest.fixture(scope="session")
def served() -> Iterator[StandInHub]:
    with serve() as hub:
        yield hub


@pytest.fixture(scope="session")
def owner(served: StandInHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(served, tmp_path_factory.mktemp("home"))
    yield worker
    worker.end()


@pytest.fixture(scope="module")
def hub(served: StandInHub) -> StandInHub:
    """The Hub of all modules, made empty but for checkpoints and images."""
    served.clear()
    for name in ("standard-0", "robust-0", "robust-1"):
        served.add("model", f"lab/{name}", Path(model_path(name)))
    served.add("dataset", "lab/images", IMAGES)
    return served


@pytest.fixture(autouse=True)
def no_faults(hub: StandInHub) -> None:
    hub.faults.clear()


@pytest.fixture(scope="module")
def worker(hub: StandInHub, owner: Worker) -> Worker:
    """The owner of lab, whose process and cache all modules share: loading takes seconds."""
    assert owner.hub is hub
    return owner


@pytest.fixture
def client(hub: StandInHub, tmp_path: Path) -> Client:
    """The same in processes and a cache of its own."""
    return Client(hub, tmp_path / "home")


@pytest.fixture(scope="module")
def run(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished `compare` of two checkpoints on the Hub."""
    folder = tmp_path_factory.mktemp("run") / "out"
    words = ("compare", "lab/standard-0", "lab/robust-0", "--dataset", "lab/images", *QUICK)
    worker.done(*words, "--out", folder)
    return folder
