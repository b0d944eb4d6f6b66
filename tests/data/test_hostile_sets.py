"""Inversion sets of strangers, broken in many ways: each is refused in one line that names it."""

import copy
import io
import json
import shutil
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stir_hf import Inversions, RequestError
from stir_hf.data.broken import BrokenError
from stir_hf.data.manifest import FILE_NAME
from tests.inputs.test_formats import EPS
from tests.tiny import Net, inverted, judged, noise_images

CALLED = f"set S of dataset lab/d at {'0' * 40}"
MOST = 64 << 20
"""Bytes that a refusal may take."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of six images, two draws each, as the engine makes it."""
    out = tmp_path_factory.mktemp("whole")
    return inverted(Net(), noise_images(6), out, draws=2, tolerance=0.5, steps=4).path


def read(folder: Path) -> None:
    """Read a set of a stranger, as `score` does."""
    judged(Net(1), Inversions.read(folder, called=CALLED))


def refused(folder: Path, said: str) -> None:
    tracemalloc.start()
    pool = pa.system_memory_pool()
    try:
        with pytest.raises(BrokenError) as told:
            read(folder)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    assert pool.max_memory() < MOST
    assert isinstance(told.value, RequestError)  # exit code 2
    text = str(told.value)
    assert text.startswith(f"{CALLED} is broken: ")
    assert "\n" not in text
    assert said in text
    assert len(text) < 600


def test_the_whole_set_is_read(whole: Path) -> None:
    read(whole)


def put(path: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    """Put a value at a place in the manifest."""

    def change(about: dict[str, Any]) -> Any:
        *way, last = path.split(".")
        found: Any = about
        for name in way:
            found = found[name]
        found[last] = value
        return about

    return change


def without(path: str) -> Callable[[dict[str, Any]], Any]:
    def change(about: dict[str, Any]) -> Any:
        *way, last = path.split(".")
        found: Any = about
        for name in way:
            found = found[name]
        del found[last]
        return about

    return change


def as_text(change: Callable[[str], str]) -> Callable[[dict[str, Any]], Any]:
    return lambda about: change(json.dumps(about)).encode()


NESTED = "[" * 100_000 + "]" * 100_000
SIZE, DATA, ENGINE = "identity.canvas.size", "identity.data", "identity.engine"

MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a list": (lambda _: [], "of an older stir-hf"),
    "a number": (lambda _: 7, "of an older stir-hf"),
    "a text": (lambda _: "x", "of an older stir-hf"),
    "null": (lambda _: None, "of an older stir-hf"),
    "an empty file": (lambda _: b"", "inversions.json: "),
    "HTML": (lambda _: b"<html>not found</html>", "inversions.json: "),
    "no UTF-8": (lambda _: b"\xff\xfe\x00{", "inversions.json: "),
    "another text": (as_text(lambda text: text[:-200]), "inversions.json: "),
    "nested deeply": (lambda _: NESTED.encode(), "nested too deeply"),
    "nested values": (put("settings", json.loads("[" * 60 + "]" * 60)), "nested too deeply"),
    "very long": (lambda about: b" " * 11_000_000 + json.dumps(about).encode(), "11"),
    "a name twice": (as_text(lambda text: text[:-1] + ', "probe": []}'), "a name twice"),
    "a later format, as a text": (put("format", "1"), "format must be 1"),
    "format true": (put("format", True), "format must be 1"),
    "NaN": (put("identity.network.x", float("nan")), "not finite"),
    "Infinity": (put("settings", {"a": float("inf")}), "not finite"),
    "1e999": (as_text(lambda text: text.replace('"seed": 0', '"seed": 1e999')), "engine.seed"),
    "a huge integer": (put(f"{ENGINE}.seed", 10**400), "identity.engine.seed"),
    "an integer beyond reading": (
        as_text(lambda text: text.replace('"seed": 0', f'"seed": {"9" * 5000}')),
        "inversions.json: ",
    ),
    "an identity of a list": (put("identity", []), "identity must be an object"),
    "no network": (without("identity.network"), "identity.network is missing"),
    "no weights": (without("identity.network.weights"), "identity.network.weights is missing"),
    "no precision": (without("identity.network.precision"), "precision is missing"),
    "an unknown dtype": (put("identity.network.precision.dtype", "int4"), "dtype must be one of"),
    "a dtype of a list": (put("identity.network.precision.dtype", ["float32"]), "dtype must be"),
    "no canvas": (without("identity.canvas"), "identity.canvas is missing"),
    "an unknown kind": (put("identity.canvas.kind", "audio"), "identity.canvas.kind must be"),
    "an unknown mode": (put("identity.canvas.mode", "CMYK"), "identity.canvas.mode must be"),
    "a canvas of 10^12": (put(SIZE, [10**12, 10**12]), f"{SIZE}[0] must be a whole number"),
    "a large canvas": (put(SIZE, [60_000, 60_000]), "identity.canvas.size must be of at most"),
    "a canvas of 0": (put(SIZE, [0, 8]), f"{SIZE}[0] must be"),
    "a negative canvas": (put(SIZE, [8, -8]), f"{SIZE}[1] must be"),
    "a canvas of one side": (put(SIZE, [8]), f"{SIZE} must be a list of 2"),
    "a canvas of texts": (put(SIZE, ["8", "8"]), f"{SIZE}[0] must be"),
    "a canvas of floats": (put(SIZE, [8.0, 8.0]), f"{SIZE}[0] must be"),
    "another canvas": (put(SIZE, [9, 8]), "not a PNG of 8x9"),
    "a canvas that fits nothing": (put(SIZE, [9000, 9000]), "not a PNG of 9000x9000"),
    "another mode": (put("identity.canvas.mode", "L"), "not a PNG of 8x8, L"),
    "no data": (without(DATA), "identity.data is missing"),
    "an unknown order": (put(f"{DATA}.order", "sorted"), "identity.data.order must be"),
    "many rows": (put(f"{DATA}.rows", 10**12), "identity.data.rows must be"),
    "negative rows": (put(f"{DATA}.rows", -6), "identity.data.rows must be"),
    "fewer rows": (put(f"{DATA}.rows", 4), "complete.num_samples must be at most 4"),
    "no rows": (put(f"{DATA}.rows", None), "identity.data.rows must be null for a stream"),
    "rows of a text": (put(f"{DATA}.rows", "6"), "identity.data.rows must be"),
    "a slice beyond": (put(f"{DATA}.slice", [3, 60]), "identity.data.slice must be within"),
    "a slice of one": (put(f"{DATA}.slice", [3]), "identity.data.slice must be a list"),
    "other first images": (put(f"{DATA}.first", ["0" * 16]), "not that of the identity"),
    "first images of numbers": (put(f"{DATA}.first", [1]), "identity.data.first[0] must be"),
    "no engine": (without(ENGINE), "identity.engine is missing"),
    "no method": (without(f"{ENGINE}.method"), "identity.engine.method is missing"),
    "a method of a text": (put(f"{ENGINE}.method", "paper"), "method must be an object"),
    "a start without a name": (put(f"{ENGINE}.start", {"version": 1}), "start.name is missing"),
    "an option of another type": (
        put(f"{ENGINE}.method.momentum", {}),
        "identity.engine.method: option 'momentum' of method 'adam-polyak' must be",
    ),
    "a method's option of a list": (
        put(f"{ENGINE}.method.length", [1]),
        "identity.engine.method: option 'length' of method 'adam-polyak' must be",
    ),
    "a constraint of null": (put(f"{ENGINE}.constraint", None), "constraint must be an object"),
    "no tolerance": (put(f"{ENGINE}.tolerance", None), "tolerance must be a positive number"),
    "a tolerance of NaN": (put(f"{ENGINE}.tolerance", float("nan")), "tolerance must be"),
    "a tolerance of a text": (put(f"{ENGINE}.tolerance", "spread:x"), "tolerance must be"),
    "a tolerance of no spread": (put(f"{ENGINE}.tolerance", "spread:0.1"), "spread must be"),
    "another tolerance": (put(f"{ENGINE}.tolerance", 1e-9), "status is converged"),
    "exact of a text": (put(f"{ENGINE}.exact", "no"), "identity.engine.exact must be"),
    "exact of pictures": (put(f"{ENGINE}.exact", True), "'inverted' must be of arrays"),
    "negative steps": (put(f"{ENGINE}.steps", -1), "identity.engine.steps must be"),
    "no probe": (without("probe"), "probe is missing"),
    "a probe of texts": (put("probe", ["a"]), "probe[0] must be a number"),
    "a long probe": (put("probe", [0.0] * 5000), "probe must be a list of"),
    "names of a list": (put("names", []), "names must be an object"),
    "no reference": (without("names.reference"), "names.reference is missing"),
    "a reference of a number": (put("names.reference", 5), "names.reference must be a text"),
    "a long reference": (put("names.reference", "m" * 10_000), "names.reference must be a text"),
    "notes of a text": (put("names.notes", "no"), "names.notes must be a list"),
    "complete of a list": (put("complete", [6, 2]), "complete must be an object"),
    "many images": (put("complete.num_samples", 10**12), "complete.num_samples must be"),
    "many draws": (put("complete.draws", 10**9), "complete.draws must be"),
    "more draws": (put("complete.draws", 900), "it holds 12 of 5400 inversions"),
    "no images": (put("complete.num_samples", 0), "complete.num_samples must be"),
    "no draws": (without("complete.draws"), "complete.draws is missing"),
    "runs of a text": (put("runs", "x"), "runs must be a list"),
    "images of a list": (put("images", []), "images must be an object"),
    "settings of a number": (put("settings", 3), "settings must be an object"),
    "a spread of 0": (put("spread", 0), "spread must be a positive number"),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_broken_manifest_is_told(kind: str, whole: Path, tmp_path: Path) -> None:
    change, said = MANIFESTS[kind]
    folder = shutil.copytree(whole, tmp_path / "set")
    made = change(copy.deepcopy(json.loads((folder / FILE_NAME).read_text())))
    data = made if isinstance(made, bytes) else json.dumps(made).encode()
    (folder / FILE_NAME).write_bytes(data)
    refused(folder, said)


Change = Callable[[pa.Table], Any]


def column(name: str, change: Callable[[list[Any]], list[Any]], kind: Any = None) -> Change:
    """Change a column of a table, row by row."""

    def made(table: pa.Table) -> pa.Table:
        place, field = table.schema.get_field_index(name), table.schema.field(name)
        values = pa.array(change(table[name].to_pylist()), kind or field.type)
        return table.set_column(place, pa.field(name, values.type), values)

    return made


def at(row: int, value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [value if i == row else one for i, one in enumerate(values)]


def picture(name: str, change: Callable[[Image.Image], bytes], row: int = 7) -> Change:
    def changed(values: list[Any]) -> list[Any]:
        with Image.open(io.BytesIO(values[row]["bytes"])) as image:
            data = change(image)
        return at(row, {"bytes": data, "path": None})(values)

    return column(name, changed)


def saved(image: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    image.save(file := io.BytesIO(), kind, **how)
    return file.getvalue()


def sixteen_bits(_: Image.Image) -> bytes:
    """A PNG of 8x8 RGB pixels of 16 bits, which Pillow reads as one of 8."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(48) for _ in range(8)))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def swapped(table: pa.Table) -> pa.Table:
    return column("image", lambda v: [*v[2:4], *v[:2], *v[4:]])(table)


def claimed_size(image: Image.Image) -> bytes:
    data = bytearray(saved(image))
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    return bytes(data)


def turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3
    return saved(image, exif=exif)


def doubled(table: pa.Table) -> pa.Table:
    other = column("inverted", lambda v: [v[1], *v[1:]])(table)
    return pa.concat_tables([table, other.slice(0, 1)])


NO = "representation"
INV = "representation_inverted"
ROWS: dict[str, tuple[Change, str]] = {
    "rows twice, with other images": (doubled, "draw 0: it is there twice, and not the same"),
    "images swapped": (swapped, "image: its pixels are not those of its canvas_hash"),
    "hashes rewritten": (column("canvas_hash", lambda v: ["0" * 16] * len(v)), "image "),
    "draws of other canvases": (column("canvas_hash", at(7, "0" * 16)), "draws are of different"),
    "no hash": (column("canvas_hash", at(7, None)), "draws are of different canvases"),
    "a larger image": (picture("image", lambda i: saved(i.resize((40, 40)))), "a PNG of 40x40"),
    "a larger inversion": (
        picture("inverted", lambda i: saved(i.resize((40, 40)))),
        "inverted: it is a PNG of 40x40, RGB, 8 bits, not a PNG of 8x8, RGB, 8 bits",
    ),
    "16 bits": (picture("inverted", sixteen_bits), "a PNG of 8x8, RGB, 16 bits"),
    "16 bits of grey": (
        picture("inverted", lambda _: saved(Image.fromarray(np.zeros((8, 8), np.uint16)))),
        "a PNG of 8x8, L, 16 bits",
    ),
    "a palette": (picture("inverted", lambda i: saved(i.convert("P"))), "a PNG of 8x8, P, 8 bits"),
    "grey": (picture("inverted", lambda i: saved(i.convert("L"))), "a PNG of 8x8, L, 8 bits"),
    "an alpha channel": (picture("image", lambda i: saved(i.convert("RGBA"))), "RGBA, 8 bits"),
    "a transparent colour": (
        picture("inverted", lambda i: saved(i, transparency=(0, 0, 0))),
        "it holds transparency",
    ),
    "an animation": (
        picture("inverted", lambda i: saved(i, save_all=True, append_images=[i.rotate(90)])),
        "it holds several images",
    ),
    "an orientation": (picture("inverted", turned), "it holds exif"),
    "a JPEG": (picture("inverted", lambda i: saved(i, "JPEG")), "inverted: it is no PNG"),
    "a GIF": (picture("image", lambda i: saved(i, "GIF")), "image: it is no PNG"),
    "PostScript": (picture("inverted", lambda _: EPS), "inverted: it is no PNG"),
    "garbage": (picture("image", lambda _: b"\0\1\2" * 50), "image: it is no PNG"),
    "a PNG cut off": (picture("inverted", lambda i: saved(i)[:90]), "cannot be decoded"),
    "a PNG without pixels": (picture("inverted", lambda i: saved(i)[:33]), "cannot be decoded"),
    "a header of 100000x100000": (picture("image", claimed_size), "a PNG of 100000x100000"),
    "no image": (column("image", at(7, None)), "image: there is none"),
    "empty bytes": (column("inverted", at(7, {"bytes": b"", "path": None})), "there is none"),
    "a file that is named": (
        column("inverted", at(7, {"bytes": None, "path": "/etc/hostname"})),
        "it names the file /etc/hostname, and does not hold it",
    ),
    "an address that is named": (
        column("image", at(7, {"bytes": None, "path": "http://127.0.0.1:9/x.png"})),
        "it names the file http://127.0.0.1:9/x.png",
    ),
    "a value short": (column(INV, lambda v: [v[0][:-1], *v[1:]]), f"{INV} has 4 values, not 5"),
    "all a value short": (column(INV, lambda v: [x[:-1] for x in v]), f"{INV} has 4 values, not 5"),
    "a value more": (column(NO, lambda v: [*v[:7], [*v[7], 0.0], *v[8:]]), "has 6 values, not 5"),
    "no representation": (column(NO, at(7, None)), f"{NO} has 0 values, not 5"),
    "no representations": (column(NO, lambda v: [None] * len(v)), f"{NO} has 0 values"),
    "empty representations": (column(NO, lambda v: [[] for _ in v]), f"{NO} has 0 values"),
    "NaN": (column(NO, at(7, [float("nan")] * 5)), f"{NO} is not finite"),
    "Infinity": (column(INV, at(7, [float("inf")] * 5)), f"{INV} is not finite"),
    "a null inside": (column(INV, at(7, [None] * 5)), f"{INV} is not finite"),
    "zeros": (column(NO, at(7, [0.0] * 5)), "its relative_error is"),
    "other errors": (column("relative_error", lambda v: [0.01] * len(v)), "its relative_error is"),
    "a negative error": (column("relative_error", at(7, -0.1)), "relative_error is no number"),
    "an error of NaN": (column("relative_error", at(7, float("nan"))), "relative_error is no"),
    "no error": (column("relative_error", at(7, None)), "relative_error is no number"),
    "status turned": (
        column("status", lambda v: ["budget" if x == "converged" else "converged" for x in v]),
        "its status is ",
    ),
    "another status": (column("status", at(7, "excellent")), "a row has no status, or an unknown"),
    "no status": (column("status", at(7, None)), "a row has no status, or an unknown one"),
    "no index": (column("index", at(7, None)), "a row has no index"),
    "no draw": (column("draw", at(7, None)), "a row has no draw"),
    "an index beyond": (column("index", at(7, 600)), "image 600, draw 1: the data has 6 images"),
    "a negative index": (column("index", at(7, -1)), "a negative number"),
    "a negative draw": (column("draw", at(7, -1)), "a negative number"),
    "an index missing": (lambda t: t.slice(1), "it holds 11 of 12 inversions"),
    "no rows": (lambda t: t.slice(0, 0), "it holds 0 of 12 inversions"),
    "no column of images": (lambda t: t.drop_columns("inverted"), "no columns 'inverted'"),
    "no column of hashes": (lambda t: t.drop_columns("canvas_hash"), "no columns 'canvas_hash'"),
    "no columns": (lambda t: t.select(["index"]), "no columns 'draw'"),
    "no columns at all": (lambda t: t.select([]), "no columns 'index'"),
    "a column renamed": (
        lambda t: t.rename_columns([n.replace("status", "state") for n in t.column_names]),
        "no columns 'status'",
    ),
    "a column twice": (
        lambda t: t.append_column("status", t["status"]),
        "it has 2 columns 'status'",
    ),
    "indices as texts": (
        column("index", lambda v: [*map(str, v)], pa.string()),
        "must be of int64",
    ),
    "errors as texts": (
        column("relative_error", lambda v: [*map(str, v)], pa.string()),
        "column 'relative_error' must be of float32, not string",
    ),
    "images as texts": (column("image", lambda v: ["x"] * len(v), pa.string()), "of images"),
    "images as bytes": (column("image", lambda v: [b"x"] * len(v), pa.binary()), "of images"),
    "a struct inside a struct": (
        column(
            "image",
            lambda v: [{"bytes": {"bytes": b"x"}, "path": "x"} for _ in v],
            pa.struct({"bytes": pa.struct({"bytes": pa.binary()}), "path": pa.string()}),
        ),
        "must be of images",
    ),
    "representations as texts": (
        column(NO, lambda v: [["x"] * 5 for _ in v], pa.list_(pa.string())),
        "must be of lists of numbers",
    ),
    "representations nested": (
        column(NO, lambda v: [[x] for x in v], pa.list_(pa.list_(pa.float32()))),
        "must be of lists of numbers",
    ),
    "labels as texts": (lambda t: t.append_column("label", [["x"] * len(t)]), "whole numbers"),
    "HTML": (lambda _: b"<html>404</html>", "it is cut off, or no Parquet"),
    "an empty file": (lambda _: b"", "it is cut off, or no Parquet"),
    "PAR1 alone": (lambda _: b"PAR1" * 4, "it is cut off, or no Parquet"),
    "cut off": (lambda t: in_parquet(t)[:-40], "it is cut off, or no Parquet"),
    "cut in the middle": (
        lambda t: in_parquet(t)[:400] + in_parquet(t)[-400:],
        "it is cut off, or no Parquet",
    ),
    "zeros in a page": (
        lambda t: in_parquet(t)[:40] + bytes(300) + in_parquet(t)[340:],
        "it is cut off, or no Parquet",
    ),
    "many rows in a small file": (
        lambda t: pa.table({n: pa.repeat(t[n][0], 300_000) for n in t.column_names}),
        "it says that 300000 rows are in ",
    ),
}


def in_parquet(table: pa.Table) -> bytes:
    pq.write_table(table, sink := pa.BufferOutputStream(), write_page_checksum=True)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("kind", ROWS)
def test_broken_rows_are_told(kind: str, whole: Path, tmp_path: Path) -> None:
    change, said = ROWS[kind]
    folder = shutil.copytree(whole, tmp_path / "set")
    (path,) = folder.glob("*.parquet")
    made = change(pq.read_table(path).sort_by([("index", "ascending"), ("draw", "ascending")]))
    path.write_bytes(made if isinstance(made, bytes) else in_parquet(made))
    refused(folder, said)


@pytest.mark.parametrize("said", ["{", "[]", '{"info": 5}', '{"info": {"features": 5}}', "\\xff"])
def test_what_the_file_says_of_types_is_passed_over(said: str, whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "set")
    (path,) = folder.glob("*.parquet")
    types = {"label": {"names": 5, "_type": "ClassLabel"}, "image": {"_type": "Audio"}}
    table = pq.read_table(path)
    table = table.append_column("label", pa.array(range(len(table))))
    known = json.dumps({"info": {"features": types}})
    for text in (said, known):
        pq.write_table(table.replace_schema_metadata({"huggingface": text}), path)
        read(folder)
        found = Inversions.read(folder)
        assert found.label is not None
        assert len(found.label) == 12
        assert found.to_dataset()[0]["image"].size == (8, 8)


def test_a_group_that_takes_much_memory_is_refused(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(whole, tmp_path / "set")
    for module, said in (("table_checks", "some rows take"), ("rows", "some of its rows take")):
        with monkeypatch.context() as patch:
            patch.setattr(f"stir_hf.data.{module}.GROUP_BYTES", 500)
            refused(folder, said)
