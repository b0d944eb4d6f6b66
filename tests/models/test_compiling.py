"""Inverting through torch.compile: other passes, the same measure."""

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stir_hf import RequestError, load_encoder, score
from stir_hf.demo import IMAGES, model_path
from stir_hf.engine import relative_error
from stir_hf.models import opened
from stir_hf.models.run.session import Session
from stir_hf.runtime import RunConfig
from tests.models.networks import Small
from tests.tiny import Net, inverted, pictures, record

GRAPHS: list[Any] = []


def counting(graph: Any, _: Any) -> Any:
    GRAPHS.append(graph)
    return graph.forward


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The graphs that are compiled, by a compiler that leaves them as they are."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counting))
    monkeypatch.setattr("stir_hf.models.run.opened.check_compiler", lambda _: None)
    GRAPHS.clear()
    return GRAPHS


def gradient(represent: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    images = images.clone().requires_grad_()
    found = represent(images, {})
    (slope,) = torch.autograd.grad(found.square().sum(), images)
    return found.detach(), slope


@pytest.mark.parametrize("layer", ["output", "conv", "head"])
@pytest.mark.parametrize("autocast", [False, True])
def test_one_graph_for_all_sizes_of_a_batch(layer: str, autocast: bool, traced: list[Any]) -> None:
    encoder = load_encoder(Small(), layer)
    encoder.find_layer((32, 32))
    kind = encoder.kind((32, 32))
    with encoder.session() as plain:
        usual = Session(plain.network, plain.reading, autocast=autocast)
        quick = Session(plain.network, plain.reading, autocast=autocast, compiles=True)
        with usual, quick:
            for count in (9, 8, 6, 4, 3, 1, 9):
                images = torch.rand(count, *kind.shape)
                torch.testing.assert_close(gradient(quick, images), gradient(usual, images))
                with torch.no_grad():
                    assert torch.equal(quick(images), usual(images))
    assert len(traced) == 1


@pytest.mark.verify
def test_any_number_of_networks(traced: list[Any]) -> None:
    for count in range(1, 12):
        net = nn.Sequential(*(nn.Linear(6, 6) for _ in range(count)))
        inverted(net, np.eye(6, dtype=np.float32), compile=True)
    assert len(traced) == 11


class Decides(Net):
    def forward(self, images: Tensor) -> Tensor:
        return (
            super().forward(images) if bool(images.detach().sum() > 0) else images.flatten(1)[:, :5]
        )


def test_a_network_that_cannot_be_compiled(traced: list[Any]) -> None:
    with pytest.raises(RequestError, match=r"^Decides cannot be compiled \(.*; use compile=False$"):
        inverted(Decides(), pictures(5), compile=True)
    assert not traced


def test_without_a_compiler_it_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(RequestError, match=r"needs a C\+\+ compiler.* no no-such-compiler; .*"):
        inverted(Net(), pictures(5), tmp_path / "out", compile=True)
    assert not (tmp_path / "out").exists()
    inverted(Net(), pictures(5))
    with pytest.raises(RequestError, match="compile must be True or False, not 'yes'"):
        inverted(Net(), pictures(5), compile="yes")


@pytest.mark.usefixtures("traced")
def test_it_does_not_go_with_another_gradient_of_the_last_relu() -> None:
    encoder = load_encoder(Net(act=torch.relu))
    encoder.find_layer((8, 8))
    with (
        opened(encoder, encoder.kind((8, 8)), RunConfig(compile=True), inverted=True) as network,
        pytest.raises(RequestError, match="fake_relu=true does not go with compile=True"),
    ):
        network.check_fake_relu()


@pytest.mark.usefixtures("traced")
def test_it_makes_another_set_and_is_left_out_of_the_identity_where_it_is_off(
    tmp_path: Path,
) -> None:
    plain = inverted(Net(), pictures(5), tmp_path / "plain", steps=3, compile=False)
    other = inverted(Net(), pictures(5), tmp_path / "compiled", steps=3, compile=True)
    assert plain.manifest.hash != other.manifest.hash
    usual = {"dtype": "float32", "tf32": False}
    for folder, more in (("plain", {}), ("compiled", {"compile": True})):
        precision = record(tmp_path / folder)["identity"]["network"]["precision"]
        assert precision == {**usual, **more}
    (found,) = score([Net(1)], [plain, other], progress=False).scores[:1]
    assert any("sets differ in compile: False" in note for note in found.notes)


@pytest.mark.verify
@pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no C++ compiler"
)
def test_errors_are_those_of_the_network_as_it_is(tmp_path: Path) -> None:
    model, options = model_path("robust-0"), {"num_samples": 6, "steps": 30, "exact": True}
    plain = inverted(model, IMAGES, tmp_path / "plain", **options)
    made = inverted(model, IMAGES, tmp_path / "compiled", compile=True, **options)
    encoder = load_encoder(model)
    images, found = (
        torch.from_numpy(made.values(name, range(len(made)))) for name in ("image", "inverted")
    )
    with torch.no_grad():
        error = relative_error(encoder(found), encoder(images))
    np.testing.assert_allclose(made.relative_error, error, rtol=1e-4)
    np.testing.assert_allclose(
        np.median(made.relative_error), np.median(plain.relative_error), rtol=0.2
    )
