"""The error over the spread of the representations: maps whose values are known in closed form."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import stir_hf
from stir_hf import Inversions
from stir_hf.data.identity import order_of
from stir_hf.data.sets.manifest import Manifest
from stir_hf.data.sets.parts import merge
from stir_hf.data.sets.spread import spread_of
from stir_hf.demo import IMAGES, model_path
from stir_hf.engine import AdamPolyak, Item, Tolerance
from stir_hf.engine.tolerance import ADVISED, LOOSE
from stir_hf.publish.score_rows import rows_of
from stir_hf.report import summary
from stir_hf.results import Score, number
from stir_hf.scoring import notes_on
from tests.engine.problems import by_row, errors, items, network
from tests.engine.problems import run as descended
from tests.test_cli import run
from tests.tiny import Net, noise_images, pictures

SIDE, WIDTH = 8, 20


class Affine(nn.Module):
    """Images (b, 3, 8, 8) to (b, d): a x + b."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.map = nn.Linear(weight.shape[1], len(weight), dtype=torch.float64)
        with torch.no_grad():
            self.map.weight.copy_(torch.as_tensor(weight))
            self.map.bias.copy_(torch.as_tensor(bias))

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.map(images.flatten(1))
        return out


class Problem:
    """Grey-ish images, and a linear map of them whose mean is `offset` times the spread long."""

    def __init__(self, offset: float, count: int = 40) -> None:
        rng = np.random.default_rng(0)
        pixels = np.rint(rng.uniform(0.35, 0.65, (count, SIDE, SIDE, 3)) * 255).astype(np.uint8)
        self.images = [Image.fromarray(one) for one in pixels]
        x = pixels.transpose(0, 3, 1, 2).reshape(count, -1) / 255
        a = rng.normal(size=(WIDTH, x.shape[1])) / x.shape[1] ** 0.5
        f = x @ a.T
        self.spread = float(np.sqrt(((f - f.mean(0)) ** 2).sum(1).mean()))
        mean = np.ones(WIDTH) / WIDTH**0.5 * self.spread * offset
        bias = mean - f.mean(0)
        self.f = f + bias
        turn = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
        self.reference, self.turned = Affine(a, bias), Affine(turn @ a, turn @ bias)

    def invert(self, count: int | None = None, **options: Any) -> Inversions:
        options = {"start": "grey", "progress": False, **options}
        return stir_hf.invert(self.reference, self.images[:count], **options)

    def turned_score(self, made: Inversions) -> Score:
        """Of the reference's own rotation, which must get 1."""
        return stir_hf.score(self.turned, made, progress=False).scores[0]


# The spread


@pytest.mark.parametrize("size", [1, 7, 64, 100])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_spread_is_that_of_numpy_in_any_batches(size: int, offset: float) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 5)) * np.arange(1, 6) + offset
    found = spread_of(rows[i : i + size] for i in range(0, 100, size))
    assert found is not None
    assert found.spread == pytest.approx(np.sqrt(rows.var(0).sum()), rel=1e-9)
    assert found.mean == pytest.approx(np.linalg.norm(rows.mean(0)), rel=1e-12)
    assert found.length == pytest.approx(np.sqrt((rows**2).sum(1).mean()), rel=1e-9)


@pytest.mark.parametrize("rows", [np.zeros((0, 3)), np.ones((1, 3)), np.full((9, 3), 0.1)])
def test_no_spread_is_none(rows: np.ndarray) -> None:
    assert spread_of([rows]) is None
    assert spread_of(rows[None] for rows in rows) is None


def test_a_set_knows_its_spread_and_the_errors_over_it() -> None:
    problem = Problem(offset=3)
    made = problem.invert(draws=2, start="noise", steps=20, num_samples=40)
    assert made.spread is not None
    assert made.spread_error is not None
    assert made.spread.spread == pytest.approx(problem.spread, rel=1e-5)  # each image once
    assert made.spread.mean == pytest.approx(3 * problem.spread, rel=1e-5)
    away = made.representation_inverted.astype(float) - made.representation
    expected = np.linalg.norm(away, axis=1) / problem.spread
    np.testing.assert_allclose(made.spread_error, expected, rtol=1e-4)
    part = made.prefix(num_samples=12, draws=1)
    some = problem.f[part.index]
    assert part.spread is not None
    assert part.spread.spread == pytest.approx(np.sqrt(some.var(0).sum()), rel=1e-5)


def test_one_image_has_no_spread() -> None:
    made = Problem(offset=1).invert(8, steps=3)
    made = made.restrict_to({int(made.index[0])})
    assert made.spread is None
    assert made.spread_error is None
    assert summary(made)["spread_error"] is None
    assert "the error over the spread is undefined: there is one image" in list(notes_on(made))


# What is shown


def test_a_long_mean_is_told_and_a_tolerance_of_the_spread_helps() -> None:
    problem = Problem(offset=30)
    made = problem.invert()
    loose = problem.turned_score(made)
    assert made.converged.all()
    assert loose.relative_error.p95 <= 0.02
    assert loose.spread_error is not None
    assert loose.spread_error.median > 0.2
    assert loose.debiased is not None
    assert loose.debiased.stir is not None
    assert loose.debiased.stir < 0.96
    (note,) = loose.notes
    assert "a tolerance of 0.02 is 0.6 of the spread of the representations" in note
    assert f"is 30 of it): inputs count as converged with more than {LOOSE:g}" in note
    assert f"a tolerance of {ADVISED} leaves less" in note
    good = problem.turned_score(problem.invert(tolerance=ADVISED))
    assert good.debiased is not None
    assert good.debiased.stir is not None
    assert good.debiased.stir > 0.997
    assert good.spread_error is not None
    assert good.spread_error.median <= 0.05
    assert not any("a tolerance of" in note for note in good.notes)


@pytest.mark.parametrize("name", ["standard-0", "standard-1", "robust-0", "robust-1"])
def test_the_default_is_not_too_loose_for_embedded_networks(name: str) -> None:
    made = stir_hf.invert(model_path(name), str(IMAGES), num_samples=30, steps=2, progress=False)
    assert made.spread is not None
    share = Tolerance(0.02).share(made.spread.length, made.spread.spread)
    assert 0.024 < share < 0.027
    assert Tolerance(0.02).warning(made.spread.mean, made.spread.spread) is None
    assert not any("a tolerance of" in note for note in notes_on(made))


def test_a_loose_tolerance_that_was_kept_below_is_not_told() -> None:
    """Starts that are nearly the originals."""
    problem = Problem(offset=30)
    starts = torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i in problem.images])
    made = problem.invert(starts=starts / 255 + 0.001, start="given")
    assert made.spread_error is not None
    assert made.spread_error.max() < LOOSE
    assert not any("a tolerance of" in note for note in notes_on(made))


def test_what_missed_a_tolerance_of_the_spread_is_told_in_its_terms() -> None:
    made = Problem(offset=3).invert(tolerance="spread:0.001", steps=4)
    assert made.spread_error is not None
    median = np.median(made.spread_error)
    (note,) = notes_on(made)
    assert note.startswith(
        "100% of the inversions did not reach an error of 0.001 of the spread in "
    )
    assert f"theirs is {median:.3f} (median)" in note


def test_an_estimate_tells_before_anything_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem(offset=30)
    how: dict[str, Any] = {"verb": "invert", "start": "grey"}
    (found,) = stir_hf.estimate([problem.reference], problem.images, **how)
    (note,) = found.notes
    assert "a tolerance of 0.02 is 0.6 of the spread" in note
    (found,) = stir_hf.estimate([problem.reference], problem.images, tolerance=ADVISED, **how)
    assert found.notes == ()
    words = ["invert", model_path("robust-0"), "--dataset", str(IMAGES), "--num-samples", "12"]
    code, said, _ = run([*words, "--dry-run", "--out", "x", "--tolerance", "0.5"], capsys)
    assert code == 0
    assert "  Note: a tolerance of 0.5 is 0.6" in said


def test_scores_are_published_with_it_and_with_the_kind_of_tolerance() -> None:
    for tolerance, columns in ((0.1, (0.1, None)), ("spread:0.1", (None, 0.1))):
        how: dict[str, Any] = {"steps": 3, "tolerance": tolerance, "progress": False}
        result = stir_hf.compare(Net(1), Net(2), pictures(8), **how)
        for row, score in zip(rows_of(result), result.scores, strict=True):
            assert (row["tolerance"], row["spread_tolerance"]) == columns
            assert score.spread_error is not None
            assert row["spread_error_median"] == score.spread_error.median
            assert row["spread_error_p95"] == score.spread_error.p95
            assert score.flat()["spread_error"] == score.spread_error.median
        shown = result._repr_html_().split("debiased</th>", 1)[1].split("</tr>")[0]
        assert result.scores[0].debiased is not None
        assert f"<td>{number(result.scores[0].debiased.ceiling)}</td>" in shown
        assert f"<td>{number(result.scores[0].flat()['spread_error'])}</td>" in shown
        assert "debiased" in str(result.scores[0])
        assert result.config["tolerance"] == tolerance
        assert stir_hf.StirResult.from_dict(result.to_dict()) == result


def test_invert_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["invert", model_path("robust-0"), "--dataset", str(IMAGES), "--num-samples", "6"]
    words += ["--steps", "3", "--tolerance", "spread:.9", "--out", str(tmp_path)]
    code, said, _ = run([*words, "--json"], capsys)
    found = json.loads(said)
    assert (code, found["tolerance"]) == (0, "spread:0.9")
    assert set(found["spread_error"]) == {"median", "mean", "p95"}
    code, said, _ = run(words, capsys)
    shown = f"({found['spread_error']['median']:.3f} of the spread)"
    assert (code, shown in said, "at or below 0.9 of the spread" in said) == (0, True, True)


# A tolerance of the spread


def test_an_image_stops_at_its_own_tolerance() -> None:
    net = by_row(network())
    work = items(network(), 6)
    limits = [0.3, 0.02, 0.1, 0.3, 0.02, 0.1]
    mixed = [
        Item(one.key, one.start, one.target, None, limit)
        for one, limit in zip(work, limits, strict=True)
    ]
    for batch in (1, 2, 6):
        found = descended(net, mixed, AdamPolyak(), passes=400, tolerance=1e-9, batch=batch)
        for i, limit in enumerate(limits):
            (alone,) = descended(net, [work[i]], AdamPolyak(), passes=400, tolerance=limit)
            assert found[i].passes == alone.passes
            assert torch.equal(found[i].value, alone.value)
        assert bool((errors(net, work, found) <= torch.tensor(limits)).all())


@pytest.mark.verify
@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_tolerance_of_the_spread_does_not_depend_on_batches(batch_size: int) -> None:
    problem = Problem(offset=10)
    how: dict[str, Any] = {"tolerance": "spread:0.2"}
    whole, other = (problem.invert(batch_size=size, **how) for size in (40, batch_size))
    assert whole.converged.all()
    assert whole.manifest.spread == pytest.approx(problem.spread, rel=1e-6)
    assert other.manifest.spread == pytest.approx(whole.manifest.spread, rel=1e-12)
    np.testing.assert_allclose(other.relative_error, whole.relative_error, atol=1e-7)
    limit = 0.2 * problem.spread / np.linalg.norm(problem.f[whole.index], axis=1)
    np.testing.assert_array_equal(whole.converged, whole.relative_error <= limit)
    assert whole.relative_error.min() > 0.3 * limit.min()  # they stopped there


def test_growing_keeps_the_spread_it_was_begun_with(tmp_path: Path) -> None:
    problem = Problem(offset=10, count=90)
    how: dict[str, Any] = {"tolerance": "spread:0.3"}
    first = problem.invert(None, num_samples=70, out=tmp_path / "grown", **how)
    grown = problem.invert(None, num_samples=90, out=tmp_path / "grown", **how)
    whole = problem.invert(None, num_samples=90, out=tmp_path / "whole", **how)
    assert first.manifest.spread == grown.manifest.spread == whole.manifest.spread
    assert grown.manifest.hash == whole.manifest.hash
    np.testing.assert_allclose(grown.relative_error, whole.relative_error, atol=1e-7)
    small = problem.invert(None, num_samples=10, out=tmp_path / "small", **how).manifest.spread
    assert small != whole.manifest.spread
    assert problem.invert(None, out=tmp_path / "small", **how).manifest.spread == small


def test_parts_are_of_one_spread(tmp_path: Path) -> None:
    problem = Problem(offset=10)
    how: dict[str, Any] = {"tolerance": "spread:0.3"}
    for i in (1, 2):
        problem.invert(part=f"{i}/2", out=tmp_path / str(i), **how)
    (joined,) = map(Inversions.read, merge([tmp_path / "1", tmp_path / "2"], tmp_path / "all"))
    whole = problem.invert(**how)
    assert joined.manifest.hash == whole.manifest.hash
    assert joined.manifest.spread == pytest.approx(whole.manifest.spread, rel=1e-12)
    np.testing.assert_allclose(joined.relative_error, whole.relative_error, atol=1e-7)
    problem.invert(part="2/2", out=tmp_path / "fewer", num_samples=8, **how)
    with pytest.raises(stir_hf.RequestError, match="give every part the same --num-samples"):
        merge([tmp_path / "1", tmp_path / "fewer"], tmp_path / "other")


def test_an_older_manifest_has_none(tmp_path: Path) -> None:
    made = stir_hf.invert(Net(), pictures(5), steps=2, out=tmp_path, progress=False)
    assert made.manifest.spread is None
    plain = made.manifest.to_dict()
    del plain["spread"]
    assert Manifest.from_dict(plain, "there") == made.manifest


@pytest.mark.parametrize(
    "given", ["spread:-1", "spread:x", "sprd:0.1", "spread:", "spread:nan", "0.1", "spread", None]
)
def test_wrong_tolerances_are_one_line(given: Any) -> None:
    with pytest.raises(stir_hf.RequestError) as caught:
        stir_hf.invert(Net(), pictures(5), tolerance=given)
    assert "spread:X, such as 0.02 or spread:0.05, not" in str(caught.value)
    assert repr(given) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", ["spread:-1", "sprd:0.1"])
def test_wrong_tolerances_on_the_command_line(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", model_path("robust-0"), model_path("robust-1"), "--dataset", str(IMAGES)]
    code, said, told = run([*words, "--tolerance", given], capsys)
    assert (code, said) == (2, "")
    (line,) = [line for line in told.splitlines() if "tolerance" in line]
    assert line.endswith(f"not {given!r}")


def test_images_that_are_all_the_same_have_no_spread_to_be_of() -> None:
    copies, how = noise_images(1) * 4, dict[str, Any](tolerance="spread:0.1")
    said = "represents all of them the same; give a number, or choose another layer"
    with pytest.raises(stir_hf.RequestError, match=said):
        stir_hf.invert(Net(), copies, progress=False, **how)
    with pytest.raises(stir_hf.RequestError, match=said):
        stir_hf.estimate([Net()], copies, verb="invert", **how)
    made = stir_hf.invert(Net(), copies, progress=False, steps=2)
    assert made.spread is None
    assert any("undefined: all images are represented the same" in n for n in notes_on(made))


class Dark(nn.Module):
    """Represents a black image by zeros."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.f = nn.Linear(192, 6)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.f(x.flatten(1)) * (x.mean((1, 2, 3)) > 0)[:, None]
        return found


def test_an_image_that_is_represented_by_zeros_is_left_out() -> None:
    images = [*noise_images(6), Image.new("RGB", (8, 8))]
    for tolerance in (0.02, "spread:0.05"):
        made = stir_hf.invert(Dark(), images, tolerance=tolerance, steps=3, progress=False)
        assert (len(made), made.left_out) == (6, {6: "not_finite"})


def test_a_prefix_of_a_smaller_spread_is_told(tmp_path: Path) -> None:
    """The tolerance is of the spread of all 40 images, of which the first few are nearly equal."""
    order = order_of(40, 40).tolist()
    flat = np.full((8, 8, 3), 128)
    rng = np.random.default_rng(0)
    wide = [k >= 6 for k in range(40)]
    images: list[Any] = [None] * 40
    for place, index in enumerate(order):
        size = 90 if wide[place] else 1
        images[index] = Image.fromarray(
            (flat + rng.integers(-size, size + 1, flat.shape)).astype(np.uint8)
        )
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 12))
    how: dict[str, Any] = {"tolerance": "spread:0.05", "steps": 300, "progress": False}
    made = stir_hf.invert(net, images, out=tmp_path, **how)
    (whole,) = stir_hf.score(net, made, progress=False).scores
    assert not any("is loose" in note or "of the spread" in note for note in whole.notes)
    (first,) = stir_hf.score(net, made, num_samples=6, progress=False).scores
    (note,) = [n for n in first.notes if "of the spread is" in n]
    assert first.converged == 1
    assert "the debiased ceiling says whether" in note
