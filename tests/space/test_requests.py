"""The page's API and MCP tool give what the Python function gives; what must not be asked is
refused in one sentence, and nothing of any request stays.
"""

import asyncio
import json
import os
import time
import types
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

import stir_hf
from stir_hf.demo import IMAGES, model_path
from stir_hf.space.handlers import search
from stir_hf.space.kept import Kept
from tests import warm
from tests.conftest import ROOT
from tests.space.conftest import Server, place_of, wait_for
from tests.stand_in_hub import StandInHub

SMALL: dict[str, Any] = {"images": 16, "steps": 10}


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    return Client(server.url, verbose=False)


@pytest.fixture(scope="module")
def expected() -> Any:
    model, reference = (
        stir_hf.load_encoder(model_path(name), name=name) for name in ("standard-0", "robust-0")
    )
    how: Any = {"num_samples": 16, "steps": 10, "progress": False}
    return stir_hf.compare(model, reference, str(IMAGES), **how)


def same(found: dict[str, Any], expected: Any) -> None:
    for score, other in zip(found["scores"], expected.scores, strict=True):
        assert score["model"] == other.model
        assert score["stir"] == pytest.approx(other.stir, abs=1e-3)
        assert score["floor"] == pytest.approx(other.floor, abs=1e-6)


@pytest.mark.verify
def test_the_api_gives_what_the_function_gives(client: Any, expected: Any) -> None:
    found = client.predict("standard-0", "robust-0", **SMALL, api_name="/scores")
    same(found, expected)


@pytest.mark.verify
def test_the_tool_gives_what_the_function_gives(server: Server, expected: Any) -> None:
    async def ask() -> Any:
        async with (
            streamable_http_client(f"{server.url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            (tool,) = (await session.list_tools()).tools
            arguments = {"model": "standard-0", "reference": "robust-0", **SMALL}
            return tool, await session.call_tool(tool.name, arguments)

    tool, answer = asyncio.run(ask())
    told = tool.description or ""
    for words in ("does the model ignore", "Read `debiased.stir`", "Near `debiased.ceiling`"):
        assert words in told
    assert "Raises" not in told
    inputs = tool.inputSchema["properties"]
    assert set(inputs) >= {"model", "reference", "dataset", "steps"}
    assert inputs["model"]["description"].endswith("standard-0, standard-1, robust-0, robust-1.")
    found = answer.structuredContent
    jsonschema.validate(found, tool.outputSchema)
    assert json.loads(answer.content[0].text) == found
    assert [one.partition(":")[0][:4] for one in found["sentences"]] == [
        f"{score['debiased']['stir']:.2f}" for score in found["scores"]
    ]
    same(found, expected)


def test_progress_by_the_api(client: Any) -> None:
    job = client.submit("standard-0", "robust-0", images=16, steps=2, api_name="/scores")
    assert len(job.result()["scores"]) == 2
    *before, last = job.outputs()
    assert before[0] == {"status": "starting"}
    assert all("status" in one for one in before)
    assert last == job.result()


@pytest.mark.verify
def test_models_and_images_of_the_hub(client: Any, hub: StandInHub) -> None:
    found = client.predict(
        "lab/standard", "lab/robust", "lab/images", "test", **SMALL, api_name="/scores"
    )
    assert [score["model"] for score in found["scores"]] == ["lab/standard", "lab/robust"]
    assert found["scores"][0]["num_samples"] == 16


ABUSES: dict[str, tuple[dict[str, Any], str]] = {
    "a path": ({"model": "/etc/passwd"}, "is no Hub id"),
    "a path upwards": ({"model": "../../etc"}, "is no Hub id"),
    "a home": ({"reference": "~/.cache"}, "is no Hub id"),
    "a file": ({"model": "file:///etc/passwd"}, "is no Hub id"),
    "a URL": ({"model": "https://example.com/x"}, "is no Hub id"),
    "another endpoint": ({"dataset": "http://127.0.0.1:1/images"}, "is no Hub id"),
    "a dataset's path": ({"dataset": "/root"}, "is no Hub id"),
    "a filesystem": ({"dataset": "hf://datasets/lab/images"}, "is no Hub id"),
    "an empty name": ({"model": ""}, "is no Hub id"),
    "no name": ({"model": None}, "is no Hub id"),
    "a list": ({"model": ["lab/robust"]}, "is no Hub id"),
    "HTML": ({"model": "<script>alert(1)</script>"}, "is no Hub id"),
    "HTML of two parts": ({"model": "<img src=x>/<b>x"}, "is no Hub id"),
    "a long name": ({"model": "a" * 100_000 + "/b"}, "is no Hub id"),
    "line breaks": ({"model": "lab/robust\n\nIgnore"}, "is no Hub id"),
    "a null": ({"model": "lab/\x00robust"}, "is no Hub id"),
    "a shell": ({"model": "lab/$(touch x)"}, "is no Hub id"),
    "a revision upwards": ({"model": "lab/robust@../../x"}, "is no Hub id"),
    "a huge count": ({"images": 10**9}, "between 16 and 64"),
    "no images": ({"images": 0}, "between 16 and 64"),
    "half an image": ({"images": 16.5}, "between 16 and 64"),
    "a count of words": ({"images": "many"}, "between 16 and 64"),
    "endless passes": ({"steps": 10**12}, "between 1 and 300"),
    "negative passes": ({"steps": -5}, "between 1 and 300"),
    "a split of code": ({"split": "test; import os"}, "is no name"),
    "a split upwards": ({"split": "../../test"}, "is no name"),
    "pickles": ({"model": "lab/pickled"}, "pickled weights only"),
    "code": ({"model": "lab/coded"}, "needs Python code from its repo, which is not run"),
    "an adapter": ({"model": "lab/adapter"}, "is an adapter, which is not taken here"),
    "a gated model": ({"model": "lab/gated"}, "is gated"),
    "no such model": ({"reference": "lab/nothing"}, "no model 'lab/nothing' on the Hub"),
    "no such dataset": ({"dataset": "lab/nothing"}, "no dataset 'lab/nothing' on the Hub"),
    "no such split": ({"dataset": "lab/images", "split": "tset"}, "no split 'tset'"),
    "no such split of the embedded": (
        {"split": "tset"},
        "dataset 200 images of Fashion-MNIST has no split 'tset'",
    ),
    "no JSON": ({"model": "lab/no-json"}, "lab/no-json/config.json is not a JSON object"),
    "a list as configuration": (
        {"model": "lab/listed"},
        "lab/listed/config.json is not a JSON object, but list",
    ),
    "a deep nest": ({"model": "lab/nested"}, "lab/nested/config.json is not a JSON object"),
    "a long configuration": ({"model": "lab/long"}, "has 3 MB; at most 2 MB are taken here"),
    "a list as processor": (
        {"model": "lab/odd-processor"},
        "lab/odd-processor/preprocessor_config.json is not a JSON object",
    ),
    "a processor that blackens": ({"model": "lab/black"}, "does more to colours than rescale"),
    "huge images of a processor": (
        {"model": "lab/huge"},
        "model lab/huge takes images of 50000x50000 pixels; at most 384 are taken here",
    ),
    "many layers": ({"reference": "lab/deep"}, "has 300000 layers (depths); at most 1000"),
    "many layers in another version": ({"model": "lab/versions"}, "has 5000 layers"),
    "wide layers": ({"model": "lab/wide"}, "weights by its config.json, but its files have 1 MB"),
    "a bomb": ({"dataset": "lab/zipped"}, "has more than the 10 MB that are taken here"),
    "many pixels": ({"dataset": "lab/giant"}, "it has 30000000 pixels; at most 20000000"),
}


FIRST = [
    *("a file", "a URL", "HTML", "endless passes", "a split of code", "pickles", "code"),
    *("no such split of the embedded", "a list as configuration", "many layers", "a bomb"),
]
"""One of each sort."""


def refused(client: Any, changed: dict[str, Any]) -> str:
    asked = {"model": "standard-0", "reference": "robust-0", **SMALL, **changed}
    with pytest.raises(AppError) as told:
        client.predict(**asked, api_name="/scores")
    return str(told.value)


@pytest.mark.parametrize("cases", [FIRST, pytest.param([*ABUSES], marks=pytest.mark.verify)])
def test_what_must_not_be_asked(client: Any, server: Server, cases: list[str]) -> None:
    refused(client, {"model": "lab/coded"})  # what is loaded once is loaded
    files, memory = server.files(), server.memory()
    for case in cases:
        changed, words = ABUSES[case]
        began = time.monotonic()
        told = refused(client, changed)
        assert time.monotonic() - began < 10, case
        assert words in told, (case, told)
        assert "\n" not in told, case
        assert "Traceback" not in told, case
        assert len(told) < 600, case
        assert not any(at in told for at in (str(server.folder), str(ROOT), "/snapshots/")), case
    assert server.files() <= files
    assert server.memory() < memory + 150


@pytest.mark.verify
def test_no_address_is_fetched(server: Server, hub: StandInHub) -> None:
    """Whatever is sent in place of any input: the server asks nobody for it."""
    at = f"{server.url}/gradio_api"
    file = {"path": f"{hub.url}/lab/x.png", "meta": {"_type": "gradio.FileData"}}
    asked: dict[str, list[Any]] = {
        "scores": ["standard-0", "robust-0", "200 images of Fashion-MNIST", "", 16, 10],
        "compare": ["standard-0", "robust-0", "lab/images", "", None, "", 16, 10],
        "judge": ["lab/inversions", "standard-0"],
    }
    before = len(hub.seen)
    for name, inputs in asked.items():
        for i in range(len(inputs)):
            for spoilt in (file, [file] * 4, {"deep": [file]}):
                data = [*inputs[:i], spoilt, *inputs[i + 1 :]]
                joined = {"data": data, "fn_index": place_of(server, name), "session_hash": "s"}
                told = httpx.post(f"{at}/queue/join", json=joined)
                assert told.status_code == 400
                assert "uploaded, not fetched from an address" in told.json()["detail"]
    for way in ("call/scores", "call/scores/", "call/v2/scores"):
        assert httpx.post(f"{at}/{way}", json={"data": [file] * 6}).status_code == 400
    for way in (f"file={hub.url}/x.png", f"file/{hub.url}/x.png", f"proxy={hub.url}/x.png"):
        assert httpx.get(f"{at}/{way}").status_code in (400, 403)
    assert len(hub.seen) == before


def test_what_is_shown_is_not_kept(server: Server) -> None:
    files = server.files()
    answer = httpx.get(f"{server.url}/gradio_api/deep_link", params={"session_hash": "s"})
    assert answer.status_code == 404
    assert server.files() <= files


def test_who_hangs_up_ends_the_work(server: Server) -> None:
    alone = len(server.process.children(recursive=True))
    at = f"{server.url}/gradio_api/call/scores"
    data = ["standard-0", "robust-0", "200 images of Fashion-MNIST", "", 64, 300]
    event = httpx.post(at, json={"data": data}).json()["event_id"]
    with httpx.stream("GET", f"{at}/{event}", timeout=60) as answer:
        lines = answer.iter_lines()
        wait_for(lambda: len(server.process.children(recursive=True)) > alone)
        del lines
    wait_for(lambda: len(server.process.children(recursive=True)) == alone)


def test_nobody_passes_by_the_queue(server: Server) -> None:
    data = ["standard-0", "robust-0", "200 images of Fashion-MNIST", "", 16, 1]
    answer = httpx.post(f"{server.url}/gradio_api/run/scores", json={"data": data})
    assert answer.status_code == 404
    assert "join the queue" in answer.json()["detail"]


def test_what_is_kept_goes_by_age_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("stir_hf.space.kept.time", types.SimpleNamespace(monotonic=lambda: now[0]))
    kept = Kept(seconds=10, most=10)
    first, second = kept.put(b"12345"), kept.put(b"67890")
    assert (kept.get(first), kept.get(second)) == (b"12345", b"67890")
    third = kept.put(b"x")
    assert (kept.get(first), kept.get(second), kept.get(third)) == (None, b"67890", b"x")
    now[0] = 11
    assert kept.get(third) is None
    assert kept.get(None) is None


def test_the_search_finds_models_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def found(_: Any, **how: Any) -> list[Any]:
        asked.append(how)
        if how["search"] == "away":
            raise OSError
        tasks = ("text-generation", "image-classification", None)
        return [
            types.SimpleNamespace(id=f"lab/{how['search']}-{i}", pipeline_tag=task)
            for i, task in enumerate(tasks)
        ]

    monkeypatch.setattr("huggingface_hub.HfApi.list_models", found)

    def choices(words: str, key: str = "x") -> list[str]:
        typed: Any = types.SimpleNamespace(input_value=words, key=key)
        return list(search(typed).get("choices", ()))

    embedded = ["standard-0", "standard-1", "robust-0", "robust-1"]
    assert choices("resnet") == [*embedded, "lab/resnet-1", "lab/resnet-2"]
    assert choices("re") == choices("robust-0") == choices("away") == embedded
    assert choices("resnet")[-1] == "lab/resnet-2"
    assert choices("away") == embedded  # asked again
    assert [choices("resnet", key) for key in ("Enter", "Tab", "Escape", "ArrowDown")] == [[]] * 4
    assert [how["search"] for how in asked] == ["resnet", "away", "away"]


BUILD = """
import json, os, runpy, sys
from stir_hf.space import page
served = []
page.serve = lambda blocks: served.append(blocks.get_config_file())
for app, env in json.loads(sys.argv[1]):
    before = dict(os.environ)
    os.environ |= env
    runpy.run_path(app)["main"]()
    os.environ.clear()
    os.environ |= before
print("ANSWER" + json.dumps(served, default=str))
"""


APPS = ("spaces_demo/app.py", "metric_card/stir/app.py")
SECRET = {
    "OAUTH_CLIENT_ID": "of the Space",
    "OAUTH_CLIENT_SECRET": "secret",
    "OAUTH_SCOPES": "openid profile contribute-repos",
    "OPENID_PROVIDER_URL": "http://127.0.0.1:9",  # asked when somebody signs in
}
IN_A_SPACE = {"SYSTEM": "spaces", "SPACE_ID": "lab/page"}
WAYS = [(APPS[0], {}), (APPS[1], {}), (APPS[0], IN_A_SPACE)]


@pytest.fixture(scope="module")
def built() -> list[dict[str, Any]]:
    """The parts of the apps, built in each of `WAYS`, in one process."""
    asked = json.dumps([(str(ROOT / app), env) for app, env in WAYS])
    done = warm.run(["-c", BUILD, asked], {**os.environ, **SECRET})
    assert "ANSWER" in done.stdout, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.rpartition("ANSWER")[2])
    return found


@pytest.mark.verify
def test_visitors_sign_in_where_the_space_knows_them(built: list[dict[str, Any]]) -> None:
    """In a Space alone: elsewhere gradio would take the machine's account for everybody's."""

    def boxes(about: dict[str, Any]) -> set[Any]:
        parts = [part["props"] for part in about["components"]]
        return {
            props.get(name)
            for props in parts
            for name in ("label", "value")
            if isinstance(props.get(name), str)
        }

    needed = {"Dataset repo", "Sign in with Hugging Face"}
    assert needed <= boxes(built[2])
    assert not needed & boxes(built[0])


@pytest.mark.verify
@pytest.mark.parametrize("app", APPS)
def test_an_app_is_made_of_the_pieces(app: str, built: list[dict[str, Any]]) -> None:
    about = built[APPS.index(app)]
    ids = {part["props"].get("elem_id") for part in about["components"]}
    assert {"model", "reference", "dataset", "files", "compare", "cancel-compare", "output"} <= ids
    public = [d["api_name"] for d in about["dependencies"] if d["api_visibility"] == "public"]
    assert public == ["scores"]
