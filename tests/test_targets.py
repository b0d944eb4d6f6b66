"""Inversion of representations without originals."""

from typing import Any

import numpy as np
import pytest
import torch

import stir_hf
from stir_hf import RequestError
from stir_hf.demo import model_path
from tests.tiny import Net

ROBUST = model_path("robust-0")
QUIET: dict[str, Any] = {"progress": False}


def test_the_inputs_have_the_representations_that_were_asked_for() -> None:
    encoder = stir_hf.load_encoder(ROBUST)
    targets = encoder(torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    found = stir_hf.invert_representations(ROBUST, targets, steps=80, batch_size=4, **QUIET)
    assert found.inputs.shape == (6, 1, 28, 28)
    assert 0 <= found.inputs.min() < found.inputs.max() <= 1
    reached = encoder(torch.from_numpy(found.inputs))
    errors = (reached - targets).norm(dim=1) / targets.norm(dim=1)
    np.testing.assert_allclose(found.relative_error, errors, rtol=1e-4)
    assert (found.converged == (found.relative_error <= 0.02)).all()
    assert found.converged.any()
    again = stir_hf.invert_representations(ROBUST, targets.numpy(), steps=80, batch_size=1, **QUIET)
    np.testing.assert_allclose(again.relative_error, found.relative_error, atol=2e-3)


def test_it_is_the_same_engine_as_that_of_images() -> None:
    from tests.tiny import inverted, pictures

    made = inverted(Net(), pictures(6), exact=True, steps=12, num_samples=6)
    targets = made.representation[np.argsort(made.index)]
    found = stir_hf.invert_representations(Net(), targets, size=(8, 8), steps=12, **QUIET)
    np.testing.assert_allclose(found.inputs, made.inverted, atol=1e-5)
    np.testing.assert_allclose(found.relative_error, made.relative_error, atol=1e-5)


def test_vectors() -> None:
    net = torch.nn.Linear(6, 4)
    targets = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    module = stir_hf.load_encoder(net).over("vector")
    found = stir_hf.invert_representations(module, targets, size=(6,), **QUIET)
    assert found.inputs.shape == (5, 6)
    assert found.converged.all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": "other"}, "start='other' needs originals"),
        ({"start": "given"}, "start='given' needs originals"),
        ({"constraint": "l2:radius=1,around=original"}, "a constraint around the original needs"),
        ({"draws": 2}, "draws=2 needs originals"),
        ({"tolerance": "spread:0.1"}, "tolerance='spread:0.1' needs originals"),
        (
            {"objective": "ensemble:models=a/b"},
            "objective='ensemble' needs originals",
        ),
        ({"step": 3}, "unknown option 'step'"),
    ],
    ids=str,
)
def test_what_needs_originals_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        stir_hf.invert_representations(ROBUST, torch.ones(2, 80), **options, **QUIET)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (torch.ones(2, 3), "targets must have shape (n, 80), as the layer has, not (2, 3)"),
        (torch.ones(80), "must have shape (n, 80)"),
        (torch.ones(0, 80), "must have shape (n, 80)"),
        (torch.zeros(2, 80), "finite and not zero; row 0 is not"),
        (torch.full((2, 80), torch.inf), "finite and not zero; row 0 is not"),
        ("text", "targets must be numbers (n, d), not str"),
        (torch.ones(2, 80).to_sparse(), "targets must be dense and real"),
        (torch.ones(2, 80, dtype=torch.complex64), "targets must be dense and real"),
    ],
    ids=str,
)
def test_what_are_no_representations_is_one_line(targets: Any, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        stir_hf.invert_representations(ROBUST, targets, **QUIET)
    assert words in str(caught.value)


def test_a_network_of_any_size_needs_one() -> None:
    with pytest.raises(RequestError, match="takes inputs of any size; give size="):
        stir_hf.invert_representations(Net(), torch.ones(2, 5), **QUIET)


@pytest.mark.parametrize("size", [8, (8,), (8, 8, 8), "8x8", (8, -1), (8.5, 8)], ids=str)
def test_what_is_no_size_is_one_line(size: Any) -> None:
    with pytest.raises(RequestError, match="size"):
        stir_hf.invert_representations(Net(), torch.ones(2, 5), size=size, **QUIET)


def test_another_size_than_the_native_one_is_refused() -> None:
    with pytest.raises(RequestError, match=r"takes inputs of size \(28, 28\), not \(14, 14\)"):
        stir_hf.invert_representations(ROBUST, torch.ones(2, 80), size=(14, 14), **QUIET)
