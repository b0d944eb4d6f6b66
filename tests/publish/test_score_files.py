"""A file of scores that anybody may have written: one row that can be believed, or a line."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import stir_hf
from stir_hf.engine import InversionConfig
from stir_hf.errors import RequestError
from stir_hf.publish import score_rows, scores
from stir_hf.registry import option
from tests.publish.rows import HOSTILE, ROW
from tests.tiny import Net, inverted, noise_images


def write(folder: Path, **changed: Any) -> Path:
    return score_rows.write({**ROW, **changed}, folder)


def table(folder: Path, **columns: Any) -> Path:
    """One row with other columns: arrays of one value, or None for a column that is not there."""
    whole = pq.read_table(write(folder)).to_pydict()
    path = folder / "x.parquet"
    changed = {**whole, **columns}
    pq.write_table(pa.table({k: v for k, v in changed.items() if v is not None}), path)
    return path


def test_a_row_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert scores.read(write(tmp_path)) == {name: ROW[name] for name in scores.COLUMNS}


def test_values_may_be_undefined_and_a_little_above_one(tmp_path: Path) -> None:
    row = scores.read(write(tmp_path, stir=None, stir_debiased=None, ceiling=1 + 1e-9, notes=None))
    assert (row["stir"], row["stir_debiased"], row["notes"]) == (None, None, [])
    assert row["ceiling"] == pytest.approx(1)


def test_a_score_of_all_of_imagenet_is_read(tmp_path: Path) -> None:
    count = 1_281_167
    values = np.random.default_rng(0).random(count, np.float32)
    columns = ("relative_distance", "cosine", "relative_error")
    pairs = {"index": np.arange(count), "draw": np.zeros(count, np.int32)}
    whole: dict[str, Any] = {**pairs, **dict.fromkeys(columns, values)}
    path = table(
        tmp_path,
        **{k: pa.array([v], pa.list_(pa.from_numpy_dtype(v.dtype))) for k, v in whole.items()},
    )
    assert path.stat().st_size > 30e6
    assert scores.read(path)["model"] == ROW["model"]


def test_text_is_one_printable_line(tmp_path: Path) -> None:
    row = scores.read(write(tmp_path, model=HOSTILE, notes=[HOSTILE, "n" * 5000], split=HOSTILE))
    for text in (row["model"], row["split"], *row["notes"]):
        assert text.isprintable()
        assert len(text) <= 1000
    assert row["model"] == r"a\x1b[31mred | forged | \u202eright\x07 \x9b2J"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stir", 5.0),
        ("stir", math.nan),
        ("stir", -0.1),
        ("stir_debiased", math.inf),
        ("stir_debiased", 1.1),
        ("similarity", -math.inf),
        ("floor", 1e300),
        ("ceiling", -1.0),
        ("relative_error_median", -0.1),
        ("relative_error_mean", math.inf),
        ("spread_error_p95", math.nan),
        ("converged", 1.5),
        ("converged", -1.0),
        ("num_samples", 0),
        ("num_samples", -5),
        ("num_samples", None),
        ("draws", 0),
        ("left_out", -1),
        ("steps", -1),
        ("model", None),
        ("model", ""),
        ("model", " \u3000\xa0"),
        ("model", "m" * 5000),
        ("layer", None),
        ("measure", None),
        ("inversion_set", "../../etc"),
        ("inversion_set", None),
        ("network_id", "E" * 16),
        ("model_revision", "main"),
        ("model_revision", "\x1b]0;title\x07"),
        ("reference_revision", "a" * 41),
    ],
)
def test_values_out_of_range_are_refused_by_name(tmp_path: Path, name: str, value: Any) -> None:
    path = write(tmp_path, **{name: value})
    with pytest.raises(RequestError, match=rf"^scores/{path.name} of dataset lab/x .*'{name}' is "):
        scores.read(path, "dataset lab/x")


def test_the_columns_of_the_engine_are_its_options() -> None:
    assert list(score_rows.engine_columns().items()) == list(scores.ENGINE.items())
    identifying = {f.name for f in fields(InversionConfig) if f.name != "draws"}
    assert set(scores.ENGINE) - identifying == {"spread_tolerance"}


def test_a_new_option_of_the_engine_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True)
    class Wider(InversionConfig):
        damping: float = option(0.25, "Damping.", neutral=0.0)

    made = inverted(Net(), noise_images(6), exact=True)
    result = stir_hf.score(Net(1), made, progress=False)
    monkeypatch.setattr(score_rows, "InversionConfig", Wider)
    result.config["data"][0]["engine"]["damping"] = 0.75
    (row,) = score_rows.rows_of(result)
    assert row["exact"] is True
    assert row["damping"] == 0.75
    found = pq.read_table(score_rows.write(row, tmp_path)).to_pylist()[0]
    assert (found["exact"], found["damping"], found["constraint"]) == (True, 0.75, "box")
    assert set(scores.read(tmp_path / f"{scores.name_of(row)}.parquet")) == set(scores.COLUMNS)


def test_another_measure_has_another_range(tmp_path: Path) -> None:
    mine: dict[str, Any] = {"measure": "mine", "measure_least": -1.0}
    assert scores.read(write(tmp_path, **mine, stir=-0.5))["stir"] == -0.5
    with pytest.raises(RequestError, match="'stir' is 5"):
        scores.read(write(tmp_path, **mine, stir=5.0))
    distance = {**mine, "measure_least": 0.0, "measure_most": None, "measure_closer": "smaller"}
    assert scores.read(write(tmp_path, **distance, stir=5.0))["stir"] == 5.0
    with pytest.raises(RequestError, match=r"'stir' is -0\.5, not a number from 0 on"):
        scores.read(write(tmp_path, **distance, stir=-0.5))


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        ({"measure_closer": "smaller"}, "'measure_closer' or its range is not that of linear_cka"),
        ({"measure_most": 9.0}, "'measure_closer' or its range is not that of linear_cka"),
        ({"measure": "x", "measure_closer": "nearer"}, "'nearer', not larger or smaller"),
        ({"measure": "x", "measure_closer": None}, "'measure_closer' is empty"),
        ({"measure": "x", "measure_least": math.nan}, "'stir' is 0.7, not a number"),
    ],
)
def test_a_scale_that_nobody_may_claim(tmp_path: Path, scale: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        scores.read(write(tmp_path, **scale))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _spoilt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(range(256)) * 1 + bytes(140)
    path.write_bytes(bytes(data))


def _large(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(10**10)  # sparse


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PAR1"),
        lambda path: path.write_bytes(b"<!doctype html><html>404</html>"),
        lambda path: path.write_bytes(b"PAR1" + b"\xff" * 500 + b"PAR1"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        _cut,
        _spoilt,
        _large,
    ],
    ids=["empty", "mark", "html", "garbage", "gone", "folder", "cut", "spoilt", "large"],
)
def test_what_is_no_file_of_scores_is_a_line(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    path = write(tmp_path)
    spoil(path)
    with pytest.raises(RequestError, match=f"scores/{path.name} cannot be used: ") as found:
        scores.read(path)
    assert str(found.value).isprintable()


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"stir": None}, "no 'stir'"),
        ({"network_id": None}, "no 'network_id'"),
        ({"stir": ["0.7"]}, "'stir' is of type string"),
        ({"stir": [True]}, "'stir' is of type bool"),
        ({"stir": [[0.7]]}, "'stir' is of type list"),
        ({"model": [{"name": "a"}]}, "'model' is of type struct"),
        ({"model": [b"lab/a"]}, "'model' is of type binary"),
        ({"num_samples": [100.0]}, "'num_samples' is of type double"),
        ({"notes": ["a note"]}, "'notes' is of type string"),
        ({"notes": [[["nested"]]]}, "'notes' is of type list"),
        ({"notes": [["n" * 2_000_000]]}, "it says that it holds 2 MB"),
        ({"notes": [["n"] * 2_000_000]}, "it says that it holds"),
    ],
    ids=lambda value: re.sub(r"\W+", "-", str(value))[:40],
)
def test_other_columns_are_refused(tmp_path: Path, columns: dict[str, Any], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        scores.read(table(tmp_path, **columns))


@pytest.mark.parametrize("count", [0, 2])
def test_a_file_is_one_score(tmp_path: Path, count: int) -> None:
    one = pq.read_table(write(tmp_path))
    pq.write_table(pa.concat_tables([one] * count) if count else one.slice(0, 0), tmp_path / "x")
    with pytest.raises(RequestError, match=f"it has {count} rows"):
        scores.read(tmp_path / "x")


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    one = pq.read_table(write(tmp_path))
    pq.write_table(one.append_column("stir", [[5.0]]), tmp_path / "x")
    with pytest.raises(RequestError, match="it has 2 columns 'stir'"):
        scores.read(tmp_path / "x")


def test_further_columns_are_left_out(tmp_path: Path) -> None:
    found = scores.read(table(tmp_path, evil=["\x1b[2J"], extra=[{"a": 1}]))
    assert set(found) == set(scores.COLUMNS)


def test_bytes_that_are_no_text_are_a_line(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    )
    with pytest.raises(RequestError, match="cannot be used"):
        scores.read(table(tmp_path, model=bad))
