"""Results as plain data."""

import json
import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import pytest

from stir_hf import RequestError, Score, StirResult
from stir_hf.report import table
from stir_hf.results import (
    Anchors,
    Interval,
    RelativeError,
    Told,
    published,
    score_columns,
    told_fields,
)
from stir_hf.results.columns import SHARE


def score(
    model: str, floor: float | None = 0.3, interval: tuple[float, float] | None = None
) -> Score:
    return Score(
        model=model,
        reference="r",
        layer="penultimate",
        reference_layer="logits",
        measure="linear_cka",
        stir=0.7,
        similarity=0.8,
        floor=floor,
        ceiling=0.99,
        debiased=Anchors(0.6, 0.7, None, 0.98),
        num_samples=10,
        relative_error=RelativeError(0.01, 0.02, 0.03),
        converged=0.9,
        interval=None if interval is None else Interval(*interval),
        notes=("floor undefined: ü",),
    )


@pytest.fixture
def result() -> StirResult:
    return StirResult(
        (score("a"), score("b", None, (0.6, 0.8))),
        {"seed": 0, "models": ["a", "b"]},
        {"torch": "2"},
    )


def test_json_round_trip(result: StirResult) -> None:
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert StirResult.from_dict(json.loads(text)) == result


def test_the_object_that_is_printed(result: StirResult) -> None:
    first, second = result.to_dict()["scores"]
    assert first["debiased"] == {"stir": 0.6, "similarity": 0.7, "floor": None, "ceiling": 0.98}
    assert first["interval"] is None
    assert second["interval"] == [0.6, 0.8]
    assert second["floor"] is None


def test_save_and_load(result: StirResult, tmp_path: Path) -> None:
    path = result.save(tmp_path / "new" / "folder")
    assert path.name == "result.json"
    assert StirResult.load(path.parent) == result
    assert {p.name for p in path.parent.iterdir()} == {"result.json", "report.html", "figures"}


def test_saving_again_writes_the_same_bytes(tmp_path: Path) -> None:
    some = [replace(score(name), reference=other) for name in "abc" for other in "abc"]
    saved = StirResult(tuple(one for one in some if one.model != one.reference))
    names = ("result.json", "report.html", "figures/matrix.png", "figures/similarity.png")
    found = []
    for _ in range(2):
        saved.save(tmp_path)
        assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")} == {*names}
        found.append([(tmp_path / name).read_bytes() for name in names])
    assert found[0] == found[1]


def test_every_field_of_a_score_is_published_or_says_nothing_yet() -> None:
    told = {name for name, one in told_fields().items() for _ in one.columns(name)}
    assert {f.name for f in fields(Score)} - told == set()
    assert set(score_columns()) == set(published(score("a")))
    assert published(score("a"))["unconverged_p95"] is None


def test_a_new_field_is_told_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Wider(Score):
        width: float = field(default=0.25, metadata=Told(SHARE, heading="width").metadata())

    monkeypatch.setattr("stir_hf.results.score.Score", Wider)
    wide = Wider(**{f.name: getattr(score("a"), f.name) for f in fields(score("a"))})
    result = StirResult((wide,))
    assert result.to_dict()["scores"][0]["width"] == 0.25
    assert published(wide)["width"] == 0.25
    assert score_columns()["width"] == SHARE
    assert result.to_pandas()["width"].tolist() == [0.25]
    assert "| 25%" in table(result)
    assert '<th scope="col">width</th>' in result._repr_html_()


def test_not_a_number_is_never_written(tmp_path: Path) -> None:
    StirResult((score("a"),)).save(tmp_path)
    before = (tmp_path / "result.json").read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        StirResult((score("a", float("nan")),)).save(tmp_path)
    assert (tmp_path / "result.json").read_bytes() == before


def test_large_errors_have_a_finite_mean() -> None:
    """A set of strangers may hold any number that float32 can."""
    found = RelativeError.of(np.full(100, 3e38, np.float32))
    assert found.mean == pytest.approx(3e38, rel=1e-6)
    assert math.isfinite(found.median + found.p95)


def test_to_pandas(result: StirResult) -> None:
    table = result.to_pandas()
    assert table["model"].tolist() == ["a", "b"]
    assert table["debiased.stir"].tolist() == [0.6, 0.6]
    assert table["relative_error.p95"].tolist() == [0.03, 0.03]
    assert table["floor"].isna().tolist() == [False, True]


def test_an_unknown_keyword_of_a_push_is_a_wrong_request() -> None:
    result = StirResult(())
    with pytest.raises(RequestError, match="unknown option 'privat'; did you mean private"):
        result.push_to_hub("lab/scores", privat=True)
