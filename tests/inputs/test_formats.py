"""Image files of strangers: decoded by Pillow alone, and no program is started for one."""

import io
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import datasets
import numpy as np
import pytest
from PIL import Image, ImageFile

from stir_hf import RequestError
from stir_hf.data.images.cells import decoded
from stir_hf.data.sources.samples import UnreadableError, open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.inputs.formats import READ, open_image
from tests.conftest import ROOT
from tests.tiny import noise_images

EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
0 0 8 8 rectfill
showpage
%%EOF
"""
SAID = r"it is of format EPS, which is not supported; convert it to PNG"
BYTES = datasets.Features(image=datasets.Image(decode=False))


@pytest.fixture(name="ghostscript")
def gs_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `gs` that Pillow finds first; the file that it writes when it is run."""
    ran, folder = tmp_path / "ran", tmp_path / "programs"
    folder.mkdir()
    (folder / "gs").write_text(f"#!/bin/sh\necho run >> {ran}\n")
    (folder / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    return ran


def test_the_program_would_be_run(ghostscript: Path) -> None:
    with Image.open(io.BytesIO(EPS)) as image, suppress(OSError):
        image.load()
    assert ghostscript.exists()


def folder_of(data: bytes, folder: Path, name: str) -> str:
    folder.mkdir()
    for i, image in enumerate(noise_images(5)):
        image.save(folder / f"{i}.png")
    (folder / name).write_bytes(data)
    return str(folder)


def table_of(data: bytes, *, path: str | None = None) -> datasets.Dataset:
    def png(image: Image.Image) -> bytes:
        image.save(file := io.BytesIO(), "PNG")
        return file.getvalue()

    files = [png(image) for image in noise_images(5)]
    held = [{"bytes": one, "path": path} for one in (*files, data)]
    return datasets.Dataset.from_dict({"image": held}, features=BYTES)


def as_parquet(data: bytes, folder: Path) -> str:
    folder.mkdir()
    rows = table_of(data, path="a.png").cast_column("image", datasets.Image())
    rows.to_parquet(str(folder / "data.parquet"))
    return str(folder)


def as_zip(data: bytes, folder: Path) -> str:
    files = Path(folder_of(data, folder.with_name("files"), "5.png"))
    folder.mkdir()
    with ZipFile(folder / "images.zip", "w") as archive:
        for file in sorted(files.iterdir()):
            archive.write(file, file.name)
    return str(folder)


WAYS: dict[str, Callable[[Path], Any]] = {
    "a folder": lambda p: folder_of(EPS, p, "x.eps"),
    "a folder, named as a PNG": lambda p: folder_of(EPS, p, "x.png"),
    "a zip archive": lambda p: as_zip(EPS, p),
    "parquet": lambda p: as_parquet(EPS, p),
    "bytes in memory": lambda _: table_of(EPS, path="a.png"),
    "a dataset": lambda _: table_of(EPS).cast_column("image", datasets.Image()),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("unclosed_files")
def test_no_way_in_starts_ghostscript(way: str, tmp_path: Path, ghostscript: Path) -> None:
    given = WAYS[way](tmp_path / "data")

    def read() -> None:
        samples = open_samples(given, DataSpec("it"))
        for position in range(len(samples)):  # of an archive, no header is read before
            samples.read(position)

    with pytest.raises((RequestError, UnreadableError), match=SAID):
        read()
    assert not ghostscript.exists()


@pytest.mark.parametrize("kind", ["EPS", "PSD", "PDF", "WMF", "FITS", "ICNS"])
def test_other_formats_are_named(kind: str) -> None:
    begins = {"EPS": EPS, "PSD": b"8BPS", "PDF": b"%PDF-1.7", "FITS": b"SIMPLE", "ICNS": b"icns"}
    data = begins.get(kind, b"\xd7\xcd\xc6\x9a\0\0") + b"\0" * 20
    with pytest.raises(
        ValueError, match=f"it is of format {kind}, which is not supported; convert it to PNG"
    ):
        open_image(io.BytesIO(data))


FILES: dict[str, dict[str, Any]] = {
    "RGB.png": {},
    "L.png": {},
    "1.png": {},
    "P.png": {},
    "LA.png": {},
    "RGBA.webp": {"lossless": True},
    "RGB.jpg": {"quality": 90},
    "CMYK.jpg": {},
    "L.bmp": {},
    "P.gif": {},
    "RGB.tiff": {"compression": "tiff_lzw"},
    "I;16.tiff": {},
    "RGB.ppm": {},
    "RGB.jp2": {},
    "RGBA.ico": {"sizes": [(12, 16)]},
    "RGB.tga": {},
    "RGB.pcx": {},
    "RGB.sgi": {},
}


def saved(name: str, path: Path) -> None:
    mode = name.partition(".")[0]
    pixels = np.random.default_rng(0).integers(0, 256, (16, 12, 4), dtype=np.uint8)
    image = Image.fromarray(pixels)
    if mode.startswith("I;16"):
        image = Image.fromarray(pixels[..., :2].copy().view(np.uint16)[..., 0])
    image = image if image.mode == mode else image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned: dict[str, Any] = {"exif": exif} if name.endswith((".jpg", ".webp", "RGB.png")) else {}
    image.save(path, **FILES[name], **turned)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("held", [False, True])
def test_usual_files_are_decoded_as_datasets_does(name: str, held: bool, tmp_path: Path) -> None:
    saved(name, path := tmp_path / name)
    cell = {"bytes": path.read_bytes() if held else None, "path": str(path)}
    expected, found = datasets.Image().decode_example(cell), decoded(cell)
    assert (found.mode, found.size) == (expected.mode, expected.size)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert found.has_transparency_data == expected.has_transparency_data
    expected.close()


def test_a_member_of_an_archive_is_decoded(tmp_path: Path) -> None:
    saved("RGB.jpg", tmp_path / "a.jpg")
    with ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(tmp_path / "a.jpg", "in/a.jpg")
    cell = {"bytes": None, "path": f"zip://in/a.jpg::{tmp_path / 'all.zip'}"}
    expected = datasets.Image().decode_example(cell)
    np.testing.assert_array_equal(np.asarray(decoded(cell)), np.asarray(expected))


@pytest.mark.parametrize("name", ["a.png", "a.bmp"])
def test_a_header_of_far_too_many_pixels_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    Image.new("L", (4, 4)).save(path)
    data, size = bytearray(path.read_bytes()), (100_000).to_bytes(4, "big")
    if name.endswith("png"):
        from zlib import crc32

        data[16:24] = size * 2
        data[29:33] = crc32(data[12:29]).to_bytes(4, "big")
    else:
        data[18:26] = size[::-1] * 2
    path.write_bytes(data)
    with pytest.raises(RequestError, match=r"it has \d+ pixels; at most \d+ are taken"):
        open_samples(str(tmp_path), DataSpec("it"))


def test_every_image_file_is_opened_in_one_place() -> None:
    places = [ROOT / name for name in ("stir_hf", "metric_card", "spaces_demo", "benchmarks")]
    calls = {
        str(path.relative_to(ROOT))
        for place in places
        for path in place.rglob("*.py")
        if re.search(r"Image\.open\(|decode_example\(", path.read_text("utf-8"))
    }
    assert calls == {"stir_hf/inputs/formats.py", "stir_hf/space/lines.py"}  # a line of a README
    text = (ROOT / "stir_hf" / "inputs" / "formats.py").read_text("utf-8")
    assert re.findall(r"Image\.open\((.*)\)", text) == ["file, formats=known"]
    assert not {"EPS", "PDF", "WMF", "GRIB", "BUFR", "HDF5", "FITS"} & set(READ)


@pytest.mark.parametrize("kind", ["HEIF", "JXL"])
def test_a_plug_in_of_the_user_is_asked(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Plugged(ImageFile.ImageFile):
        format = kind

        def _open(self) -> None:
            self._mode, self._size = "RGB", (3, 2)

    monkeypatch.setitem(Image.OPEN, kind, (Plugged, lambda prefix: prefix == b"plugged in"))
    assert open_image(io.BytesIO(b"plugged in")).size == (3, 2)


def test_no_warning_of_a_format_that_this_pillow_lacks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(OSError, match="cannot identify"):
            open_image(io.BytesIO(b"no image"), (*READ, "NONE"))
