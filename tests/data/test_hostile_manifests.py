"""`inversions.json` of strangers, broken in many ways: each is refused in a line that names it."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stir_hf import Inversions, RequestError
from stir_hf.data.sets.manifest import FILE_NAME
from tests.data.hostile import refused, whole_set

__all__ = ["whole_set"]


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
    "a later format, as a text": (put("format", "2"), "format must be 2"),
    "format true": (put("format", True), "format must be 2"),
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
    "a kind of a number": (put("identity.canvas.kind", 3), "identity.canvas.kind must be"),
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
    "other first images": (put(f"{DATA}.first", ["0" * 16]), "not the one in inversions.json"),
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
    "a given start": (put(f"{ENGINE}.start.name", "given"), "identity.engine.starts is missing"),
    "starts that are not there": (put(f"{ENGINE}.starts", "0" * 16), "it has no columns 'start'"),
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
    "originals of a list": (put("originals", []), "originals must be an object"),
    "settings of a number": (put("settings", 3), "settings must be an object"),
    "a spread of 0": (put("spread", 0), "spread must be a positive number"),
}


def test_a_kind_of_a_later_version_is_told_by_name(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "set")
    made = put("identity.canvas.kind", "audio")(json.loads((folder / FILE_NAME).read_text()))
    (folder / FILE_NAME).write_text(json.dumps(made))
    with pytest.raises(RequestError, match="'audio' are unknown; this stir-hf knows image, vector"):
        Inversions.read(folder)


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_broken_manifest_is_told(kind: str, whole: Path, tmp_path: Path) -> None:
    change, said = MANIFESTS[kind]
    folder = shutil.copytree(whole, tmp_path / "set")
    made = change(copy.deepcopy(json.loads((folder / FILE_NAME).read_text())))
    data = made if isinstance(made, bytes) else json.dumps(made).encode()
    (folder / FILE_NAME).write_bytes(data)
    refused(folder, said)
