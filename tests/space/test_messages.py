"""What a request tells its visitor: sentences of this package, without the server's paths."""

from pathlib import Path
from typing import Any

import pytest
import torch

from stir_hf.demo import IMAGES, model_path
from stir_hf.errors import RequestError, RunError
from stir_hf.models.load.messages import readable
from stir_hf.space.guards.messages import without_paths
from stir_hf.space.work import TOO_LARGE, Send, attempt


def told(work: Any) -> Exception:
    """The error that a request sends."""
    sent: list[dict[str, Any]] = []
    attempt(work, None, Path(), sent.append)
    error: Exception = sent[-1]["error"]
    return error


def too_much() -> None:
    torch.empty(1 << 55)


@pytest.mark.parametrize("doing", ["loading", "reading", "computing"])
def test_too_little_memory_is_one_sentence(doing: str) -> None:
    """However deep in the libraries it ran out."""

    def work(_: Any, __: Path, ___: Send) -> None:
        if doing == "loading":
            with readable("lab/large"):
                too_much()
        try:
            too_much()
        except RuntimeError as error:
            if doing == "computing":
                raise
            raise RequestError(f"dataset lab/x cannot be loaded: {error}") from error

    assert str(told(work)) == TOO_LARGE


CACHED = "/tmp/stir-hf-space-x1/hf/hub/models--lab--a.b--c/snapshots/0123abcd"
SHOWN = {
    f"dataset {IMAGES} has no split 'tset'": "dataset 200 images of Fashion-MNIST has no split",
    f"{model_path('robust-0')}/config.json is odd": "robust-0/config.json is odd",
    f"model folder {model_path('robust-1')}: x": "model folder robust-1: x",
    f"{CACHED}/config.json is no JSON object: Extra data": "lab/a.b--c/config.json is no JSON",
    f"in {CACHED}.": "in lab/a.b--c.",
    "/root/.cache/datasets--lab--x/blobs/01/data/1.png": "lab/x/data/1.png",
    "weights '/home/me/a b/w.st' are broken": "b/w.st' are broken",
    "no such folder: /root/data/images; there are: x": "no such folder: images; there are: x",
    'File "/usr/lib/python3/x.py", line 3': 'File "x.py", line 3',
    "cannot open (/etc/hostname)": "cannot open (hostname)",
    "zip://a/b.png::/root/x.zip is odd": "zip://a/b.png::x.zip is odd",
    "file:///etc/passwd": "passwd",
    "HF_HOME=/tmp/x/hf": "HF_HOME=hf",
    "/tmp/gradio/0a/p.png:/tmp/y": "p.png:y",
}


@pytest.mark.parametrize("text", SHOWN)
def test_places_of_the_machine_are_not_told(text: str) -> None:
    found = without_paths(text)
    assert SHOWN[text] in found
    places = ("/root", "/tmp", "/home/me", "/etc", "/usr", str(IMAGES.parent))
    assert not any(place in found for place in places)


@pytest.mark.parametrize(
    "text",
    [
        "convert it at https://huggingface.co/spaces/safetensors/convert",
        "hf://datasets/lab/images@0123/data/test.parquet",
        "zip://a/b.png::hf://datasets/lab/images/x.zip",
        "dataset lab/images at 0123, image/png, 3/4, and/or, ‖x‖ / ‖y‖, </b>",
        "stir-hf compare stir_hf/demo/models/robust-0 lab/x --dataset ./here ../there ~/home",
        "lab/robust@refs/pr/1",
    ],
)
def test_addresses_and_relative_names_stay(text: str) -> None:
    assert without_paths(text) == text


def test_all_that_a_request_sends_is_without_paths(tmp_path: Path) -> None:
    """Also what it found at last; pictures are not touched."""
    picture = "data:image/jpeg;base64,/9j/4AAQ/Skz"
    sent: list[Any] = []

    def work(_: Any, folder: Path, send: Send) -> None:
        send({"step": {"what": f"reading {folder}/x", "pictures": {1: picture}}})
        send({"done": {"result": {"notes": (f"in {folder}/y",), "n": 1.5}, "archive": b"/tmp/z"}})
        raise RunError(f"{folder}/w is full")

    attempt(work, None, tmp_path, sent.append)
    step, done, error = sent
    assert step == {"step": {"what": "reading x", "pictures": {1: picture}}}
    assert done == {"done": {"result": {"notes": ("in y",), "n": 1.5}, "archive": b"/tmp/z"}}
    assert str(error["error"]) == "w is full"


REMEDIES: dict[str, tuple[dict[str, Any], str]] = {
    "code": ({"model": "lab/coded"}, "model lab/coded needs Python code from its repo"),
    "gated": ({"model": "lab/gated"}, "model lab/gated is gated"),
    "nothing": ({"reference": "lab/nothing"}, "no model 'lab/nothing' on the Hub"),
}


@pytest.mark.parametrize("case", REMEDIES)
def test_a_visitor_is_not_told_to_use_the_command_line(case: str) -> None:
    """The problem alone: the page has no flags, and signs nobody in to read."""
    error = RequestError(REMEDIES[case][1], "; allow it with --trust-remote-code")
    assert str(error).endswith("--trust-remote-code")

    def work(*_: Any) -> None:
        raise error

    assert str(told(work)) == REMEDIES[case][1]
