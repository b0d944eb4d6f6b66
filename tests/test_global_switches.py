"""Global switches that another library or the caller has set: none changes an identity or a
number.
"""

import locale
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stir_hf
from stir_hf import load_encoder
from tests.conftest import TinyModels
from tests.tiny import QUICK, Net, noise_images, record


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype  # it comes back as it was
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(name: str) -> Iterator[None]:
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def grad_off() -> Iterator[None]:
    with torch.no_grad():
        yield


@contextmanager
def coarse_products() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def numpy_raises() -> Iterator[None]:
    with np.errstate(all="raise", under="ignore"):
        yield


@contextmanager
def numpy_prints() -> Iterator[None]:
    with np.printoptions(precision=2, threshold=3, suppress=True):
        yield


@contextmanager
def german() -> Iterator[None]:
    before = locale.setlocale(locale.LC_ALL)
    with suppress(locale.Error):  # where it is not installed, there is nothing to try
        locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


@contextmanager
def anomalies() -> Iterator[None]:
    with torch.autograd.set_detect_anomaly(True):
        yield


@contextmanager
def other_seeds() -> Iterator[None]:
    torch.manual_seed(99)
    np.random.seed(99)
    yield


@contextmanager
def coarse_convolutions() -> Iterator[None]:
    conv: Any = getattr(torch.backends.mkldnn, "conv", None)
    if conv is None:  # of torch before 2.9
        yield
        return
    before = conv.fp32_precision
    conv.fp32_precision = "bf16"
    try:
        yield
        assert conv.fp32_precision == "bf16"
    finally:
        conv.fp32_precision = before


Switch = Callable[[], Any]
SWITCHES: dict[str, Switch] = {
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "device meta": lambda: default_device("meta"),
    "deterministic": deterministic,
    "grad off": grad_off,
    "coarse products": coarse_products,
    "coarse convolutions": coarse_convolutions,
    "numpy raises": numpy_raises,
    "numpy prints": numpy_prints,
    "german": german,
    "anomalies": anomalies,
    "other seeds": other_seeds,
}
each = pytest.mark.parametrize("switch", SWITCHES.values(), ids=SWITCHES)


class Makes(Net):
    """Makes tensors of the default dtype in its pass, as many networks do."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.sin(1.0 + torch.arange(81.0)).reshape(3, 3, 3, 3) / 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = self.conv(images)
        like = torch.linspace(0, 1, 5, device=images.device)
        return super().forward(images) + like / 3


@pytest.mark.verify
@each
def test_a_run_goes_on_where_a_switch_was_set(switch: Switch, tmp_path: Path) -> None:
    images, nets = noise_images(12), (Makes(), Makes(1))
    how: dict[str, Any] = {**QUICK, "steps": 4}
    expected = stir_hf.compare(*nets, images, **how).to_dict()["scores"]
    stir_hf.invert(nets[0], images, out=tmp_path, num_samples=6, **how)
    with switch():
        stir_hf.invert(nets[0], images, out=tmp_path, **how)
        found = stir_hf.compare(*nets, images, **how)
    assert found.to_dict()["scores"] == expected


@pytest.mark.verify
@each
def test_a_checkpoint_is_what_it_was(
    switch: Switch, tiny_models: TinyModels, tmp_path: Path
) -> None:
    x = torch.rand(3, 3, 32, 32)
    plain = [load_encoder(name, device="cpu") for name in (tiny_models.vit, tiny_models.resnet)]
    expected = [encoder(x).detach() for encoder in plain]
    with ExitStack() as stack:
        stack.enter_context(switch())
        made = [load_encoder(name, device="cpu") for name in (tiny_models.vit, tiny_models.resnet)]
        found = [encoder(x).detach() for encoder in made]
        identities = [encoder.identity() for encoder in made]
    assert identities == [encoder.identity() for encoder in plain]
    for one, two in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, two)


def test_a_network_of_the_default_float64_keeps_it() -> None:
    """Its pass makes tensors in the precision that it was written for."""
    net, x = Makes().double(), torch.rand(3, 3, 8, 8, dtype=torch.float64)
    with default_dtype(torch.float64):
        expected = net(x).detach()
        found = load_encoder(net)(x).detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert not torch.allclose(found, net(x), rtol=0, atol=1e-12)  # in the usual default


def test_parts_of_two_machines_are_joined(tmp_path: Path) -> None:
    images, net = noise_images(8), Makes()
    stir_hf.invert(net, images, out=tmp_path / "1", part="1/2", **QUICK)
    with default_dtype(torch.float64):
        stir_hf.invert(net, images, out=tmp_path / "2", part="2/2", **QUICK)
    assert len(stir_hf.Inversions.load([tmp_path / "1", tmp_path / "2"])) == 8
    assert record(tmp_path / "1")["identity"] == record(tmp_path / "2")["identity"]
