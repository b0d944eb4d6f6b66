"""Repos of strangers: only the files of a set are fetched, and a broken one is named in a line."""

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.inputs.test_formats import EPS
from tests.publish.clients import Client, Worker, files_of
from tests.stand_in_hub import StandInHub

SCORE = ("score", "lab/robust-1", "--inversions")
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def published(worker: Worker, run: Path, hub: StandInHub) -> Files:
    """The files of a repo of two sets."""
    worker.done("push", run, "--to", "lab/of-strangers")
    return files_of(hub, "lab/of-strangers")


def names_of(files: Files) -> tuple[str, str]:
    """The set that is broken, and its file of rows."""
    rows = next(name for name in sorted(files) if name.endswith(".parquet"))
    return rows.partition("/")[0], rows


def with_eps(data: bytes) -> bytes:
    table = pq.read_table(io.BytesIO(data))
    place = table.schema.get_field_index("inverted")
    cells = [{"bytes": EPS, "path": None}] * len(table)
    table = table.set_column(
        place, table.schema.field(place), pa.array(cells, table.schema.field(place).type)
    )
    pq.write_table(table, sink := pa.BufferOutputStream())
    return bytes(sink.getvalue())


def rows_are(change: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
    return lambda files: {names_of(files)[1]: change(files[names_of(files)[1]])}


def record_is(data: bytes) -> Callable[[Files], Files]:
    return lambda files: {f"{names_of(files)[0]}/inversions.json": data}


BROKEN: dict[str, tuple[Callable[[Files], Files], str]] = {
    "rows are HTML": (rows_are(lambda _: b"<html>"), "it is truncated, or not a Parquet file"),
    "rows are cut": (rows_are(lambda data: data[:-9]), "it is truncated, or not a Parquet file"),
    "PostScript": (rows_are(with_eps), "inverted: it is no PNG, not a PNG of 28x28, L, 8 bits"),
    "a record of a list": (record_is(b"[]"), "of an older stir-hf"),
    "a record of 12 MB": (record_is(b" " * 12_000_000), "has 12000000 bytes; expected at most"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_set_of_a_repo_is_named(
    kind: str, published: Files, worker: Worker, hub: StandInHub
) -> None:
    change, said = BROKEN[kind]
    name = f"lab/broken-{list(BROKEN).index(kind)}"
    commit = hub.add("dataset", name, published | change(published))
    line = worker.refused(2, *SCORE, name)
    called = f"set {names_of(published)[0]} of dataset {name} at {commit} is broken: "
    assert line.startswith(f"stir-hf: {called}")
    assert said in line
    cached = list(worker.home.rglob(f"datasets--lab--broken-{list(BROKEN).index(kind)}"))
    largest = max(p.stat().st_size for folder in cached for p in folder.rglob("*") if p.is_file())
    assert largest < 10_000_000


CARDS: dict[str, bytes] = {
    "binary": b"\x89PNG\r\n\xff\xfe" * 9,
    "no YAML": b"---\n{[: \n---\n",
    "configs of a number": b"---\nconfigs: 5\n---\n",
    "configs of texts": b"---\nconfigs: [a, b]\n---\n",
    "configs without names": b"---\nconfigs: [{data_files: x}]\n---\n",
    "a list": b"---\n- a\n---\n",
    "deep": b"---\nconfigs: " + b"[" * 5000 + b"]" * 5000 + b"\n---\n",
}


@pytest.mark.verify
@pytest.mark.parametrize("kind", CARDS)
def test_a_card_that_cannot_be_read_is_told(
    kind: str, published: Files, worker: Worker, hub: StandInHub
) -> None:
    name = f"lab/card-{list(CARDS).index(kind)}"
    commit = hub.add("dataset", name, {**published, "README.md": CARDS[kind]})
    line = worker.refused(2, *SCORE, name)
    assert line.startswith(f"stir-hf: the card of dataset {name} at {commit} cannot be read: ")


def test_strange_files_are_not_fetched(published: Files, worker: Worker, hub: StandInHub) -> None:
    slug = names_of(published)[0]
    strange = (f"{slug}/x.py", f"{slug}/data-x.parquet.gz", f"{slug}/deep/data-1.parquet")
    more = dict.fromkeys((*strange, *(f"{slug}/{i}.bin" for i in range(200))), b"strange")
    hub.add("dataset", "lab/crowded", {**published, **more})
    found = worker.json(*SCORE, "lab/crowded")["scores"]
    assert len(found) == len(worker.json(*SCORE, "lab/of-strangers")["scores"])
    (folder,) = worker.home.rglob("datasets--lab--crowded/snapshots")
    names = {path.name for path in folder.rglob("*")}
    assert not names & {Path(name).name for name in more}
    assert {Path(names_of(published)[1]).name, "inversions.json"} <= names


def test_a_repo_of_several_sets_is_no_set(
    published: Files, client: Client, hub: StandInHub
) -> None:
    hub.add("dataset", "lab/two-sets", published)
    code = "import stir_hf; stir_hf.Inversions.load('lab/two-sets')"
    with pytest.raises(AssertionError, match="RequestError: lab/two-sets holds 2 inversion sets"):
        client.python(code)
