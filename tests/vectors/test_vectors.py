"""Vectors from data to score: closed forms, identity, resuming, and what is refused."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import stir_hf
from stir_hf import RequestError
from stir_hf.similarity import debiased_cka, linear_cka
from tests.vectors.conftest import LENGTH, ROWS, checkpoint, features, linear, table_of

EXACT: dict[str, Any] = {
    "method": "adam-polyak:metric=l2,momentum=0,half=0,length=1",
    "steps": 400,
    "tolerance": 1e-6,
    "progress": False,
}
QUICK: dict[str, Any] = {"steps": 30, "progress": False}


def represented(module: nn.Linear, x: NDArray[Any]) -> NDArray[np.float64]:
    weight, bias = (p.detach().double().numpy() for p in (module.weight, module.bias))
    found: NDArray[np.float64] = x.astype(np.float64) @ weight.T + bias
    return found


def test_inversions_and_scores_are_those_of_the_closed_form() -> None:
    data, reference, model = features(), linear(5, 1), linear(7, 2)
    made = stir_hf.invert(reference, data, **EXACT)
    x = np.asarray(made.original, np.float64)
    drawn = [
        np.random.Generator(np.random.Philox(np.random.SeedSequence((0, int(i), 0))))
        for i in made.index
    ]
    noise = np.stack([g.standard_normal(LENGTH, dtype=np.float32) for g in drawn])
    start = noise * np.sqrt(np.square(x).mean(1, keepdims=True))
    weight = reference.weight.detach().double().numpy()
    expected = start + (x - start) @ (np.linalg.pinv(weight) @ weight).T
    np.testing.assert_allclose(np.asarray(made.inverted), expected, atol=2e-4)
    (score,) = stir_hf.score(model, made, progress=False).scores
    own, seen = represented(model, x), represented(model, expected)
    assert score.stir == pytest.approx(linear_cka(own, seen), abs=1e-4)
    assert score.debiased is not None
    assert score.debiased.stir == pytest.approx(debiased_cka(own, seen), abs=1e-4)
    assert score.floor == pytest.approx(linear_cka(own, represented(model, start)), abs=1e-4)
    assert score.ceiling == pytest.approx(1, abs=1e-6)


def test_a_map_that_loses_nothing_gives_the_original_back() -> None:
    made = stir_hf.invert(linear(30, 1), features(), **{**EXACT, "steps": 2000})
    np.testing.assert_allclose(np.asarray(made.inverted), np.asarray(made.original), atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batches_change_nothing(batch_size: int) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(16)
    norm(torch.randn(50, 16) * 2 + 1)
    net = nn.Sequential(nn.Linear(LENGTH, 16), norm, nn.Tanh(), nn.Linear(16, 6))
    net = net.double().eval()
    whole = stir_hf.invert(net, features(20), **QUICK, tolerance=1e-9)
    parts = stir_hf.invert(net, features(20), **QUICK, tolerance=1e-9, batch_size=batch_size)
    np.testing.assert_allclose(np.asarray(parts.inverted), np.asarray(whole.inverted), atol=1e-5)


def test_a_larger_request_continues_the_set(tmp_path: Path) -> None:
    net = linear(5, 1)
    few = stir_hf.invert(net, features(), num_samples=10, out=tmp_path, **QUICK)
    more = stir_hf.invert(net, features(), num_samples=25, draws=2, out=tmp_path, **QUICK)
    assert few.path == more.path
    assert (len(few), len(more)) == (10, 50)
    first = np.isin(more.index, few.index) & (more.draw == 0)
    np.testing.assert_array_equal(np.asarray(more.inverted)[first], np.asarray(few.inverted))
    assert more.kind.spelling() == {"kind": "vector", "length": LENGTH}
    assert more.manifest.identity["engine"]["constraint"] == {"name": "none", "version": 1}
    again = stir_hf.Inversions.load(tmp_path)
    assert again.to_dataset()["vector"][0] == pytest.approx(again.original[0].tolist())
    with pytest.raises(AttributeError, match="these inversions are of vectors, not images"):
        _ = again.image


@pytest.mark.parametrize("form", ["list", "dataset", "stream", "float64", "integers"])
def test_every_form_gives_the_same_vectors(form: str) -> None:
    data: Any = features(9)
    expected, options = np.asarray(data), dict(QUICK)
    if form == "list":
        data = list(data)
    elif form == "float64":
        data = data.astype(np.float64)
    elif form == "integers":
        expected = np.rint(expected)
        data = datasets.Dataset.from_dict({"x": expected.astype(int).tolist()})
        options["image_column"] = "x"
    else:
        data = table_of(data, other=["a"] * 9)
        data = data.to_iterable_dataset() if form == "stream" else data
    made = stir_hf.invert(linear(5, 1), data, **options)
    np.testing.assert_array_equal(np.asarray(made.original), expected[made.index])


def test_a_vector_that_is_not_finite_is_left_out_and_named() -> None:
    data = features(12)
    data[3, 2], data[7, 0] = np.nan, np.inf
    result = stir_hf.compare(linear(5, 1), linear(5, 2), data, **QUICK)
    assert [score.num_samples for score in result.scores] == [10, 10]
    assert all(score.left_out == 2 for score in result.scores)
    assert any(
        "2 vectors left out that could not be read: 3, 7" in n for n in result.scores[0].notes
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1.0, 2.0], [1.0]], r"takes vectors at their own size, but they differ \(1, 2, …\)"),
        ([[1.0, 2.0], None], r"vector 1 of .* cannot be read: there is none"),
        ([[1.0], []], r"vector 1 of .* cannot be read: it is empty"),
    ],
    ids=["lengths", "none", "empty"],
)
def test_rows_that_are_no_vectors_are_refused(rows: Any, said: str) -> None:
    feature = datasets.Features(x=datasets.List(datasets.Value("float32")))
    data = datasets.Dataset.from_dict({"x": rows}, features=feature)
    with pytest.raises(RequestError, match=said):
        stir_hf.invert(nn.Linear(2, 2), data, **QUICK)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"constraint": "box"}, "vectors have no bounds; use constraint=none, not a box"),
        ({"method": "smooth"}, "filters along space, which vectors do not have"),
        ({"image_column": "other"}, "column 'other' of .* holds no images"),
    ],
)
def test_options_that_vectors_do_not_have_are_refused(options: dict[str, Any], said: str) -> None:
    data = table_of(features(6), other=["a"] * 6)
    with pytest.raises(RequestError, match=said):
        stir_hf.invert(linear(5, 1), data, **QUICK, **options)


def test_several_columns_of_vectors_need_a_name() -> None:
    one = features(6).tolist()
    data = datasets.Dataset.from_dict({"x": one, "y": one})
    with pytest.raises(RequestError, match="several columns of vectors: x, y; choose"):
        stir_hf.invert(linear(5, 1), data, **QUICK)
    assert len(stir_hf.invert(linear(5, 1), data, image_column="y", **QUICK)) == 6


def test_networks_and_data_of_two_kinds_are_refused() -> None:
    from stir_hf.demo import IMAGES, model_path

    with pytest.raises(RequestError, match="takes images, and these data are vectors"):
        stir_hf.invert(model_path("robust-0"), features(6), **QUICK)
    made = stir_hf.invert(linear(5, 1), features(6), **QUICK)
    with pytest.raises(RequestError, match="takes images, and these data are vectors"):
        stir_hf.score(model_path("robust-0"), made, progress=False)
    with pytest.raises(RequestError, match="does not run on vectors of shape 12"):
        stir_hf.score(nn.Linear(9, 2), made, progress=False)
    with pytest.raises(RequestError, match="does not run on images of shape"):
        stir_hf.invert(nn.Linear(9, 2), str(IMAGES), num_samples=4, **QUICK)


def test_a_layer_by_name_and_the_module_comes_back() -> None:
    net = nn.Sequential(linear(8, 1), nn.Tanh(), linear(3, 2, 8)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    made = stir_hf.invert(net, features(10), layer="1", **QUICK)
    assert made.representation.shape == (10, 8)
    assert net.training
    assert all(torch.equal(before[n], v) for n, v in net.state_dict().items())
    encoder = stir_hf.load_encoder(net, layer="1")
    with pytest.raises(RequestError, match=r"takes images \(b, 3, h, w\), not \(4, 12\)"):
        encoder(torch.zeros(4, 12))


def test_a_checkpoint_with_code_of_its_own(tmp_path: Path, data_folder: Path) -> None:
    one, two = (checkpoint(tmp_path / name, seed) for seed, name in enumerate(("one", "two")))
    options: dict[str, Any] = {**QUICK, "trust_remote_code": True}
    result = stir_hf.compare(one, two, data_folder, **options)
    assert result.scores[0].num_samples == ROWS
    assert result.scores[0].layer == "penultimate"
    made = stir_hf.invert(one, data_folder, **options)
    assert made.representation.shape == (ROWS, 16)
    assert made.label is not None
    with pytest.raises(
        RequestError, match="over feature vectors, allow it with --trust-remote-code"
    ):
        stir_hf.compare(one, two, data_folder, **QUICK)
    texts = checkpoint(tmp_path / "texts", 3, main="input_ids")
    with pytest.raises(RequestError, match="its main input is input_ids, not vectors of features"):
        stir_hf.invert(texts, data_folder, **options)
