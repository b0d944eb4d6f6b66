"""The served page asked by hand, as whoever means no good would: uploads, sets that are published,
many requests at once.
"""

import asyncio
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client as Asking
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from tests.publish.clients import Client
from tests.space.conftest import Server, place_of, wait_for
from tests.space.test_uploads import bomb, broken_off, long_one
from tests.stand_in_hub import StandInHub


def asked(server: Server, name: str, data: list[Any], session: str = "by-hand") -> str:
    """What a form of the page shows at last."""
    at = f"{server.url}/gradio_api/queue"
    joined = {"data": data, "fn_index": place_of(server, name), "session_hash": session}
    assert httpx.post(f"{at}/join", json=joined).status_code == 200
    address, found = f"{at}/data?session_hash={session}", ""
    with httpx.stream("GET", address, timeout=120) as answer:
        for line in answer.iter_lines():
            told: dict[str, Any] = json.loads(line.removeprefix("data: ")) if line else {}
            if told.get("msg") in ("process_generating", "process_completed"):
                found = str(told["output"].get("data") or found)
            if told.get("msg") == "process_completed":
                return found
    return found


def uploaded(server: Server, *files: bytes) -> list[dict[str, Any]]:
    given = [("files", (f"{i}.png", data)) for i, data in enumerate(files)]
    paths = httpx.post(f"{server.url}/gradio_api/upload", files=given, timeout=60).json()
    return [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in paths]


def picture(i: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((40, 40), 30 + 5 * i).save(file, "PNG")
    return file.getvalue()


@pytest.mark.verify
def test_uploads_that_must_not_be_taken(server: Server) -> None:
    """Over the network: each is refused in a sentence; memory and disk are as before."""
    rest = [picture(i) for i in range(15)]
    spoilt = {
        "is no image": b"<html>",
        "has more pixels": bomb(),
        "than the 20 million that are taken": long_one(),
        "cannot be read": broken_off(),
    }
    form: list[Any] = ["standard-0", "robust-0", "", ""]
    asked(server, "compare", [*form, uploaded(server, *rest, picture(15)), "", 16, 1])
    files, memory = server.files(), server.memory()
    for words, data in spoilt.items():
        told = asked(server, "compare", [*form, uploaded(server, data, *rest), "", 16, 1])
        assert words in told
        assert "Traceback" not in told
    wrong: dict[str, Any] = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    assert "hostname" not in asked(server, "compare", [*form, [wrong] * 16, "", 16, 1])
    wait_for(lambda: server.files() <= files)
    assert server.memory() < memory + 150


def test_a_broken_upload_leaves_nothing(server: Server) -> None:
    files = server.files()

    def broken() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nab'
        wait_for(lambda: bool(server.files() - files))
        raise ConnectionError

    headers = {"content-type": "multipart/form-data; boundary=x", "content-length": "100000"}
    with pytest.raises(ConnectionError):
        httpx.post(f"{server.url}/gradio_api/upload", content=broken(), headers=headers)
    wait_for(lambda: server.files() <= files)


def test_a_file_too_large_is_not_taken(server: Server) -> None:
    files = server.files()
    given = {"files": ("large.png", b"\x89PNG" + bytes(11_000_000))}
    answer = httpx.post(f"{server.url}/gradio_api/upload", files=given, timeout=60)
    assert answer.status_code == 413
    wait_for(lambda: server.files() <= files)


def test_what_is_taken_back_ends(server: Server) -> None:
    """A comparison by the endpoint, cancelled: its process ends, so that others need not wait."""
    at, alone = f"{server.url}/gradio_api", len(server.process.children(recursive=True))
    place = place_of(server, "scores")
    data = ["standard-0", "robust-0", "200 images of Fashion-MNIST", "", 64, 300]
    joined = {"data": data, "fn_index": place, "session_hash": "back"}
    event = httpx.post(f"{at}/queue/join", json=joined).json()["event_id"]
    with httpx.stream("GET", f"{at}/queue/data?session_hash=back", timeout=60):
        wait_for(lambda: len(server.process.children(recursive=True)) > alone)
        back = {"session_hash": "back", "fn_index": place, "event_id": event}
        httpx.post(f"{at}/cancel", json=back, timeout=60)
        wait_for(lambda: len(server.process.children(recursive=True)) == alone)


@pytest.mark.verify
def test_what_nobody_reads_is_not_begun(server: Server) -> None:
    """A comparison that joins the queue and whose answer nobody reads; the next one is answered."""
    at, alone = f"{server.url}/gradio_api", len(server.process.children(recursive=True))
    data = ["standard-0", "robust-0", "200 images of Fashion-MNIST", "", 64, 300]
    joined = {"data": data, "fn_index": place_of(server, "scores"), "session_hash": "deaf"}
    assert httpx.post(f"{at}/queue/join", json=joined).status_code == 200
    assert len(server.process.children(recursive=True)) == alone
    assert ask(server, visitor_number(3)) == "answered"


def test_uploads_go_with_who_leaves(server: Server) -> None:
    at, files = f"{server.url}/gradio_api/queue", server.files()
    alone = len(server.process.children(recursive=True))
    sent = uploaded(server, *(picture(i) for i in range(20)))
    data = ["standard-0", "robust-0", "", "", sent, "", 64, 300]
    joined = {"data": data, "fn_index": place_of(server, "compare"), "session_hash": "leaves"}
    assert httpx.post(f"{at}/join", json=joined).status_code == 200
    assert len(server.files() - files) >= 20
    with httpx.stream("GET", f"{at}/data?session_hash=leaves", timeout=60):
        wait_for(lambda: len(server.process.children(recursive=True)) > alone)
    wait_for(lambda: server.files() <= files)


@pytest.mark.verify
def test_a_set_without_its_images(server: Server, hub: StandInHub, tmp_path: Path) -> None:
    made = Client(hub, tmp_path).run(
        *("invert", "lab/robust", "--dataset", "lab/images", "--num-samples", "8", "--steps", "2"),
        *("--out", tmp_path / "made", "--push-to", "lab/without", "--without-images"),
    )
    assert made.returncode == 0, made.stderr
    told = asked(server, "judge", ["lab/without", "standard-1"])
    assert "was published without the originals" in told


def visitor_number(i: int) -> dict[str, str]:
    return {"x-forwarded-for": f"1.2.{i}.4"}


@pytest.mark.verify
def test_fifty_requests_at_once(server: Server) -> None:
    """Of fifty visitors some are answered, the others told that the queue is full; afterwards all
    is as before.
    """
    ask(server, visitor_number(99))
    files, memory = server.files(), server.memory()
    with ThreadPoolExecutor(50) as visitors:
        told = list(visitors.map(lambda i: ask(server, visitor_number(i)), range(50)))
    assert told.count("answered") >= 20
    assert all("ueue" in one for one in told if one != "answered"), set(told)
    wait_for(lambda: server.files() <= files)
    assert server.memory() < memory + 200


@pytest.mark.verify
def test_one_visitor_does_not_keep_the_others_out(server: Server) -> None:
    with ThreadPoolExecutor(31) as visitors:
        many = [visitors.submit(ask, server, visitor_number(1), 64) for _ in range(30)]
        wait_for(lambda: any(one.done() for one in many))
        assert ask(server, visitor_number(2)) == "answered"
        told = [one.result() for one in many]
    assert told.count("answered") <= 6
    assert sum("requests of yours already" in one or "429" in one for one in told) >= 24


@pytest.mark.verify
def test_the_tool_says_that_the_queue_is_full(server: Server) -> None:
    """As the sentence of this page, not as what gradio tells of its own request."""
    data = ["standard-0", "robust-0", "200 images of Fashion-MNIST", "", 16, 1]
    place, at = place_of(server, "scores"), f"{server.url}/gradio_api/queue/join"
    for i in range(3):
        joined = {"data": data, "fn_index": place, "session_hash": f"other-{i}"}
        assert httpx.post(at, json=joined).status_code == 200

    async def ask_tool(**arguments: Any) -> str:
        async with (
            streamable_http_client(f"{server.url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            (tool,) = (await session.list_tools()).tools
            answer = await session.call_tool(tool.name, arguments)
            assert answer.isError
            content: Any = answer.content[0]
            return str(content.text)

    told = asyncio.run(ask_tool(model="standard-0", reference="robust-0"))
    assert told.startswith("the queue is full, or holds too many requests of yours")
    told = asyncio.run(ask_tool(model="standard-0", reference="robust-0", colour="red"))
    assert "colour" in told
    assert "footer" not in told
    assert "\n" not in told


def ask(server: Server, headers: dict[str, str], images: int = 16) -> str:
    """What a visitor is told of a small comparison."""
    try:
        client = Asking(server.url, verbose=False, headers=headers)
        client.predict("standard-0", "robust-0", images=images, steps=1, api_name="/scores")
    except Exception as error:  # of the client
        return str(error)
    return "answered"


@pytest.mark.verify
def test_the_first_view_is_what_the_page_computes() -> None:
    from stir_hf.space import LIMITS, Comparison, jobs, run
    from tests.space.test_views import EXAMPLE

    request = Comparison("standard-0", "robust-0", images=64, steps=200)
    done = (list(run(jobs.compare, request, LIMITS))[-1] or {})["done"]
    for score, shown in zip(done["result"]["scores"], EXAMPLE["result"]["scores"], strict=True):
        assert score["model"] == shown["model"]
        assert score["stir"] == pytest.approx(shown["stir"], abs=0.05)  # of another processor
        assert score["floor"] == pytest.approx(shown["floor"], abs=1e-4)
    assert {name: done[name] for name in ("command", "python", "where")} == {
        name: EXAMPLE[name] for name in ("command", "python", "where")
    }
