"""The metric keeps the images that it was given until there is a result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stir_hf import RequestError
from stir_hf.metric import Stir
from tests.models.test_threads import in_threads
from tests.tiny import QUICK, Net, noise_images

Make = Callable[[], Stir]
HOW: dict[str, Any] = {"model": Net(), "reference": Net(1), **QUICK}
IMAGES = noise_images(8)
MAKES = pytest.mark.parametrize(
    "make", [Stir, lambda: Stir(keep_in_memory=True)], ids=["on disk", "in memory"]
)
REFUSED: list[dict[str, Any]] = [
    {"stepps": 3},
    {"layer": "nothing"},
    {"num_samples": 99},
    {"model": "./no-such-folder"},
    {"reference": None},
]


def expected() -> Any:
    return Stir().compute(data=IMAGES, **HOW)


def added(metric: Stir, images: list[Image.Image]) -> Stir:
    metric.add(data=images[0])
    metric.add_batch(data=images[1:5])
    metric.add_batch(data=np.stack([np.asarray(image) for image in images[5:]]))
    return metric


@MAKES
@pytest.mark.parametrize("wrong", REFUSED, ids=lambda w: next(iter(w)))
def test_a_refusal_keeps_what_was_added(make: Make, wrong: dict[str, Any]) -> None:
    metric = added(make(), IMAGES)
    for _ in range(2):
        with pytest.raises(RequestError):
            metric.compute(**{**HOW, **wrong})
    assert metric.compute(**HOW) == expected()
    with pytest.raises(RequestError, match="data is missing"):
        metric.compute(**HOW)


@MAKES
def test_what_a_call_that_failed_brought_is_not_added(make: Make) -> None:
    metric = added(make(), IMAGES)
    with pytest.raises(RequestError):
        metric.compute(data=noise_images(4, seed=5), **{**HOW, "layer": "nothing"})
    assert metric.compute(**HOW) == expected()
    with pytest.raises(RequestError):
        metric.compute(data=IMAGES, **{**HOW, "layer": "nothing"})
    assert metric.compute(data=IMAGES, **HOW) == expected()


@MAKES
def test_an_interruption_keeps_what_was_added(make: Make) -> None:
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    metric = added(make(), IMAGES)
    with pytest.raises(KeyboardInterrupt):
        metric.compute(**{**HOW, "progress": interrupt})
    metric.add_batch(data=noise_images(2, seed=7))
    more = [*IMAGES, *noise_images(2, seed=7)]
    assert metric.compute(**HOW) == Stir().compute(data=more, **HOW)


@pytest.mark.verify
def test_processes_keep_what_was_added(tmp_path: Path) -> None:
    """A computation of several processes that fails leaves no file open and adds nothing."""
    how = {"num_process": 2, "experiment_id": "keeps", "cache_dir": str(tmp_path)}
    metrics = [Stir(process_id=i, **how) for i in range(2)]
    halves = IMAGES[:5], IMAGES[5:]

    def computed(i: int) -> Any:
        metrics[i].add_batch(data=halves[i])
        return metrics[i].compute(**HOW)

    def refused(i: int) -> Any:
        try:
            return metrics[i].compute(data=halves[i], **{**HOW, "layer": "nothing"})
        except RequestError as error:
            return str(error)

    assert "nothing" in in_threads(refused, 2)[0]
    assert in_threads(computed, 2) == [expected(), None]


@pytest.mark.verify
def test_threads_share_one_metric() -> None:
    metric = Stir()

    def computed(i: int) -> Any:
        return metric.compute(data=noise_images(6, seed=i), **HOW)

    alone = [computed(i) for i in range(3)]
    for found, one in zip(in_threads(computed, 3), alone, strict=True):
        assert found == pytest.approx(one, abs=1e-6)
