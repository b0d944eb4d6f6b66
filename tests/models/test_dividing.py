"""Passes whose rows are divided among threads: the same numbers, and the same ends."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import stir_hf
from stir_hf import load_encoder
from stir_hf.demo import IMAGES, model_path
from stir_hf.models import opened
from stir_hf.models.run.dividing import Divided, divided
from stir_hf.runtime import RunConfig, workers
from tests.conftest import TinyModels
from tests.tiny import QUICK, Net, Watched, noise_images, rows

CPU = torch.device("cpu")


@pytest.fixture
def cores() -> Iterator[None]:
    """Torch with three threads, as on a machine with three cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def pulled(represent: Any, values: Tensor) -> tuple[Tensor, Tensor]:
    """Representations, and the gradient of a weighted sum of them."""
    x = values.clone().requires_grad_(True)
    found = represent(x, {})
    weights = torch.linspace(-1, 1, found.numel(), dtype=found.dtype).view_as(found)
    return found.detach(), torch.autograd.grad((weights * found).sum(), x)[0]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 13, 40])
@pytest.mark.parametrize("of", ["vit", "resnet"])
def test_rows_and_gradients_are_those_of_one_thread(
    of: str, count: int, tiny_models: TinyModels, cores: None
) -> None:
    encoder = load_encoder(getattr(tiny_models, of), device="cpu", dtype="float64")
    values = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(count))
    kind = encoder.kind((32, 32))
    with opened(encoder, kind, RunConfig(), inverted=True) as network:
        with divided(network.session, kind, 3) as represent, torch.enable_grad():
            assert isinstance(represent, Divided)
            found, gradient = pulled(represent, values)
            expected, wanted = pulled(network.session, values)
        assert torch.allclose(found, expected, rtol=1e-12, atol=1e-14)
        assert torch.allclose(gradient, wanted, rtol=1e-9, atol=1e-14)


def test_the_context_goes_with_its_rows(cores: None) -> None:
    class Two:
        """A session whose representation is the sum of input and context."""

        def __call__(self, values: Tensor, context: dict[str, Tensor]) -> Tensor:
            return values * context["mask"] + context["shift"]

    with ThreadPoolExecutor(3) as pool:
        represent = Divided([Two(), Two(), Two()], pool)  # type: ignore[list-item]  # stand-ins
        values, mask = torch.rand(17, 4), (torch.rand(17, 4) > 0.5).float()
        shift = torch.arange(17.0)[:, None]
        x = values.clone().requires_grad_(True)
        found = represent(x, {"mask": mask, "shift": shift})
        assert torch.equal(found, values * mask + shift)
        (gradient,) = torch.autograd.grad(found.sum(), x)
        assert torch.equal(gradient, mask)
        with torch.no_grad():
            assert not represent(x, {"mask": mask, "shift": shift}).requires_grad


def test_an_inversion_has_the_same_rows_on_any_number_of_cores() -> None:
    def made(threads: int) -> list[str]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            found = stir_hf.invert(
                model_path("robust-0"), str(IMAGES), num_samples=40, device="cpu", **QUICK
            )
        finally:
            torch.set_num_threads(before)
        return sorted(map(repr, rows(found.path)))

    assert made(1) == made(2) == made(3)


def test_weights_are_shared_and_the_network_comes_back(cores: None) -> None:
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    encoder = load_encoder(net)
    kind = encoder.kind((8, 8))
    with (
        opened(encoder, kind, RunConfig(), inverted=True) as network,
        network.descending() as represent,
    ):
        assert isinstance(represent, Divided)
        modules: list[Any] = [session.network.module for session in represent._sessions]
        assert len({id(module) for module in modules}) == 3
        assert {id(module.linear.weight) for module in modules} == {id(net.linear.weight)}
    assert net.training
    assert all(p.requires_grad for p in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_each_thread_has_its_share_and_others_keep_theirs(cores: None) -> None:
    seen: list[int] = []

    class Counting(Net):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(torch.get_num_threads())
            return super().forward(images)

    encoder = load_encoder(Counting())
    kind = encoder.kind((8, 8))
    torch.set_num_threads(6)
    try:
        with (
            opened(encoder, kind, RunConfig(), inverted=True) as network,
            divided(network.session, kind, 3) as represent,
        ):
            seen.clear()
            represent(torch.rand(12, 3, 8, 8), {})
            assert seen == [2, 2, 2]
            assert torch.get_num_threads() == 1
            other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
            other.start()
            other.join()
            assert seen[-1] == 6
        assert torch.get_num_threads() == 6
    finally:
        torch.set_num_threads(3)


class Scratch(Net):
    """A network that keeps its inputs in a buffer until it needs them."""

    kept: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(24, 3, 8, 8))

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            self.kept[: len(images)] = images
        time.sleep(0.02)
        return super().forward(images + self.kept[: len(images)])


def test_threads_do_not_share_what_a_network_keeps(cores: None) -> None:
    net = Scratch()
    values = torch.rand(24, 3, 8, 8)
    encoder = load_encoder(net)
    kind = encoder.kind((8, 8))
    with (
        opened(encoder, kind, RunConfig(), inverted=True) as network,
        network.descending() as represent,
    ):
        assert isinstance(represent, Divided)
        expected = network.represent(values)
        assert all(torch.equal(represent(values), expected) for _ in range(3))
    assert not net.kept.any()


class Uncopied(Net):
    """A network that cannot be copied."""

    def __deepcopy__(self, memo: Any) -> "Uncopied":
        raise TypeError("no copies")


class Elsewhere(Net):
    """A network whose copies compute something else."""

    def __init__(self) -> None:
        super().__init__()
        self.me = id(self)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * (1 if self.me == id(self) else 2)


class Hooked(Net):
    """A network with a hook of the user's."""

    def __init__(self) -> None:
        super().__init__()
        self.linear.register_forward_hook(lambda *_: None)


@pytest.mark.parametrize("kind_of", [Uncopied, Elsewhere, Hooked])
def test_a_network_that_cannot_be_copied_runs_as_before(
    kind_of: type[nn.Module], cores: None
) -> None:
    encoder = load_encoder(kind_of())
    kind = encoder.kind((8, 8))
    with (
        opened(encoder, kind, RunConfig(), inverted=True) as network,
        network.descending() as represent,
    ):
        assert represent is network.session


class Failing(Net):
    """Raises `error` when asked to differentiate more than `rows` rows."""

    def __init__(self, error: Exception, rows: int) -> None:
        super().__init__()
        self.error, self.rows = error, rows

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad and len(images) > self.rows:
            raise self.error
        return super().forward(images)


def test_an_error_in_a_thread_is_the_error_of_the_run(cores: None) -> None:
    with pytest.raises(ZeroDivisionError, match="in the network"):
        stir_hf.invert(Failing(ZeroDivisionError("in the network"), 4), noise_images(30), **QUICK)
    assert [t for t in threading.enumerate() if t.name.startswith("ThreadPool")] == []


def test_batches_are_halved_where_memory_is_short(
    cores: None, caplog: pytest.LogCaptureFixture
) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory.")
    found = stir_hf.invert(Failing(error, 5), noise_images(30), **QUICK)
    assert len(rows(found.path)) == 30
    assert "batches of" in caplog.text


def test_an_interrupt_in_a_thread_ends_the_run(cores: None) -> None:
    with pytest.raises(KeyboardInterrupt):
        stir_hf.invert(Watched(fuse=5), noise_images(30), **QUICK | {"steps": 9})
    assert [t for t in threading.enumerate() if t.name.startswith("ThreadPool")] == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [(784, 3), (3 * 64**2, 3), (3 * 224**2, 2), (3 * 384**2, 1), (3 * 1024**2, 1)],
)
def test_small_inputs_are_divided(values: int, expected: int, cores: None) -> None:
    assert workers(values, CPU) == expected
    assert workers(values, torch.device("meta")) == 1
    torch.set_num_threads(1)
    assert workers(values, CPU) == 1
    torch.set_num_threads(3)


def test_a_divided_batch_is_larger_while_caches_take_it() -> None:
    sizes = [(784, 1), (784, 2), (784, 16), (3 * 224**2, 2), (3 * 512**2, 1)]
    assert [RunConfig().batch(n, CPU, k) for n, k in sizes] == [64, 128, 1024, 8, 4]
    assert RunConfig(batch_size=7).batch(784, CPU, 3) == 7
