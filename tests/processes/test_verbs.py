"""The verbs in several processes: the numbers of one, and each image once."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from stir_hf import Inversions
from stir_hf.demo import IMAGES, model_path
from tests.processes.ranks import Ranks

NAMES: dict[str, Any] = {
    "a": model_path("standard-0"),
    "b": model_path("robust-0"),
    "c": model_path("robust-1"),
    "data": str(IMAGES),
    "how": {"num_samples": 23, "steps": 12, "progress": False, "batch_size": 8, "device": "cpu"},
}
COMPARE = (
    "import stir_hf\n"
    "r = stir_hf.compare(a, b, data, out=out, **how)\n"
    "found = [s.stir for s in r.scores] + [s.floor for s in r.scores]\n"
)


def scores(ranks: Ranks, code: str, **names: Any) -> list[Any]:
    """What all of them find; they find the same."""
    first, *others = ranks.run(code, **{**NAMES, **names})
    assert all(other == first for other in others)
    return list(first)


@pytest.fixture(scope="module")
def alone(one: Ranks, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return scores(one, COMPARE, out=str(tmp_path_factory.mktemp("alone")))


@pytest.mark.parametrize("count", ["two", pytest.param("three", marks=pytest.mark.verify)])
def test_compare_is_that_of_one_process(
    request: pytest.FixtureRequest, alone: list[Any], tmp_path: Path, count: str
) -> None:
    found = scores(request.getfixturevalue(count), COMPARE, out=str(tmp_path))
    assert found == pytest.approx(alone, abs=1e-5)
    for made in Inversions.load_all(tmp_path):
        assert len(set(made.index.tolist())) == len(made) == 23
    assert (tmp_path / "result.json").exists()


@pytest.mark.verify
def test_a_larger_network_is_within_a_fifth_of_the_seeds(
    one: Ranks, two: Ranks, three: Ranks
) -> None:
    """Rule 3: there the order of additions is amplified by the steps."""
    code = (
        "import numpy as np, stir_hf, torch, transformers as t\n"
        "images = np.random.default_rng(0).integers(0, 256, (23, 96, 96, 3), dtype=np.uint8)\n"
        "def network(seed):\n"
        "    torch.manual_seed(seed)\n"
        "    config = t.ResNetConfig(num_labels=10, depths=[2, 2, 2, 2], layer_type='basic',\n"
        "                            hidden_sizes=[64, 128, 256, 512])\n"
        "    model = t.ResNetForImageClassification(config).eval()\n"
        "    return stir_hf.load_encoder(Logits(model))\n"
        "class Logits(torch.nn.Module):\n"
        "    def __init__(self, model):\n"
        "        super().__init__()\n"
        "        self.model = model\n"
        "    def forward(self, x):\n"
        "        return self.model.resnet(x).pooler_output.flatten(1)\n"
        "r = stir_hf.compare(network(0), network(1), list(images), seed=seed, steps=30,\n"
        "                    batch_size=8, device='cpu', progress=False)\n"
        "found = [s.stir for s in r.scores]\n"
    )
    seeds = np.array([scores(one, code, seed=seed) for seed in range(4)])
    spread = seeds.std(axis=0, ddof=1)
    for ranks in (two, three):
        assert (np.abs(np.array(scores(ranks, code, seed=0)) - seeds[0]) < spread / 5).all()


def test_each_image_is_made_once(two: Ranks, tmp_path: Path) -> None:
    code = (
        "from stir_hf.data.files import shards\n"
        "import stir_hf\n"
        "put, rows = shards.append, []\n"
        "def counted(folder, more, columns):\n"
        "    rows.extend(row['index'] for row in more)\n"
        "    put(folder, more, columns)\n"
        "shards.append = counted\n"
        "try:\n"
        "    stir_hf.invert(a, data, out=out, **how)\n"
        "finally:\n"
        "    shards.append = put\n"
        "found = rows\n"
    )
    mine, others = two.run(code, **NAMES, out=str(tmp_path))
    assert mine
    assert others
    assert len(mine + others) == len({*mine, *others}) == 23


def test_invert_in_a_temporary_folder(two: Ranks) -> None:
    code = (
        "import stir_hf\n"
        "made = stir_hf.invert(a, data, **how)\n"
        "found = [len(made), float(made.relative_error.mean()), made.inverted[:].shape]\n"
    )
    assert scores(two, code)[0] == 23


@pytest.mark.verify
def test_score_and_matrix(one: Ranks, two: Ranks, tmp_path: Path) -> None:
    code = (
        "import stir_hf\n"
        "m = stir_hf.matrix([a, b], data, out=out, **how)\n"
        "s = stir_hf.score([a, c], out, progress=False, device='cpu')\n"
        "found = [x.stir for x in (*m.scores, *s.scores)]\n"
    )
    found = [
        scores(ranks, code, out=str(tmp_path / str(ranks.count)), how=NAMES["how"])
        for ranks in (one, two)
    ]
    assert found[1] == pytest.approx(found[0], abs=1e-5)
    assert len(found[0]) == 6


@pytest.mark.verify
def test_the_evaluate_module(two: Ranks, alone: list[Any]) -> None:
    code = (
        "from stir_hf.metric import Stir\n"
        "r = Stir().compute(data=data, model=a, reference=b, **how)\n"
        "found = [r['stir'], r['stir_reverse']]\n"
    )
    assert scores(two, code) == pytest.approx(alone[:2], abs=1e-5)


@pytest.mark.verify
def test_moves_are_whole(one: Ranks, two: Ranks, tmp_path: Path) -> None:
    found = []
    for ranks in (one, two):
        out = tmp_path / str(ranks.count)
        ranks.run(COMPARE, **NAMES, out=str(out))
        table = pq.read_table(out / "per_image.parquet")
        found.append(table["relative_distance"].to_numpy())
    assert (found[0] > 0).all()
    assert found[1] == pytest.approx(found[0], abs=1e-5)


def test_a_wrong_request_is_the_same_for_all(two: Ranks, tmp_path: Path) -> None:
    two.tell(COMPARE.replace("data,", "'nowhere/at-all',"), **NAMES, out=str(tmp_path))
    answers = two.answers()
    assert [one["error"] for one in answers] == ["RequestError", "RequestError"]
    assert answers[0]["text"] == answers[1]["text"]
    two.tell(COMPARE, **{**NAMES, "how": {**NAMES["how"], "num_processes": 3}}, out=str(tmp_path))
    assert all("num_processes=3, but this run has 2" in one["text"] for one in two.answers())


@pytest.mark.verify
def test_a_tolerance_of_the_spread_is_that_of_one_process(
    one: Ranks, two: Ranks, tmp_path: Path
) -> None:
    code = (
        "import stir_hf\n"
        "m = stir_hf.invert(b, data, out=out, tolerance='spread:0.2', **how)\n"
        "found = [m.manifest.spread, *m.relative_error.tolist()]\n"
    )
    alone = scores(one, code, out=str(tmp_path / "one"))
    assert scores(two, code, out=str(tmp_path / "two")) == pytest.approx(alone, abs=1e-5)
