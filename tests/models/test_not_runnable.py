"""Networks without weights, without a gradient, of mixed precision, or whose parts take no hooks: a
line each, and what runs is read.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from torch import Tensor, nn

from stir_hf import RequestError, load_encoder
from tests.conftest import TinyModels
from tests.tiny import compared, inverted, judged, noise_images

IMAGES = noise_images(6)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def plain(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 5)).eval()


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = nn.LazyLinear(5)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.f(x.flatten(1))
        return found


class LazyNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LazyBatchNorm2d()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(x)
        return found.flatten(1)


def on_meta() -> nn.Module:
    with torch.device("meta"):
        return plain()


def buffer_on_meta() -> nn.Module:
    net = plain()
    net.register_buffer("mean", torch.zeros(3, device="meta"))
    return net


ABSENT: list[tuple[Callable[[], nn.Module], str]] = [
    (on_meta, "Sequential has no weights: 0.weight is on the meta device; load them"),
    (buffer_on_meta, "has no weights: mean is on the meta device"),
    (Lazy, "Lazy is lazy: f.weight has no shape yet; run it once on some images"),
    (LazyNorm, "LazyNorm is lazy: norm.weight has no shape yet"),
]


@pytest.mark.parametrize(("make", "said"), ABSENT, ids=lambda v: getattr(v, "__name__", ""))
def test_weights_that_are_not_there(make: Callable[[], nn.Module], said: str) -> None:
    for call in (lambda: inverted(make(), IMAGES), lambda: compared(plain(), make(), IMAGES)):
        with pytest.raises(RequestError, match=said):
            call()


def test_a_checkpoint_without_its_weights(tiny_models: TinyModels) -> None:
    import transformers as tf

    config = tf.AutoConfig.from_pretrained(tiny_models.vit)
    with init_empty_weights():
        empty = tf.ViTForImageClassification(config)
    processor = tf.AutoImageProcessor.from_pretrained(tiny_models.vit)
    with pytest.raises(RequestError, match="is on the meta device; load them, as from_pretrained"):
        load_encoder(empty, processor=processor)


class WritesInPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = plain()

    def forward(self, x: Tensor) -> Tensor:
        y = torch.exp(self.f(x) / 8)
        y += 1
        return y


class NoDerivative(WritesInPlace):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.f(x)
        return torch.heaviside(y, torch.tensor(0.5)) + y.detach().round()


class Detaches(WritesInPlace):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.f(x).detach()
        return found


class ThroughNumpy(WritesInPlace):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.from_numpy(self.f(x).numpy() * 2)
        return found


class WithoutGrad(WritesInPlace):
    def forward(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            found: Tensor = self.f(x)
        return found


def hooked() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.Flatten())
    net[0].register_full_backward_hook(lambda *_: None)
    return net


@pytest.mark.parametrize(
    "make", [WritesInPlace, NoDerivative, Detaches, ThroughNumpy, WithoutGrad, hooked]
)
def test_without_a_gradient_it_is_judged_and_not_inverted(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(RequestError, match=r"cannot be inverted|carries no gradient") as refused:
        inverted(make(), IMAGES)
    assert "\n" not in str(refused.value)
    assert judged(make(), inverted(plain(), IMAGES)).stir is not None


class Mixed(nn.Module):
    def __init__(self, casts: bool) -> None:
        super().__init__()
        self.f, self.casts = plain(), casts
        self.f[3].bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        y = self.f[:3](x)
        found: Tensor = self.f[3](y.bfloat16() if self.casts else y)
        return found.float()


def test_mixed_precisions_are_told_where_they_do_not_run() -> None:
    said = r"has weights in bfloat16 and float32 and does not run: .*one precision: model\.float"
    with pytest.raises(RequestError, match=said):
        inverted(Mixed(casts=False), IMAGES)
    assert len(inverted(Mixed(casts=True), IMAGES)) == 6


def exported() -> Any:
    return torch.export.export(plain(), (torch.rand(4, 3, 8, 8),)).module()


RUN: dict[str, Callable[[], Any]] = {
    "scripted": lambda: torch.jit.script(plain()),
    "traced": lambda: torch.jit.trace(plain(), torch.rand(4, 3, 8, 8)),  # type: ignore[no-untyped-call]  # torch's
    "frozen": lambda: torch.jit.freeze(torch.jit.script(plain())),
    "scripted inside": lambda: nn.Sequential(torch.jit.script(plain())),
    "compiled": lambda: torch.compile(plain(), backend="eager"),
    "traced by fx": lambda: torch.fx.symbolic_trace(plain()),
}


@pytest.mark.parametrize("make", RUN.values(), ids=RUN)
def test_modules_that_take_no_hooks_are_read_at_their_output(make: Callable[[], Any]) -> None:
    x = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(load_encoder(make())(x).detach(), plain()(x).detach())
    assert len(inverted(make(), IMAGES)) == 6


@pytest.mark.parametrize("name", ["scripted", "frozen", "scripted inside"])
def test_their_layers_are_refused_in_a_line(name: str) -> None:
    layer = {"scripted inside": "0.1"}.get(name, "1")
    with pytest.raises(
        RequestError, match=r"layer '.*1'.*; pass the module from which it was scripted"
    ):
        inverted(RUN[name](), IMAGES, layer=layer)


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.i, self.j = nn.Linear(192, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.j(torch.tanh(self.i(x.flatten(1))))
        return found


def compiled_in_place() -> nn.Module:
    net = Whole()
    net.compile(backend="eager")
    return net


@pytest.mark.parametrize("before", [False, True])
def test_layers_of_compiled_modules_are_read(before: bool) -> None:
    x = torch.rand(5, 3, 8, 8)
    expected = Whole().i(x.flatten(1)).detach()
    nets: tuple[Any, Any] = (compiled_in_place(), torch.compile(Whole(), backend="eager"))
    for net, layer in zip(nets, ("i", "_orig_mod.i"), strict=True):
        if before:
            net(x)
        found = load_encoder(net, layer)(x)
        torch.testing.assert_close(found.detach(), expected, rtol=0, atol=1e-6)


def test_an_exported_module_is_refused_in_a_line() -> None:
    with pytest.raises(RequestError, match=r"GraphModule was exported.*; give the module that it"):
        inverted(exported(), IMAGES)
