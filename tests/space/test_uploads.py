"""What must not be uploaded, and bounds of time and memory: requests without a server."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import gradio as gr
import pytest
from PIL import Image

import stir_hf
from stir_hf.space import handlers, jobs, uploads, work
from stir_hf.space.asked import LIMITS, Comparison, Limits
from stir_hf.space.work import home, run, warm_up


@pytest.fixture(autouse=True)
def uploads_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


def sent(paths: list[str]) -> list[dict[str, Any]]:
    """Files as the form holds them."""
    return [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in paths]


def upload(folder: Path, *spoilt: bytes) -> list[str]:
    """Files as gradio hands them in: 16 pictures, some of them spoilt."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i}.png" for i in range(16)]
    for i, path in enumerate(paths):
        Image.new("RGB", (40, 40), (15 * i, 20, 90)).save(path)
    for path, data in zip(paths, spoilt, strict=False):
        path.write_bytes(data)
    return [str(path) for path in paths]


def _black(side: int, bits: int) -> bytes:
    """A square PNG, compressed at once: Pillow takes seconds for so many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, bits, 0, 0, 0, 0)
    data = zlib.compress(bytes((side * bits // 8 + 1) * side), 1)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", data), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@cache
def bomb() -> bytes:
    """A small PNG whose pixels are hundreds of megabytes."""
    return _black(30_000, 1)


@cache
def long_one() -> bytes:
    return _black(20_000, 8)


def broken_off() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((200, 200), 90).save(file, "PNG")
    return file.getvalue()[:3000]


UPLOADS: dict[str, tuple[Callable[[], bytes], str]] = {
    "no image": (lambda: b"<html>", "'0.png' is no image"),
    "nothing": (bytes, "'0.png' is no image"),
    "a bomb": (bomb, "has more pixels than the 20 million that are taken"),
    "20,000 pixels": (long_one, "has more pixels than the 20 million that are taken"),
    "broken off": (broken_off, "'0.png' cannot be read"),
    "too large": (lambda: b"\x89PNG" + bytes(11_000_000), "is larger than 10 MB"),
    "an archive": (lambda: zlib.compress(bytes(10**8)), "'0.png' is no image"),
}


@pytest.mark.parametrize("case", UPLOADS)
def test_what_must_not_be_uploaded(case: str, tmp_path: Path) -> None:
    data, words = UPLOADS[case]
    paths = upload(tmp_path / "up", data())
    shown = list(handlers.compare("standard-0", "robust-0", "", "", sent(paths), "", 16, 10))
    html, key, left = shown[-1]
    assert (key, left) == (None, None)
    assert words in html.replace("&#x27;", "'")
    assert not any(Path(path).exists() for path in paths)


def test_uploads_stay_for_the_next_try_where_something_else_was_wrong(tmp_path: Path) -> None:
    paths = upload(tmp_path / "up")
    html, _, left = list(handlers.compare("no id", "robust-0", "", "", sent(paths), "", 16, 10))[-1]
    assert "is no Hub id" in html
    assert left == gr.skip()
    assert all(Path(path).exists() for path in paths)
    shown = handlers.compare("standard-0", "robust-0", "", "", sent(paths), "", 16, 10)
    next(iter(shown))
    shown_until: Any = shown
    shown_until.close()  # who asked has left
    assert not any(Path(path).exists() for path in paths)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, ""])
def test_names_that_no_file_has(name: str, tmp_path: Path) -> None:
    given = sent([str(tmp_path.parent / name)] * 16)
    html, *_ = list(handlers.compare("standard-0", "robust-0", "", "", given, "", 16, 10))[-1]
    assert "not named by a path of this machine" in html


@pytest.mark.verify
def test_uploads_are_compared_and_removed(tmp_path: Path) -> None:
    files = []
    for i in range(16):
        path = tmp_path / f"{i}.png"
        Image.effect_noise((40, 40), 30 + 5 * i).save(path)
        files.append(str(path))
    html, key, left = list(
        handlers.compare("standard-0", "robust-0", "", "", sent(files), "", 16, 10)
    )[-1]
    assert (key, left) == (None, None)
    assert "<td>16</td>" in html  # images
    assert "--dataset FOLDER" in html
    assert "FOLDER is where your images are" in html
    assert "stir-results" in html
    assert not any(Path(path).exists() for path in files)
    assert [path for path in home().rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("count", [15, 65])
def test_too_few_and_too_many_files(count: int, tmp_path: Path) -> None:
    files = [str(tmp_path / str(i)) for i in range(count)]
    html, *_ = list(handlers.compare("standard-0", "robust-0", "", "", sent(files), "", 16, 10))[-1]
    assert f"{count} files were uploaded; the measure takes 16 to 64 images here" in html


def test_a_path_that_was_not_uploaded(tmp_path: Path) -> None:
    folder = tmp_path.parent / f"{tmp_path.name}-beside"
    paths = upload(folder)
    html, *_ = list(handlers.compare("standard-0", "robust-0", "", "", sent(paths), "", 16, 10))[-1]
    assert "images are uploaded, not named by a path of this machine" in html
    assert all(Path(path).exists() for path in paths)


def test_an_upload_that_another_request_names_stays(tmp_path: Path) -> None:
    paths = [Path(path) for path in upload(tmp_path / "of both")]
    uploads.remove(paths, lambda path: path.name == "0.png")
    assert [path.exists() for path in paths] == [True, *[False] * 15]
    uploads.remove(paths, lambda _: False)
    assert not (tmp_path / "of both").exists()


def test_what_broken_uploads_left_is_removed(tmp_path: Path) -> None:
    paths = [Path(path) for path in upload(tmp_path / "complete")]
    stray, empty = tmp_path / "tmp123", tmp_path / "empty"
    stray.write_bytes(b"broken off")
    empty.mkdir()
    assert uploads.size() >= 5000
    uploads.remove_partial()
    assert all(path.exists() for path in paths)
    assert not stray.exists()
    assert not empty.exists()
    uploads.remove(paths, lambda path: path.name == "1.png")
    assert [path for path in paths if path.exists()] == [paths[1]]
    uploads.remove(paths, lambda _: False)
    assert uploads.size() == 0


@pytest.mark.verify
def test_a_process_that_cannot_start_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_process(*_: Any, **__: Any) -> Any:
        raise OSError("no more processes")

    request = Comparison("standard-0", "robust-0", images=16, steps=1)
    with monkeypatch.context() as patched:
        patched.setattr(work._processes(), "Process", no_process)
        with pytest.raises(stir_hf.RunError, match="no room for another request"):
            list(run(jobs.compare, request, LIMITS))
    assert len(work.TURNS) == 0
    assert "done" in (list(run(jobs.compare, request, LIMITS))[-1] or {})


@pytest.mark.verify
def test_time_that_is_over_ends_a_request() -> None:
    request = Comparison("standard-0", "robust-0", images=64, steps=300)
    warm_up()
    began = time.monotonic()
    with pytest.raises(stir_hf.RunError, match="longer than the 3 seconds"):
        list(run(jobs.compare, request, Limits(seconds=3)))
    assert time.monotonic() - began < 60
    assert [path for path in home().rglob("*") if path.is_file()] == []


def test_memory_that_is_over_ends_a_request() -> None:
    request = Comparison("standard-0", "robust-0", images=64, steps=5)
    with pytest.raises(stir_hf.RunError, match="memory"):
        list(run(jobs.compare, request, Limits(memory=150_000_000)))


def test_a_path_that_is_there_is_no_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab" / "robust").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(stir_hf.RequestError, match="is no Hub id"):
        Comparison("lab/robust", "robust-0")
    assert LIMITS.images == 64
