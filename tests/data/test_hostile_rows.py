"""Rows of strangers, broken in many ways: each is refused in one line that names it."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stir_hf import Inversions, RequestError
from tests.data.hostile import read, refused, whole_set
from tests.data.tampered import (
    Change,
    at,
    claimed_size,
    column,
    in_parquet,
    picture,
    saved,
    sixteen_bits,
    turned,
    turned_in_a_text,
    with_chunk,
)
from tests.inputs.test_formats import EPS, gs_first
from tests.tiny import Net, inverted, judged, noise_images

__all__ = ["gs_first", "whole_set"]


def test_the_whole_set_is_read(whole: Path) -> None:
    read(whole)


def swapped(table: pa.Table) -> pa.Table:
    return column("image", lambda v: [*v[2:4], *v[:2], *v[4:]])(table)


def doubled(table: pa.Table) -> pa.Table:
    other = column("inverted", lambda v: [v[1], *v[1:]])(table)
    return pa.concat_tables([table, other.slice(0, 1)])


NO = "representation"
INV = "representation_inverted"
ROWS: dict[str, tuple[Change, str]] = {
    "rows twice, with other images": (doubled, "draw 0: it is there twice, with different content"),
    "images swapped": (swapped, "image: its values are not those of its canvas_hash"),
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
        "it holds more than pixels: tRNS",
    ),
    "an animation": (
        picture("inverted", lambda i: saved(i, save_all=True, append_images=[i.rotate(90)])),
        "it holds more than pixels: acTL",
    ),
    "an orientation": (picture("inverted", turned), "it holds more than pixels: eXIf"),
    "an orientation in a text": (
        picture("image", with_chunk(b"tEXt", turned_in_a_text())),
        "it holds more than pixels: tEXt",
    ),
    "two headers": (
        picture(
            "inverted", with_chunk(b"IHDR", struct.pack(">IIBBBBB", *[60_000] * 2, 8, 2, 0, 0, 0))
        ),
        "it holds more than pixels: IHDR",
    ),
    "a chunk of no name": (
        picture("inverted", with_chunk(b"\x1b\xff\n!", b"")),
        "it holds more than pixels: ",
    ),
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
        "it names the file /etc/hostname instead of containing it",
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
    "a long representation": (
        column(NO, lambda v: [[0.0] * 3_000_000, *v[1:]]),
        f"{INV} has 5 values, not 3000000",
    ),
    "empty representations": (column(NO, lambda v: [[] for _ in v]), f"{NO} has 0 values"),
    "NaN": (column(NO, at(7, [float("nan")] * 5)), f"{NO} is not finite"),
    "Infinity": (column(INV, at(7, [float("inf")] * 5)), f"{INV} is not finite"),
    "a null inside": (column(INV, at(7, [None] * 5)), f"{INV} is not finite"),
    "zeros": (column(NO, at(7, [0.0] * 5)), "its relative_error is"),
    "other errors": (column("relative_error", lambda v: [0.01] * len(v)), "its relative_error is"),
    "a negative error": (column("relative_error", at(7, -0.1)), "relative_error is no number"),
    "an error of NaN": (column("relative_error", at(7, float("nan"))), "relative_error is no"),
    "an infinite error": (column("relative_error", at(7, float("inf"))), "relative_error is no"),
    "no error": (column("relative_error", at(7, None)), "relative_error is no number"),
    "status turned": (
        column("status", lambda v: ["max_steps" if x == "converged" else "converged" for x in v]),
        "its status is ",
    ),
    "another status": (column("status", at(7, "excellent")), "a row has no status, or an unknown"),
    "no status": (column("status", at(7, None)), "a row has no status, or an unknown one"),
    "a long status": (
        column("status", lambda v: ["a" * 1_000_000] * len(v)),
        "column 'status' holds a long text",
    ),
    "a long hash": (column("canvas_hash", at(7, "a" * 1_000_000)), "'canvas_hash' holds a long"),
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
    "classes as numbers": (
        lambda t: t.append_column("class_kept", [range(len(t))]),
        "column 'class_kept' must be of booleans",
    ),
    "labels as texts": (lambda t: t.append_column("label", [["x"] * len(t)]), "whole numbers"),
    "HTML": (lambda _: b"<html>404</html>", "it is truncated, or not a Parquet file"),
    "an empty file": (lambda _: b"", "it is truncated, or not a Parquet file"),
    "PAR1 alone": (lambda _: b"PAR1" * 4, "it is truncated, or not a Parquet file"),
    "cut off": (lambda t: in_parquet(t)[:-40], "it is truncated, or not a Parquet file"),
    "cut in the middle": (
        lambda t: in_parquet(t)[:400] + in_parquet(t)[-400:],
        "it is truncated, or not a Parquet file",
    ),
    "zeros in a page": (
        lambda t: in_parquet(t)[:40] + bytes(300) + in_parquet(t)[340:],
        "it is truncated, or not a Parquet file",
    ),
    "many rows in a small file": (
        lambda t: pa.table({n: pa.repeat(t[n][0], 300_000) for n in t.column_names}),
        "it says that 300000 rows are in ",
    ),
}


@pytest.mark.parametrize("name", ["image", "inverted"])
def test_no_set_starts_ghostscript(
    name: str, whole: Path, tmp_path: Path, ghostscript: Path
) -> None:
    folder = shutil.copytree(whole, tmp_path / "set")
    (path,) = folder.glob("*.parquet")
    path.write_bytes(in_parquet(picture(name, lambda _: EPS)(pq.read_table(path))))
    made = Inversions.read(folder)
    for look in (made.to_dataset, lambda: made.values(name), lambda: judged(Net(1), made)):
        with pytest.raises(RequestError, match=f"{name}: it is no PNG"):
            look()
    assert not ghostscript.exists()


Floats = list[list[list[float]]]
EXACT: dict[str, tuple[Callable[[Floats], Any], str]] = {
    "null": (lambda _: None, "inverted: an axis has 0 values, not 3"),
    "a channel less": (lambda x: x[:2], "inverted: an axis has 2 values, not 3"),
    "a line less": (lambda x: [x[0], x[1][:7], x[2]], "inverted: an axis has 7 values, not 8"),
    "a value more": (lambda x: [x[0], x[1], [*x[2][:7], [0.0] * 9]], "inverted: an axis has 9"),
    "NaN": (lambda x: [x[0], x[1], [[float("nan")] * 8] * 8], "inverted: it is not finite"),
}


@pytest.mark.parametrize("kind", EXACT)
def test_broken_arrays_are_told(kind: str, tmp_path: Path) -> None:
    change, said = EXACT[kind]
    folder = inverted(Net(), noise_images(6), tmp_path, exact=True).path
    (path,) = folder.glob("*.parquet")
    table = pq.read_table(path)
    place = table.schema.get_field_index("inverted")
    values = [one.as_py() for one in table["inverted"].combine_chunks().storage]
    values[3] = change(values[3])
    floats = pa.array(values, pa.list_(pa.list_(pa.list_(pa.float32()))))
    path.write_bytes(in_parquet(table.set_column(place, "inverted", floats)))
    refused(folder, f"image {table['index'][3].as_py()}, draw 0: {said}")


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


def test_a_text_of_many_rows_is_refused_before_it_takes_memory(whole: Path, tmp_path: Path) -> None:
    folder, rows = shutil.copytree(whole, tmp_path / "set"), 100_000
    (path,) = folder.glob("*.parquet")
    table = pq.read_table(path)
    many = {name: pa.repeat(table[name][0], rows) for name in table.column_names}
    index, draw = np.arange(rows) % 6, (np.arange(rows) // 6).astype(np.int32)
    noise = np.random.default_rng(0).integers(0, 256, (rows, 2), np.uint8)
    states = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["a" * 1_000_000])
    more = {"index": index, "draw": draw, "status": states, "noise": [*map(bytes, noise)]}
    how: dict[str, Any] = {"store_schema": False, "dictionary_pagesize_limit": 1 << 24}
    pq.write_table(pa.table({**many, **more}), path, compression="zstd", **how)
    refused(folder, "column 'status' holds a long text")


def test_a_group_that_takes_much_memory_is_refused(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(whole, tmp_path / "set")
    for module, said in (("table_checks", "some rows take"), ("rows", "some of its rows take")):
        with monkeypatch.context() as patch:
            patch.setattr(f"stir_hf.data.files.{module}.GROUP_BYTES", 500)
            refused(folder, said)
