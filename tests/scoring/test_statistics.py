"""Intervals, differences, nulls and several measures, from a run to its result."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import t

import stir_hf
from stir_hf import Inversions, RequestError, StirResult
from stir_hf.report import differences, table
from stir_hf.report.figures import figures
from stir_hf.results import published
from stir_hf.similarity.null import permutations
from tests import reference
from tests.test_cli import run
from tests.tiny import Net, inverted, noise_images

QUIET: dict[str, Any] = {"progress": False}


@pytest.fixture(scope="module")
def made() -> Inversions:
    return inverted(Net(), noise_images(30), steps=20, draws=2)


def sides(net: Net, made: Inversions, draw: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The index, and the representations of originals and inversions, of one draw."""
    rows = np.flatnonzero(made.draw == draw)
    images = (np.asarray(made.image)[rows], np.asarray(made.inverted)[rows])
    with torch.no_grad():
        x, y = (net(torch.from_numpy(i).float()).double().numpy() for i in images)
    return made.index[rows], x, y


def test_the_interval_is_the_jackknife_of_refits(made: Inversions) -> None:
    net = Net(1)
    (score,) = stir_hf.score(net, made, **QUIET, batch_size=7).scores
    found = [sides(net, made, draw) for draw in (0, 1)]
    every = np.unique(made.index)
    without = [
        np.mean([reference.debiased_cka(x[i != one], y[i != one]) for i, x, y in found])
        for one in every
    ]
    error = np.sqrt((len(every) - 1) / len(every) * np.square(without - np.mean(without)).sum())
    value = np.mean([reference.debiased_cka(x, y) for _, x, y in found])
    half = t.ppf(0.975, len(every) - 1) * error
    assert score.interval is not None
    assert score.interval == pytest.approx((max(-1, value - half), min(1, value + half)), abs=1e-5)
    assert score.interval_level == 0.95
    draws = [reference.debiased_cka(x, y) for _, x, y in found]
    assert score.draw_deviation == pytest.approx(np.std(draws, ddof=1), abs=1e-6)


def test_copies_are_one_sample() -> None:
    images = noise_images(20)
    once = stir_hf.score(Net(1), inverted(Net(), images, steps=10, start="grey"), **QUIET)
    result = stir_hf.score(Net(1), inverted(Net(), images + images, steps=10), **QUIET)
    moves = result.displacements[0]
    assert len(np.unique(moves.cluster)) == 20
    left = moves.left_out(0.5)
    assert left is not None
    assert len(left.without) == 20
    assert once.scores[0].interval is not None


def test_the_null_is_of_permuted_inversions(made: Inversions) -> None:
    net = Net(1)
    (score,) = stir_hf.score(net, made, null=40, **QUIET).scores
    found = [sides(net, made, draw) for draw in (0, 1)]
    order = [np.argsort(i) for i, _, _ in found]
    pairs = [(x[o], y[o]) for (_, x, y), o in zip(found, order, strict=True)]
    values = []
    for permutation in permutations(30, 40, seed=0):
        moved = np.argsort(permutation)
        values.append(np.mean([reference.linear_cka(x, y[moved]) for x, y in pairs]))
    assert score.null is not None
    assert score.stir is not None
    expected = (1 + sum(v >= score.stir for v in values)) / 41
    assert score.null.p == pytest.approx(expected)
    ordered = np.sort([score.stir, *values])
    assert score.null.threshold == pytest.approx(ordered[int(np.ceil(0.95 * 41)) - 1], abs=1e-5)
    assert published(score)["null_p"] == score.null.p
    again = stir_hf.score(net, made, null=40, **QUIET, batch_size=3).scores[0]
    assert again.null is not None
    assert again.null.threshold == pytest.approx(score.null.threshold, abs=1e-9)


def test_a_difference_is_paired_and_survives_the_file(made: Inversions, tmp_path: Path) -> None:
    result = stir_hf.score([Net(1), Net(1, gain=1.1), Net(2)], made, out=tmp_path, **QUIET)
    near, far = result.difference(0, 1), result.difference(0, 2)
    one, two = (result.scores[i].debiased.stir for i in (0, 1))  # type: ignore[union-attr]
    assert one is not None
    assert two is not None
    assert near.value == pytest.approx(one - two)
    width = near.interval.high - near.interval.low
    interval = result.scores[0].interval
    assert interval is not None
    assert width < (interval.high - interval.low) / 2
    assert far.interval.low <= far.value <= far.interval.high
    loaded = StirResult.load(tmp_path)
    assert loaded.difference(0, 1) == near
    assert loaded.scores == result.scores
    (line,) = differences(loaded)
    assert line.startswith("Scores given ")
    with pytest.raises(RequestError, match="the result has no displacements"):
        replace(result, displacements=()).difference(0, 1)


def test_scores_of_different_sets_have_no_difference(made: Inversions) -> None:
    other = inverted(Net(3), noise_images(30), steps=20)
    result = stir_hf.score(Net(1), [made, other], **QUIET, draws=1)
    with pytest.raises(RequestError, match="scores of inversion_set"):
        result.difference(0, 1)
    without = stir_hf.score([Net(1), Net(2)], made, interval="none", **QUIET)
    assert without.scores[0].interval is None
    assert differences(without) == []
    with pytest.raises(RequestError, match="has no interval"):
        without.difference(0, 1)


def test_several_measures_cost_one_pass_and_give_what_each_alone_gives(made: Inversions) -> None:
    class Counted(Net):
        passes = 0

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            Counted.passes += len(images)
            return super().forward(images)

    names = ["linear_cka", "procrustes", "rbf_cka", "mutual_knn"]
    net, counts = Counted(1), []
    for measure in (names[:1], names):
        Counted.passes = 0
        together = stir_hf.score(net, made, measure=measure, **QUIET)
        counts.append(Counted.passes)
    assert counts[0] == counts[1]
    assert [s.measure for s in together.scores] == names
    for score in together.scores:
        (alone,) = stir_hf.score(net, made, measure=score.measure, **QUIET).scores
        assert alone.flat() == pytest.approx(score.flat(), abs=1e-12)
        assert (alone.interval is None) == (score.interval is None)
    shown = table(together)
    assert "(in brackets: the 0.95 interval of the debiased score" in shown


def test_pictures_and_tables_tell_measures_apart() -> None:
    nets = [Net(1), Net(2), Net(3)]
    how: dict[str, Any] = {"num_samples": 12, "steps": 5, **QUIET}
    result = stir_hf.matrix(nets, noise_images(12), measure=["linear_cka", "procrustes"], **how)
    drawn = figures(result)
    assert {"matrix", "similarity", "matrix-procrustes", "similarity-procrustes"} <= set(drawn)
    for name, measure in (("matrix", "linear_cka"), ("matrix-procrustes", "procrustes")):
        (axes, *_) = drawn[name].axes
        assert axes.get_title().endswith(measure)
        texts = {text.get_text() for text in axes.texts}
        scores = [s for s in result.scores if s.measure == measure]
        assert len(scores) == 6
        assert {f"{s.stir:.2f}" for s in scores} <= {text.partition("\n")[0] for text in texts}
    assert table(result).count(", procrustes |") == 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--interval", "0.9", "--measure", "procrustes"], "measure 'procrustes' has no interval"),
        (["--interval", "2"], "interval must be a level between 0 and 1, or none, not 2"),
        (["--interval", "often"], "interval must be a level between 0 and 1, or none"),
        (["--null", "50"], "null=50 needs at least 20"),
        (["--null", "-1"], "null must be a whole number of at least 0, not -1"),
        (["--measure", "mutual_knn:k=7"], "mutual_knn:k=7 needs at least 8"),
    ],
    ids=str,
)
def test_what_cannot_be_had_is_one_line(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.test_cli import COMPARE

    code, out, err = run([*COMPARE, *options, "--out", str(tmp_path / "out")], capsys)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1 or err.strip().splitlines()[-1].startswith("stir-hf:")
    assert not (tmp_path / "out").exists()
