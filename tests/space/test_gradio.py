"""The facilities of gradio that the page relies on, on the installed version."""

import ast
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.space.conftest import Server, served, wait_for


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("small")
    with served(Path(__file__).parent / "small_page.py", folder) as server:
        yield server


FILES = sorted((ROOT / "stir_hf" / "space").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_private_name_is_used(path: Path) -> None:
    """The requirements allow every version of gradio with the same major number."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    attributes = [n for n in nodes if isinstance(n, ast.Attribute) and re.match("_[^_]", n.attr)]
    assert {ast.unparse(node.value) for node in attributes} <= {"self"}
    sources = [n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)]
    sources += [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    assert {name for name in sources if name.startswith("gradio")} <= {"gradio"}


def join(page: Server, session: str) -> int:
    asked = {"data": [session], "fn_index": 0, "session_hash": session}
    return httpx.post(f"{page.url}/gradio_api/queue/join", json=asked).status_code


CLOSED = (
    "stream/a/b/1/playlist.m3u8",
    "custom_component/x/client/component/x.js",
    "run-history/records",
    "runs",
    "profiling/traces",
    "vibe-code",
)
"""Places that the page does not need, which gradio closes by itself."""


@pytest.mark.verify
@pytest.mark.parametrize("place", CLOSED)
def test_what_is_for_developers_is_not_there(page: Server, place: str) -> None:
    assert httpx.get(f"{page.url}/gradio_api/{place}").status_code in (403, 404)


@pytest.mark.verify
def test_old_uploads_are_removed(page: Server) -> None:
    answer = httpx.post(f"{page.url}/gradio_api/upload", files={"files": ("a.png", b"never sent")})
    (path,) = (Path(path) for path in answer.json())
    assert path.is_relative_to(page.folder)
    wait_for(lambda: not path.exists())


@pytest.mark.verify
def test_large_files_are_not_taken(page: Server) -> None:
    answer = httpx.post(f"{page.url}/gradio_api/upload", files={"files": ("a.png", bytes(2000))})
    assert answer.status_code == 413


@pytest.mark.verify
def test_the_generator_of_who_left_is_closed(page: Server) -> None:
    """While others' requests run beside it."""
    at = f"{page.url}/gradio_api/queue/data?session_hash="
    assert [join(page, name) for name in ("a", "b")] == [200, 200]
    with httpx.stream("GET", f"{at}b", timeout=60):
        with httpx.stream("GET", f"{at}a", timeout=60) as answer:
            told = (json.loads(line[6:])["msg"] for line in answer.iter_lines() if line)
            assert "process_generating" in told
            assert not (page.folder / "closed-a").exists()
        began = time.monotonic()
        wait_for((page.folder / "closed-a").exists)
        assert time.monotonic() - began < 10
        assert not (page.folder / "closed-b").exists()
