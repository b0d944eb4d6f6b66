"""Models of transformers given as objects, and modules around them."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from stir_hf import RequestError, compare, load_encoder, matrix
from tests.conftest import TinyModels
from tests.families.checkpoints import processor_of
from tests.families.zoo import MEMBERS
from tests.tiny import QUICK, SEES, Net, noise_images, pictures


@pytest.fixture
def vit(tiny_models: TinyModels) -> Any:
    return transformers.AutoModelForImageClassification.from_pretrained(tiny_models.vit)


def random_vit(**more: Any) -> Any:
    config = transformers.ViTConfig(**SEES)
    return transformers.ViTModel(config, **more).eval()


def test_an_object_is_read_as_its_folder(vit: Any, tiny_models: TinyModels) -> None:
    images = torch.rand(5, 3, 40, 36)
    from_folder, from_object = load_encoder(tiny_models.vit), load_encoder(vit)
    torch.testing.assert_close(from_object(images), from_folder(images), rtol=1e-5, atol=1e-6)
    assert from_object.penultimate == from_folder.penultimate
    picture = noise_images(1, 50)[0]
    assert (from_object.canvas(picture) == from_folder.canvas(picture)).all()


def test_an_object_scores_as_its_folder(vit: Any, tiny_models: TinyModels) -> None:
    data = noise_images(8, 40)
    expected = compare(tiny_models.vit, tiny_models.resnet, data, **QUICK)
    found = compare(vit, tiny_models.resnet, data, **QUICK)
    for a, b in zip(found.scores, expected.scores, strict=True):
        assert a.similarity == pytest.approx(b.similarity, abs=1e-6)
        assert a.stir == pytest.approx(b.stir, abs=1e-5)


def test_an_object_comes_back_untouched(vit: Any, tiny_models: TinyModels) -> None:
    vit.train()
    before = {name: value.clone() for name, value in vit.state_dict().items()}
    compare(vit, tiny_models.resnet, noise_images(6, 32), **QUICK)
    assert vit.training
    assert all(parameter.requires_grad for parameter in vit.parameters())
    assert all(torch.equal(before[name], value) for name, value in vit.state_dict().items())


def left_of(module: nn.Module) -> list[Any]:
    """Per module: its hooks, its mode and the names of its attributes."""
    return [
        (list(m._forward_hooks), list(m._forward_pre_hooks), m.training, list(vars(m)))
        for m in module.modules()
    ]


@pytest.mark.parametrize("name", ["vit", "convnext", "clip", "levit"])
def test_an_object_never_seen_before_comes_back_bit_for_bit(name: str) -> None:
    """Hooks that capture hidden states are installed by the first pass that asks for these; LeViT
    keeps its attention biases.
    """
    model, member = MEMBERS[name].make().train(), MEMBERS[name]
    left, pickled = left_of(model), pickle.dumps(model)
    for layer in (None, "hidden_states[1]"):
        encoder = load_encoder(model, layer, processor=processor_of(name, member.side))
        images = torch.rand(2, 3, member.side, member.side)
        first, second = encoder.session().__enter__(), encoder.session().__enter__()
        expected = first(images)
        first.__exit__(None, None, None)
        assert torch.equal(second(images), expected)
        second.__exit__(None, None, None)
        assert torch.equal(encoder(images), expected)
        assert left_of(model) == left
        assert pickle.dumps(model) == pickled


def test_without_a_processor_it_is_said_what_to_pass() -> None:
    with pytest.raises(RequestError, match=r"load_encoder\(model, processor=…\)"):
        load_encoder(random_vit())
    with pytest.raises(RequestError, match=r"load_encoder\(model, processor=…\)"):
        compare(random_vit(), Net(), pictures(6), **QUICK)
    gone = random_vit()
    gone.config._name_or_path = gone.name_or_path = "/nowhere/vit"
    with pytest.raises(RequestError, match=r"/nowhere/vit.*load_encoder\(model, processor=…\)"):
        load_encoder(gone)


def test_a_processor_of_a_default_branch_is_noted(
    vit: Any, tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_encoder(vit).notes == ()
    own = transformers.AutoImageProcessor.from_pretrained(tiny_models.vit)
    vit.name_or_path = "lab/vit"
    monkeypatch.setattr("stir_hf.models.load.memory._own_processor", lambda *_: own)
    (note,) = load_encoder(vit).notes
    assert "that of lab/vit at its default branch" in note
    assert load_encoder(vit, processor=own).notes == ()


@pytest.mark.parametrize("kind", ["folder", "path", "object", "of several"])
def test_a_processor_can_be_given(kind: str, tiny_models: TinyModels) -> None:
    own: Any = transformers.AutoImageProcessor.from_pretrained(tiny_models.vit)
    given = {
        "folder": tiny_models.vit,
        "path": Path(tiny_models.vit),
        "object": own,
        "of several": SimpleNamespace(image_processor=own),
    }[kind]
    model, images = random_vit(add_pooling_layer=False), torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        expected = model(pixel_values=(images - 0.5) / 0.5).last_hidden_state[:, 0]
    found = load_encoder(model, processor=given)(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


class TensorsOnly:
    """As timm's: PyTorch tensors and nothing else."""

    def __call__(self, image: Any, return_tensors: str = "pt") -> dict[str, Any]:
        if return_tensors != "pt":
            raise ValueError(f"return_tensors must be 'pt', but got {return_tensors}")
        values = torch.tensor(list(image.resize((32, 32)).tobytes()), dtype=torch.float32) / 255
        return {"pixel_values": (values.reshape(1, 32, 32, 3).permute(0, 3, 1, 2) - 0.5) / 0.25}


def test_a_processor_may_give_tensors_only() -> None:
    model, images = random_vit(add_pooling_layer=False), torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        expected = model(pixel_values=(images - 0.5) / 0.25).last_hidden_state[:, 0]
    found = load_encoder(model, processor=TensorsOnly())(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_module_with_a_processor_gets_what_that_makes(tiny_models: TinyModels) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
    images = torch.rand(4, 3, 32, 32)
    found = load_encoder(module, processor=tiny_models.vit)(images)
    torch.testing.assert_close(found, module((images - 0.5) / 0.5).detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (transformers.ViTImageProcessor, "must be an image processor"),
        (5, "must be an image processor"),
        ("/nowhere", "no such folder of an image processor: /nowhere"),
        (Path("nowhere/at-all"), "no such folder of an image processor"),
        ("", "no such folder of an image processor"),
    ],
)
def test_what_is_no_processor_is_told(given: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        load_encoder(random_vit(), processor=given)


def test_a_processor_is_no_option_of_a_pair(vit: Any) -> None:
    unknown: dict[str, Any] = {"processor": "x"}
    with pytest.raises(RequestError, match="load_encoder"):
        compare(vit, vit, noise_images(6, 32), **unknown, **QUICK)


def test_a_pooler_in_memory_may_be_random_and_is_not_chosen(tiny_models: TinyModels) -> None:
    model: Any = transformers.AutoModel.from_pretrained(tiny_models.vit)  # its pooler is random
    with pytest.raises(RequestError, match=r"pooler was trained is not known.*choose a layer"):
        load_encoder(model)
    assert load_encoder(model, "layernorm:cls")(torch.rand(4, 3, 32, 32)).shape == (4, 16)


def test_a_wrapper_is_refused_with_what_is_inside(vit: Any) -> None:
    with pytest.raises(RequestError, match=r"pass the model inside \(model\.module\)"):
        load_encoder(nn.DataParallel(vit))
    compiled: Any = torch.compile(vit, backend="eager")
    with pytest.raises(RequestError, match=r"model\._orig_mod"):
        load_encoder(compiled)


def test_a_module_around_a_model_is_noted(vit: Any, tiny_models: TinyModels) -> None:
    result = compare(nn.Sequential(vit), tiny_models.resnet, noise_images(8, 32), **QUICK)
    assert any("must normalise them itself" in note for note in result.scores[0].notes)


def test_objects_of_one_class_are_told_apart(tiny_models: TinyModels) -> None:
    auto = transformers.AutoModelForImageClassification
    two = [auto.from_pretrained(tiny_models.vit) for _ in range(2)]
    with torch.no_grad():
        two[1].classifier.weight += 1
        two[1].vit.layernorm.weight += 0.5
    names = {score.model for score in matrix(two, noise_images(6, 32), **QUICK).scores}
    assert names == {"ViTForImageClassification-1", "ViTForImageClassification-2"}


@pytest.mark.parametrize("given", [5, None, ["a"], {"a": 1}, nn.Linear])
def test_what_is_no_model_is_told(given: Any) -> None:
    with pytest.raises(RequestError, match="a model is a Hub id, a folder"):
        load_encoder(given)


class ByBatch(Net):
    """Looks at the other images of its batch."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = super().forward(images)
        return found - found.mean(0)


def test_a_network_that_looks_at_its_batch_is_refused() -> None:
    with pytest.raises(RequestError, match=r"different representations for the same image.*batch"):
        compare(ByBatch(), Net(1), pictures(8), **QUICK)


class Masking(Net):
    """Draws at random, in eval mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        kept = nn.functional.dropout(self.dropped(images), training=True)
        return super().forward(kept)


def test_a_network_that_draws_at_random_is_refused_and_its_module_named() -> None:
    with pytest.raises(RequestError, match="the first module that differs is 'linear'"):
        compare(Masking(), Net(1), pictures(8), **QUICK)


class Odd(nn.Module):
    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make

    def forward(self, images: torch.Tensor) -> Any:
        return self.make(images)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: x.mean(), r"no tensor of shape \(batch, …\)"),
        (lambda x: x.mean((1, 2, 3)), r"no tensor of shape \(batch, …\)"),
        (lambda x: torch.fft.fft(x), "complex numbers"),
        (lambda x: x.detach(), "carries no gradient"),
        (lambda x: x.flatten(1).argmax(1, keepdim=True), "carries no gradient"),
    ],
    ids=["scalar", "vector", "complex", "detached", "labels"],
)
def test_an_output_that_is_no_representation_is_refused(make: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        compare(Net(), Odd(make), pictures(8), **QUICK)
