"""Rows and PNG files of strangers, made from those of a whole set."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

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


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def sixteen_bits(_: Image.Image) -> bytes:
    """A PNG of 8x8 RGB pixels of 16 bits, which Pillow reads as one of 8."""

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(48) for _ in range(8)))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def claimed_size(image: Image.Image) -> bytes:
    data = bytearray(saved(image))
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    return bytes(data)


def turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3
    return saved(image, exif=exif)


def with_chunk(name: bytes, data: bytes) -> Callable[[Image.Image], bytes]:
    """A PNG file with another chunk after its header."""
    return lambda image: saved(image)[:33] + chunk(name, data) + saved(image)[33:]


def turned_in_a_text() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = exif.tobytes()
    return b"Raw profile type exif\0\nexif\n%8d\n" % len(data) + data.hex().encode() + b"\n"


def in_parquet(table: pa.Table) -> bytes:
    pq.write_table(table, sink := pa.BufferOutputStream(), write_page_checksum=True)
    return bytes(sink.getvalue())
