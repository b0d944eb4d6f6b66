"""Networks, encoders and sessions that several threads share."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import stir_hf
from stir_hf import load_encoder
from tests.conftest import TinyModels
from tests.tiny import Net, inverted, noise_images

THREADS, CALLS = 4, 25


def in_threads(work: Callable[[int], Any], count: int = THREADS) -> list[Any]:
    """What `work(i)` gives in each of some threads that run at the same time."""
    found: list[Any] = [None] * count

    def run(i: int) -> None:
        try:
            found[i] = work(i)
        except Exception as error:
            found[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def images_of(i: int, side: int = 32) -> Tensor:
    return torch.rand(3 + i, 3, side, side, generator=torch.Generator().manual_seed(i))


@pytest.mark.parametrize("layer", [None, "vit.layers.1:cls", "logits"])
def test_each_thread_gets_its_own_representations(
    layer: str | None, tiny_models: TinyModels
) -> None:
    encoder = load_encoder(tiny_models.vit, layer, device="cpu")
    expected = [encoder(images_of(i)) for i in range(THREADS)]

    def call(i: int) -> bool:
        return all(torch.equal(encoder(images_of(i)), expected[i]) for _ in range(CALLS))

    assert in_threads(call) == [True] * THREADS


def test_threads_share_one_session(tiny_models: TinyModels) -> None:
    with load_encoder(tiny_models.resnet, device="cpu").session() as session, torch.no_grad():
        expected = [session(images_of(i)) for i in range(THREADS)]

        def call(i: int) -> bool:
            with torch.no_grad():
                return all(torch.equal(session(images_of(i)), expected[i]) for _ in range(CALLS))

        assert in_threads(call) == [True] * THREADS


def test_a_session_that_one_thread_keeps_open_is_not_the_others(tiny_models: TinyModels) -> None:
    encoder = load_encoder(tiny_models.vit, device="cpu")
    expected = [encoder(images_of(i)) for i in range(THREADS)]

    def call(i: int) -> bool:
        good = True
        for _ in range(CALLS):
            if i % 2:
                with encoder.frozen():
                    good &= torch.equal(encoder(images_of(i)), expected[i])
            else:
                good &= torch.equal(encoder(images_of(i)), expected[i])
        return good

    assert in_threads(call) == [True] * THREADS


def test_another_threads_own_passes_are_not_read() -> None:
    """The caller's code may use the network while a session of it is open."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.Tanh(), nn.Linear(8, 4))
    encoder, mine, stop = load_encoder(net, "2"), torch.rand(5, 3, 8, 8), threading.Event()
    expected = net[:3](mine).detach()

    def theirs() -> None:
        while not stop.is_set():
            net(torch.rand(7, 3, 8, 8))

    other = threading.Thread(target=theirs)
    other.start()
    try:
        for _ in range(4 * CALLS):
            torch.testing.assert_close(encoder(mine).detach(), expected, rtol=0, atol=1e-6)
    finally:
        stop.set()
        other.join()


def test_scores_in_threads_are_those_of_one_after_the_other(tiny_models: TinyModels) -> None:
    model = load_encoder(tiny_models.vit, device="cpu")
    how: dict[str, Any] = {"steps": 3, "progress": False}
    sets = [stir_hf.invert(tiny_models.resnet, noise_images(9, 32, i), **how) for i in range(3)]

    def judged(i: int) -> float | None:
        found: float | None = stir_hf.score(model, sets[i], progress=False).scores[0].stir
        return found

    alone = [judged(i) for i in range(3)]
    assert in_threads(judged, 3) == alone


@pytest.mark.verify
def test_inversions_in_threads_are_those_of_one_after_the_other() -> None:
    net = Net()

    def made(i: int) -> list[float]:
        found: list[float] = inverted(net, noise_images(6, seed=i), steps=5).relative_error.tolist()
        return found

    alone = [made(i) for i in range(3)]
    for found, expected in zip(in_threads(made, 3), alone, strict=True):
        assert found == pytest.approx(expected, abs=1e-6)


def test_the_network_comes_back_as_it_was_when_the_last_thread_leaves() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
    net.train()
    net[3].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    encoder = load_encoder(net)
    encoder.find_layer((8, 8))
    in_threads(lambda i: [encoder(images_of(i, 8)) for _ in range(CALLS)])
    assert all(module.training for module in net.modules())
    assert [p.requires_grad for p in net.parameters()] == [True] * 4 + [False, True]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_autocast_of_the_calling_thread_changes_nothing(tiny_models: TinyModels) -> None:
    with load_encoder(tiny_models.resnet, device="cpu").session() as session, torch.no_grad():
        expected = session(images_of(0))

        def call(_: int) -> Tensor:
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                return session(images_of(0))

        assert all(torch.equal(found, expected) for found in in_threads(call))
