"""The page, served as in a Space, beside a stand-in Hub; and a browser, where there is one."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from stir_hf.demo import IMAGES, model_path
from tests.conftest import ROOT
from tests.stand_in_hub import StandInHub, serve
from tests.test_refusals import coded, pickled

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in BROWSERS if (path := shutil.which(name))), None)
"""The first of them; `.ci/run` installs Debian's. Without one the tests in the browser are
skipped.
"""
MISSING = [
    *([] if CHROMIUM else [f"none of {', '.join(BROWSERS)} is installed"]),
    *([] if find_spec("playwright") else ["playwright is not installed"]),
]
"""Why there is no browser here."""

SPOILT: list[tuple[str, str, bytes | dict[str, Any]]] = [
    ("no-json", "config.json", b"{no"),
    ("listed", "config.json", b"[1]"),
    ("nested", "config.json", b'{"a":' + b"[" * 100_000),
    ("long", "config.json", b" " * 3_000_000 + b"{}"),
    ("odd-processor", "preprocessor_config.json", b"[1]"),
    ("black", "preprocessor_config.json", {"rescale_factor": 0.0}),
    ("huge", "preprocessor_config.json", {"size": {"height": 50_000, "width": 50_000}}),
    ("deep", "config.json", {"depths": [300_000, 2, 2]}),
    ("versions", "config.4.0.0.json", b'{"num_hidden_layers": 5000}'),
    ("wide", "config.json", {"hidden_sizes": [20, 40, 100_000]}),
]
"""Models with a file that is replaced, or has other entries."""


def zipped(count: int, size: int) -> bytes:
    """An archive of files that unpack to many times its size."""
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(count):
            archive.writestr(f"test/{i}.bmp", bytes(size))
    return file.getvalue()


def picture_of(width: int, height: int) -> bytes:
    """A black image as a small file."""
    Image.new("L", (width, height)).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Server:
    """A page that is up."""

    url: str
    folder: Path
    """Its folder of temporary files."""
    process: psutil.Process

    def memory(self) -> float:
        """Megabytes of the page and of all its processes."""
        all_of_them = [self.process, *self.process.children(recursive=True)]
        return sum(p.memory_full_info().uss for p in all_of_them) / 1e6

    def files(self) -> set[str]:
        """What lies in its folder of temporary files; folders may vanish while it is read."""
        paths = (Path(at, name) for at, _, names in os.walk(self.folder) for name in names)
        return {str(path.relative_to(self.folder)) for path in paths if path.is_file()}


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInHub]:
    with serve() as hub:
        robust = Path(model_path("robust-0"))
        hub.add("model", "lab/robust", robust)
        hub.add("model", "lab/standard", Path(model_path("standard-0")))
        for name, change in {"pickled": pickled, "coded": coded}.items():
            folder = tmp_path_factory.mktemp(name) / "model"
            shutil.copytree(robust, folder)
            change(folder)
            hub.add("model", f"lab/{name}", folder)
        for name, file, data in SPOILT:
            files = {path.name: path.read_bytes() for path in robust.iterdir()}
            more = data if isinstance(data, dict) else {}
            whole = json.dumps({**json.loads(files.get(file, b"{}")), **more}).encode()
            files[file] = data if isinstance(data, bytes) else whole
            hub.add("model", f"lab/{name}", files)
        hub.add("dataset", "lab/zipped", {"data.zip": zipped(8, 30_000_000)})
        large = {f"test/{i}.png": picture_of(6000, 5000) for i in range(16)}
        hub.add("dataset", "lab/giant", large)
        hub.add("model", "lab/adapter", {"adapter_config.json": b"{}"})
        hub.add("model", "lab/gated", robust, gated=True)
        hub.add("dataset", "lab/images", IMAGES)
        yield hub


@pytest.fixture(scope="session")
def server(hub: StandInHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "SPACE_ID": "lab/page",  # visitors are told apart as behind the Hub's proxy
    }
    folder = tmp_path_factory.mktemp("served")
    with served(ROOT / "spaces_demo" / "app.py", folder, **env) as server:
        yield server


@contextmanager
def served(app: Path, folder: Path, **env: str) -> Iterator[Server]:
    """A page in a process of its own, with a folder for its temporary files."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    about = {
        **os.environ,
        "GRADIO_SERVER_PORT": str(port),
        "TMPDIR": str(folder),
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        **env,
    }
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        started = subprocess.Popen(
            [sys.executable, str(app)], env=about, cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(url, started)
            yield Server(url, folder, psutil.Process(started.pid))
        finally:
            started.terminate()
            started.wait(20)


def place_of(server: Server, name: str) -> int:
    """The number of one of the page's functions."""
    about = httpx.get(f"{server.url}/config").json()
    (place,) = (d["id"] for d in about["dependencies"] if d["api_name"] == name)
    return int(place)


def wait_for(there: Callable[[], bool]) -> None:
    """Until something holds, for a minute at most."""
    ends = time.monotonic() + 60
    while not there():
        assert time.monotonic() < ends
        time.sleep(0.1)


def _wait(url: str, started: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends and started.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the page did not come up")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser; open in one module only, as its event loop keeps others from running."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as made:
        found = made.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield found
        found.close()
