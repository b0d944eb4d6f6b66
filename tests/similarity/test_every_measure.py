"""Each measure against an independent implementation in NumPy, and the invariances it claims."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ortho_group, spearmanr

from stir_hf import RequestError
from stir_hf.similarity import MEASURES
from tests import reference

Matrix = NDArray[Any]


def related(n: int, d: int, e: int, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Two sides with some of their directions in common."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3))
    x, y = (z @ rng.normal(size=(3, w)) + rng.normal(size=(n, w)) for w in (d, e))
    return x, y


def centred(x: Matrix) -> Matrix:
    moved: Matrix = x - x.mean(0)
    return moved


def distances(x: Matrix) -> Matrix:
    found: Matrix = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))
    return found


def gaussian(x: Matrix) -> Matrix:
    far = distances(x)
    width = np.median(far[np.triu_indices(len(x), 1)])
    found: Matrix = np.exp(-(far**2) / (2 * width**2))
    return found


def hsic_by_definition(k: Matrix, m: Matrix) -> float:
    """Song et al. 2012, eq. 5, with all its factors."""
    n = len(k)
    k, m = k * (1 - np.eye(n)), m * (1 - np.eye(n))
    ones = np.ones(n)
    found = np.trace(k @ m) + (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
    return float((found - 2 / (n - 2) * (ones @ k @ m @ ones)) / (n * (n - 3)))


def ratio(of: Callable[[Matrix, Matrix], float], k: Matrix, m: Matrix) -> float:
    return float(of(k, m) / np.sqrt(of(k, k) * of(m, m)))


def biased(k: Matrix, m: Matrix) -> float:
    h = np.eye(len(k)) - 1 / len(k)
    return float(np.trace(h @ k @ h @ m))


def linear_cka(x: Matrix, y: Matrix) -> float:
    return ratio(biased, x @ x.T, y @ y.T)


def rbf_cka(x: Matrix, y: Matrix) -> float:
    return ratio(biased, gaussian(x), gaussian(y))


def minibatch_cka(x: Matrix, y: Matrix) -> float:
    pieces = [slice(i, min(i + 16, len(x))) for i in range(0, len(x), 16)]

    def mean(a: Matrix, b: Matrix) -> float:
        found = [hsic_by_definition(a[p] @ a[p].T, b[p] @ b[p].T) for p in pieces]
        return float(np.average(found, weights=[len(a[p]) for p in pieces]))

    return float(mean(x, y) / np.sqrt(mean(x, x) * mean(y, y)))


def column_cka(x: Matrix, y: Matrix) -> float:
    def kernels(a: Matrix) -> list[Matrix]:
        return [np.outer(c, c) for c in a.T]

    def own(a: Matrix) -> float:
        each = kernels(a)
        pairs = [(i, j) for i in range(len(each)) for j in range(len(each)) if i != j]
        return float(np.mean([hsic_by_definition(each[i], each[j]) for i, j in pairs]))

    across = np.mean([hsic_by_definition(k, m) for k in kernels(x) for m in kernels(y)])
    return float(across / np.sqrt(own(x) * own(y)))


def procrustes(x: Matrix, y: Matrix) -> float:
    x, y = (a / np.linalg.norm(a) for a in (centred(x), centred(y)))
    u, _, v = np.linalg.svd(x.T @ y)
    width = max(x.shape[1], y.shape[1])
    x, y = (np.pad(a, ((0, 0), (0, width - a.shape[1]))) for a in (x, y))
    u, _, v = np.linalg.svd(x.T @ y)
    return float(np.linalg.norm(x @ (u @ v) - y) ** 2)


def rsa(x: Matrix, y: Matrix) -> float:
    above = np.triu_indices(len(x), 1)
    far = (np.round(1 - np.corrcoef(a)[above], 10) for a in (x, y))
    return float(spearmanr(*far).statistic)


def rsa_euclidean(x: Matrix, y: Matrix) -> float:
    above = np.triu_indices(len(x), 1)
    return float(spearmanr(*(np.round(distances(a)[above], 9) for a in (x, y))).statistic)


def canonical(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
    """Canonical correlations, and the canonical variables of X, by orthonormal bases."""
    bases = []
    for a in (x, y):
        u, s, _ = np.linalg.svd(a, full_matrices=False)
        bases.append(u[:, s > 1e-7 * s[0]])
    u, s, _ = np.linalg.svd(bases[0].T @ bases[1], full_matrices=False)
    return s, bases[0] @ u


def svcca(x: Matrix, y: Matrix) -> float:
    kept = []
    for a in (centred(x), centred(y)):
        u, s, _ = np.linalg.svd(a, full_matrices=False)
        count = int(np.searchsorted(np.cumsum(s**2) / np.sum(s**2), 0.99)) + 1
        kept.append(u[:, :count] * s[:count])
    return float(canonical(*kept)[0].mean())


def pwcca(x: Matrix, y: Matrix) -> float:
    correlations, variables = canonical(centred(x), centred(y))
    weights = np.abs(variables.T @ centred(x)).sum(1)[: len(correlations)]
    return float(np.average(correlations, weights=weights))


def neighbours(x: Matrix, k: int = 10) -> list[set[int]]:
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = np.round(unit @ unit.T, 12)
    found = []
    for i, row in enumerate(cosines):
        order = sorted((j for j in range(len(x)) if j != i), key=lambda j: (-row[j], j))
        found.append(set(order[:k]))
    return found


def mutual_knn(x: Matrix, y: Matrix) -> float:
    pairs = zip(neighbours(x), neighbours(y), strict=True)
    return float(np.mean([len(a & b) / 10 for a, b in pairs]))


def cknna(x: Matrix, y: Matrix) -> float:
    kernels, masks = [], []
    for a in (x, y):
        unit = a / np.linalg.norm(a, axis=1, keepdims=True)
        kernels.append(unit @ unit.T)
        mask = np.zeros((len(a), len(a)))
        for i, near in enumerate(neighbours(a)):
            mask[i, list(near)] = 1
        masks.append(mask)

    def hsic(i: int, j: int) -> float:
        both = masks[i] * masks[j]
        n, k, m = len(both), both * kernels[i], both * kernels[j]
        found = (k * m.T).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2))
        return float(found - 2 / (n - 2) * (k @ m).sum())

    return float(hsic(0, 1) / np.sqrt(hsic(0, 0) * hsic(1, 1)))


ORACLES: dict[str, Callable[[Matrix, Matrix], float]] = {
    "linear_cka": linear_cka,
    "rbf_cka": rbf_cka,
    "minibatch_cka:rows=16": minibatch_cka,
    "column_cka": column_cka,
    "procrustes": procrustes,
    "rsa": rsa,
    "rsa:distance=euclidean": rsa_euclidean,
    "svcca": svcca,
    "pwcca": pwcca,
    "mutual_knn": mutual_knn,
    "cknna": cknna,
}
ROTATES = {
    "linear_cka",
    "rbf_cka",
    "minibatch_cka:rows=16",
    "procrustes",
    "rsa:distance=euclidean",
    "svcca",
    "mutual_knn",
    "cknna",
}
MOVES = {name for name in ORACLES if name not in ("rsa", "mutual_knn", "cknna")}


def value(name: str, x: Any, y: Any, batch: int = 7) -> float:
    seen = MEASURES.parse(name).accumulator()
    for i in range(0, len(x), batch):
        seen.update(x[i : i + batch], y[i : i + batch])
    return seen.value()


def test_every_measure_has_an_independent_implementation() -> None:
    assert {name.split(":")[0] for name in ORACLES} == set(MEASURES.names)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize(
    ("n", "d", "e"), [(52, 6, 9), (36, 40, 5), (20, 70, 80)], ids=["tall", "mixed", "wide"]
)
def test_against_numpy(name: str, n: int, d: int, e: int) -> None:
    x, y = related(n, d, e)
    expected = ORACLES[name](x, y)
    assert value(name, x, y) == pytest.approx(expected, abs=1e-9)
    if name in MOVES:
        assert value(name, x + 1e5, 1e-3 * y - 7) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("n", [52, 20])
def test_rows_that_repeat_and_sides_of_low_rank(name: str, n: int) -> None:
    x, y = related(n, 30, 25, seed=1)
    x[:, 3:] = 0
    x[n // 2 :], y[n // 2 :] = x[: n // 2], y[: n // 2]
    if name == "column_cka":
        x = x + 0.3 * related(n, 30, 25, seed=2)[0]
    assert value(name, x, y) == pytest.approx(ORACLES[name](x, y), abs=1e-6)


@pytest.mark.parametrize("name", ORACLES)
def test_float16(name: str) -> None:
    x, y = (a.astype(np.float16) for a in related(40, 12, 9))
    expected = ORACLES[name](x.astype(np.float64), y.astype(np.float64))
    assert value(name, x, y) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ORACLES)
def test_the_invariances(name: str) -> None:
    x, y = related(45, 8, 6)
    plain = value(name, x, y)
    assert value(name, 3 * x, y / 5, batch=45) == pytest.approx(plain, abs=1e-9)
    turned = value(name, x @ ortho_group.rvs(8, random_state=0), y)
    assert (turned == pytest.approx(plain, abs=1e-9)) == (name in ROTATES)
    moved = value(name, x + np.arange(8), y)
    assert (moved == pytest.approx(plain, abs=1e-9)) == (name in MOVES)


@pytest.mark.parametrize("name", ORACLES)
def test_the_extremes(name: str) -> None:
    measure = MEASURES.parse(name)
    x, y = related(60, 8, 6)
    same, unrelated = value(name, x, x), value(name, x, y[np.random.default_rng(0).permutation(60)])
    least, most = measure.bounds
    closest = least if measure.closer == "smaller" else 1.0 if most is None else most
    if name != "column_cka":  # it takes the two sides for different samples of columns
        assert same == pytest.approx(closest, abs=1e-7)
    assert (unrelated > same) == (measure.closer == "smaller")
    for found in (same, unrelated):
        assert least is None or found >= least
        assert most is None or found <= most + 1e-12


@pytest.mark.parametrize("name", ["linear_cka", "rbf_cka"])
def test_the_debiased_forms(name: str) -> None:
    for n, d in ((40, 6), (16, 30)):
        x, y = related(n, d, 7)
        seen = MEASURES.parse(name).accumulator()
        seen.update(x, y)
        kernel = gaussian if name == "rbf_cka" else lambda a: a @ a.T
        expected = ratio(hsic_by_definition, kernel(x), kernel(y))
        assert seen.debiased() == pytest.approx(expected, abs=1e-9)
        if name == "linear_cka":
            assert expected == pytest.approx(reference.debiased_cka(x, y), abs=1e-12)


def test_minibatches_do_not_depend_on_the_batches_of_a_run() -> None:
    x, y = related(70, 6, 5)
    name = "minibatch_cka:rows=16"
    assert value(name, x, y, batch=1) == value(name, x, y, batch=70)
    measure: Any = MEASURES.parse(name)
    assert [p.stop - p.start for p in measure.pieces(50)] == [16, 16, 18]
    assert [p.stop - p.start for p in measure.pieces(9)] == [9]


def test_columns_that_are_left_out_bias_less() -> None:
    """With 5 of 400 columns, corrected CKA of a system with itself stays near 1 on average."""
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(300, 8)) @ rng.normal(size=(8, 400)) + rng.normal(size=(300, 400))
    plain, corrected = [], []
    for _ in range(20):
        columns = rng.permutation(400)
        x, y = whole[:, columns[:25]], whole[:, columns[25:50]]
        plain.append(value("linear_cka", x, y))
        corrected.append(value("column_cka", x, y))
    assert np.mean(corrected) == pytest.approx(1, abs=0.05)
    assert np.mean(plain) < 0.9


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rbf_cka:bandwidth=0", "above 0 and finite, not 0"),
        ("minibatch_cka:rows=3", "a whole number of at least 4, not 3"),
        ("svcca:variance=1.5", "above 0 and at most 1, not 1.5"),
        ("mutual_knn:k=1", "a whole number of at least 2, not 1"),
        ("rsa:distance=far", "distance 'far' is unknown"),
        ("cka", "measure 'cka' is unknown"),
    ],
)
def test_options_that_make_no_sense(name: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        MEASURES.parse(name)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("mutual_knn", lambda x: x[:9], "k=10 needs at least 11 rows, not 9"),
        ("cknna", lambda x: x * (np.arange(20) > 0)[:, None], "a row is zero"),
        ("rsa", lambda x: x[:, :1] + 0 * x, "all columns of a row are equal"),
        ("rbf_cka", lambda x: x * (np.arange(20) > 17)[:, None], "more than half of the rows"),
        ("column_cka", lambda x: x[:, :1], "at least 2 columns"),
        ("rsa:distance=euclidean", lambda _: np.eye(20), "equally far from each other"),
    ],
)
def test_what_is_undefined_is_told(name: str, change: Any, words: str) -> None:
    x, _ = related(20, 6, 5)
    with pytest.raises(ValueError, match=words):
        value(name, change(x), change(x))
