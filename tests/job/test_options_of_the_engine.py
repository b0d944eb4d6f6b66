"""Constraints, objectives and draws through the whole package."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stir_hf
from stir_hf import RequestError
from stir_hf.demo import IMAGES, model_path
from stir_hf.publish.score_rows import rows_of
from tests.test_cli import run
from tests.tiny import Net, compared, inverted, judged, noise_images, pictures, record
from tests.vectors.conftest import features, linear, table_of

STANDARD, OTHER, ROBUST = (model_path(name) for name in ("standard-0", "standard-1", "robust-0"))
DEMO: dict[str, Any] = {"num_samples": 20, "steps": 60, "progress": False}


@pytest.mark.parametrize("text", ["l2:radius=1e-3", "linf:radius=1e-3"])
@pytest.mark.parametrize("around", ["start", "original"])
def test_a_tiny_ball_has_its_floor_at_its_ceiling(text: str, around: str) -> None:
    found = inverted(Net(), pictures(40), constraint=f"{text},around={around}", exact=True)
    score = judged(Net(), found)
    assert score.ceiling is not None
    assert score.floor == pytest.approx(score.ceiling, abs=0.01)
    if around == "original":
        assert score.stir == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("start", ["noise", "other"])
@pytest.mark.parametrize("around", ["start", "original"])
@pytest.mark.parametrize(("name", "radius"), [("l2", 0.8), ("linf", 0.1)])
def test_stored_images_lie_in_their_ball_or_a_note_says_by_how_much_not(
    name: str, radius: float, around: str, start: str, tmp_path: Path
) -> None:
    text = f"{name}:radius={radius},around={around}"
    how: dict[str, Any] = {"constraint": text, "start": start, "steps": 30}
    exact = judged(Net(1), inverted(Net(), pictures(10), exact=True, **how))
    assert not any("outside their ball" in note for note in exact.notes)
    found = inverted(Net(), pictures(10), tmp_path, **how)
    offset = np.asarray(found.inverted) - np.asarray(found.image)
    (note,) = [n for n in judged(Net(1), found).notes if "outside their ball" in n]
    said = float(note.split("up to ")[1].split()[0])
    assert said <= (0.5 / 255) * ((3 * 64) ** 0.5 if name == "l2" else 1) + 1e-3
    if around == "original":
        axes = tuple(range(1, 4))
        far = np.sqrt((offset**2).sum(axes)) if name == "l2" else np.abs(offset).max(axes)
        assert float(far.max()) - radius == pytest.approx(said, rel=0.05)


def test_what_storing_costs_without_bounds_is_told() -> None:
    found = inverted(Net(), pictures(10), constraint="free", steps=30)
    assert found.manifest.identity["engine"]["constraint"]["name"] == "none"
    before = found.unstored_error
    assert before is not None
    assert np.median(before) < np.median(found.relative_error)
    values = np.asarray(found.inverted)
    assert 0 <= values.min() < values.max() <= 1
    exact = inverted(Net(), pictures(10), constraint="free", steps=30, exact=True)
    assert float(np.asarray(exact.inverted).max()) <= 1
    told = f"raised the median error from {np.median(before):.3f}"
    assert any(told in note for note in judged(Net(1), found).notes)
    assert inverted(Net(), pictures(4)).unstored_error is None


def test_a_constraint_and_an_objective_are_named_wherever_a_score_is(tmp_path: Path) -> None:
    how: dict[str, Any] = {"constraint": "l2:radius=2", "objective": "relative_error:p=1"}
    result = compared(Net(), Net(1), noise_images(8), out=tmp_path, **how)
    assert result.config["constraint"] == "l2:radius=2.0"
    assert result.config["objective"] == "relative_error:p=1"
    for row in rows_of(result):
        assert row["constraint"] == "l2:radius=2.0"
        assert row["objective"] == "relative_error:p=1"
        assert (row["restarts"], row["diverse"]) == ("stalled", 0.0)


@pytest.mark.parametrize(
    "how",
    [
        {"constraint": "l2:radius=2"},
        {"constraint": "none"},
        {"constraint": "fourier"},
        {"objective": "cosine"},
        {"restarts": 2},
    ],
    ids=str,
)
def test_sets_that_were_made_otherwise_are_refused_in_one_table(how: dict[str, Any]) -> None:
    (name,) = how
    sets = [inverted(Net(), noise_images(8)), inverted(Net(2), noise_images(8), **how)]
    with pytest.raises(RequestError, match=f"differ in {name}: "):
        stir_hf.score(Net(1), sets, progress=False)


def test_a_controversial_set_is_less_alike_for_its_second_model(tmp_path: Path) -> None:
    how: dict[str, Any] = {"method": "adam", **DEMO}
    found = []
    for i, objective in enumerate(("relative_error", f"controversial:model={OTHER},beta=0.2")):
        made = stir_hf.invert(
            STANDARD, str(IMAGES), objective=objective, out=tmp_path / str(i), **how
        )
        found.append(stir_hf.score(OTHER, made, progress=False))
    plain, apart = (result.displacements[0] for result in found)
    assert apart.relative_distance.mean() > 1.3 * plain.relative_distance.mean()
    assert apart.cosine.mean() < plain.cosine.mean()
    (score,) = found[1].scores
    assert score.debiased is not None
    assert score.debiased.ceiling is not None
    assert score.debiased.ceiling > 0.9
    (note,) = [n for n in score.notes if "objective of the inversions" in n]
    assert "standard-1#" in note
    assert str(Path(OTHER).parent) not in str(record(tmp_path / "1"))


def test_the_second_model_is_part_of_the_identity_by_its_content(tmp_path: Path) -> None:
    def made(model: Any, **more: Any) -> Any:
        return inverted(
            Net(),
            pictures(6),
            method="adam",
            objective=stir_hf.engine.OBJECTIVES.build(
                {"name": "controversial", "version": 1, "model": model}
            ),
            **more,
        )

    one, same, other = made(Net(3)), made(Net(3)), made(Net(4))
    assert one.manifest.hash == same.manifest.hash != other.manifest.hash
    np.testing.assert_array_equal(one.inverted, same.inverted)


@pytest.mark.parametrize("changed", [{"act": torch.sin}, {"gain": 5.0}], ids=["act", "gain"])
def test_a_second_model_of_equal_weights_but_other_outputs_is_refused(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    def made(model: Any) -> Any:
        spelt = {"name": "controversial", "version": 1, "model": model}
        objective = stir_hf.engine.OBJECTIVES.build(spelt)
        return inverted(Net(), pictures(6), tmp_path, method="adam", objective=objective, steps=5)

    first = made(Net(3))
    np.testing.assert_array_equal(made(Net(3)).inverted, first.inverted)
    with pytest.raises(RequestError, match="a further model of the same weights but different"):
        made(Net(3, **changed))


def test_the_error_before_storage_is_the_reference_s_in_an_ensemble_too() -> None:
    how: dict[str, Any] = {**DEMO, "num_samples": 6, "constraint": "none", "exact": True}
    made = stir_hf.invert(STANDARD, str(IMAGES), objective=f"ensemble:models={ROBUST}", **how)
    before = made.unstored_error
    assert before is not None
    assert (before <= made.relative_error + 1e-6).all()


def test_an_ensemble_serves_each_of_its_models() -> None:
    how: dict[str, Any] = {**DEMO, "steps": 100}
    alone = stir_hf.invert(STANDARD, str(IMAGES), **how)
    both = stir_hf.invert(STANDARD, str(IMAGES), objective=f"ensemble:models={ROBUST}", **how)
    apart, together = (judged(ROBUST, made) for made in (alone, both))
    assert together.stir > apart.stir + 0.1  # type: ignore[operator]
    assert (both.relative_error < 0.5).all()


def test_a_second_model_of_another_size_sees_the_image_resized(tiny_models: Any) -> None:
    data = noise_images(6, 40)
    made = inverted(
        tiny_models.resnet,
        data,
        method="adam",
        objective=f"controversial:model={tiny_models.vit}",
    )
    assert np.isfinite(made.relative_error).all()


def test_draws_that_repel_each_other_are_further_apart(tmp_path: Path) -> None:
    how: dict[str, Any] = {"method": "adam", "draws": 3, **DEMO, "num_samples": 6}
    near = stir_hf.invert(ROBUST, str(IMAGES), **how)
    far = stir_hf.invert(ROBUST, str(IMAGES), diverse=0.5, out=tmp_path, **how)
    assert near.draw_distance is not None
    assert far.draw_distance is not None
    assert far.draw_distance > near.draw_distance + 0.02
    values = np.asarray(far.inverted).reshape(6, 3, -1)
    pairs = [(0, 1), (0, 2), (1, 2)]
    apart = [np.sqrt(np.square(values[:, a] - values[:, b]).mean(1)) for a, b in pairs]
    assert far.draw_distance == pytest.approx(np.mean(apart), rel=1e-6)
    score = judged(STANDARD, far)
    assert score.draw_distance == far.draw_distance
    assert any("apart (root mean square)" in note for note in score.notes)
    fewer = stir_hf.invert(
        ROBUST, str(IMAGES), diverse=0.5, out=tmp_path / "b", **{**how, "draws": 2}
    )
    more = stir_hf.invert(ROBUST, str(IMAGES), diverse=0.5, out=tmp_path / "b", **how)
    assert fewer.manifest.hash == more.manifest.hash == far.manifest.hash
    np.testing.assert_array_equal(more.inverted, far.inverted)


def test_repelling_draws_do_not_depend_on_the_batch() -> None:
    how: dict[str, Any] = {"method": "adam", "draws": 3, "diverse": 0.3, "steps": 8}
    runs = [inverted(Net(), pictures(7), batch_size=b, **how) for b in (1, 4, 64)]
    for other in runs[1:]:
        np.testing.assert_allclose(other.inverted, runs[0].inverted, atol=1 / 255 + 1e-6)
        assert np.mean(np.asarray(other.inverted) == np.asarray(runs[0].inverted)) > 0.99


class Short(Net):
    """Runs out of memory once, in its pass number `at` with gradients."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.requires_grad:
            self.left -= 1
            if not self.left:
                raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().forward(images)


@pytest.mark.parametrize("at", [5, 13, 21])
def test_repelling_draws_are_repeated_together_where_memory_is_short(at: int) -> None:
    how: dict[str, Any] = {"method": "adam", "draws": 3, "diverse": 0.3, "steps": 8}
    whole = inverted(Net(), pictures(5), batch_size=4, **how)
    found = inverted(Short(at), pictures(5), batch_size=4, **how)
    assert (found.index == whole.index).all()
    np.testing.assert_allclose(found.inverted, whole.inverted, atol=1 / 255 + 1e-6)
    assert np.mean(np.asarray(found.inverted) == np.asarray(whole.inverted)) > 0.99


REFUSED = {
    "--constraint l2": "constraint 'l2' needs its option 'radius'",
    "--constraint linf:radius=0": "must be above 0 and finite, not 0.0",
    "--objective controversial": "needs a second model",
    "--method adam --objective controversial:model=/nowhere/at/all": "/nowhere/at/all",
    "--objective relative_error:p=0.9": "must be a number from 1 on, or inf, not '0.9'",
    "--restarts 2 --start white": "restarts=2 with start='white' repeats the same inversion",
    "--restarts none": "restarts must be a number of starts",
    "--diverse 1 --method adam": "diverse=1 is a distance between draws; use draws=2 or more",
    "--diverse -1": "diverse must be a finite number of at least 0, not -1.0",
    "--constraint fourier --method smooth": "method 'smooth' filters images",
    "--objective least": "objective 'least' is unknown",
    "--start given:/nowhere/at/all": "/nowhere/at/all",
    "--method paper:keep=first": "must be best or last, not 'first'",
}


@pytest.mark.parametrize("given", REFUSED)
def test_what_is_refused_is_one_line_before_any_work(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["compare", STANDARD, ROBUST, "--dataset", str(IMAGES), "--num-samples", "8"]
    code, out, err = run([*asked, "--out", str(tmp_path / "out"), *given.split()], capsys)
    assert (code, out) == (2, "")
    (line,) = [one for one in err.splitlines() if one.strip()]
    assert REFUSED[given] in line
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_second_model_of_another_kind_of_input_is_refused() -> None:
    with pytest.raises(RequestError, match="takes images, and these data are vectors"):
        inverted(
            linear(4, 0),
            table_of(features()),
            method="adam",
            objective=f"controversial:model={STANDARD}",
        )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"constraint": "fourier"}, "has frequencies in space"),
        ({"objective": "cosine:tv=1", "method": "adam"}, "compares neighbours in space"),
    ],
    ids=str,
)
def test_what_uses_space_is_refused_for_vectors(how: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        inverted(linear(4, 0), table_of(features()), **how)
