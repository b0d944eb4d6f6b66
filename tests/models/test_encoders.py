"""Encoders: which layer is read and how, that gradients flow, and that the network comes back as
it was.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from stir_hf import Encoder, RequestError, load_encoder
from tests.conftest import TinyModels
from tests.models.networks import IMAGES, Small
from tests.test_cli import run

FAMILIES = ("resnet", "vit", "mobilenet")


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    return Small()


def network_input(encoder: Encoder) -> Tensor:
    return (IMAGES - 0.5) / 0.5  # the tiny processors' mean and deviation


def result_of(encoder: Encoder) -> Any:
    with torch.no_grad():
        return encoder.module.eval()(pixel_values=network_input(encoder), output_hidden_states=True)


def classifier_of(encoder: Encoder) -> nn.Module:
    return [m for m in encoder.module.modules() if isinstance(m, nn.Linear)][-1]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_is_what_the_classifier_is_fed(family: str, tiny_models: TinyModels) -> None:
    encoder = load_encoder(getattr(tiny_models, family), device="cpu")
    fed: list[Tensor] = []
    with classifier_of(encoder).register_forward_pre_hook(lambda _, args: fed.append(args[0])):
        result_of(encoder)
    torch.testing.assert_close(encoder(IMAGES), fed[0].flatten(1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits(family: str, tiny_models: TinyModels) -> None:
    encoder = load_encoder(getattr(tiny_models, family), "logits", device="cpu")
    torch.testing.assert_close(encoder(IMAGES), result_of(encoder).logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("i", [0, 1, 2, -1])
def test_hidden_states(family: str, i: int, tiny_models: TinyModels) -> None:
    encoder = load_encoder(
        getattr(tiny_models, family), f"hidden_states[{i}]:flatten", device="cpu"
    )
    expected = result_of(encoder).hidden_states[i].flatten(1)
    torch.testing.assert_close(encoder(IMAGES), expected, rtol=0, atol=1e-6)


POOLED: dict[str, Callable[[Tensor], Tensor]] = {
    ":mean": lambda x: x.mean(1),
    ":cls": lambda x: x[:, 0],
    ":max": lambda x: x.amax(1),
    ":flatten": lambda x: x.reshape(len(x), -1),
    "": lambda x: x.mean(1),
}


@pytest.mark.parametrize("pooling", POOLED)
def test_pooling_of_tokens(pooling: str, tiny_models: TinyModels) -> None:
    encoder = load_encoder(tiny_models.vit, f"vit.layers.1{pooling}", device="cpu")
    expected = POOLED[pooling](result_of(encoder).hidden_states[2])
    torch.testing.assert_close(encoder(IMAGES), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", ["", ":mean", ":max"])
def test_maps_are_pooled_over_space(pooling: str, tiny_models: TinyModels) -> None:
    encoder = load_encoder(tiny_models.resnet, f"resnet.encoder.stages.1{pooling}", device="cpu")
    maps = result_of(encoder).hidden_states[2]
    assert maps.shape[2] != maps.shape[1]
    expected = maps.amax((2, 3)) if pooling == ":max" else maps.mean((2, 3))
    torch.testing.assert_close(encoder(IMAGES), expected, rtol=0, atol=1e-6)


def test_cls_of_a_map_is_refused(tiny_models: TinyModels) -> None:
    with pytest.raises(RequestError, match="tokens"):
        load_encoder(tiny_models.resnet, "resnet.encoder.stages.1:cls", device="cpu")(IMAGES)


def test_a_pooler_without_weights_is_never_used(bare_vit: str, tiny_models: TinyModels) -> None:
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(load_encoder(bare_vit, device="cpu")(IMAGES))
    assert torch.equal(found[0], found[1])
    torch.testing.assert_close(
        found[0], load_encoder(tiny_models.vit, device="cpu")(IMAGES), rtol=0, atol=1e-6
    )
    one, two = (load_encoder(bare_vit, device="cpu") for _ in range(2))
    assert one.identity() == two.identity()
    with torch.no_grad():
        two.module.get_parameter("layernorm.weight").add_(1)
    assert one.identity() != two.identity()
    with pytest.raises(RequestError, match=r"lacks .*pooler"):
        load_encoder(bare_vit, "pooler", device="cpu")


def test_layers_are_listed_where_the_output_lacks_weights(
    bare_vit: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(["layers", bare_vit], capsys)
    lines = {line.split("  ")[0]: line for line in out.splitlines()}
    lacks = "not to be read: the checkpoint lacks pooler.dense.bias"
    assert code == 0
    assert lacks in lines["pooler.dense"]
    assert lacks not in lines["layernorm"]
    load: Any = transformers.ViTModel.from_pretrained

    def without_norm(*words: Any, **how: Any) -> Any:
        model, info = load(*words, **how)
        return model, {**info, "missing_keys": {*info["missing_keys"], "layernorm.weight"}}

    monkeypatch.setattr(transformers.ViTModel, "from_pretrained", without_norm)
    code, out, _ = run(["layers", bare_vit, "--json"], capsys)
    found = {layer["name"]: layer for layer in json.loads(out)}
    assert code == 0
    assert found["layernorm"]["lacks"] == "layernorm.weight"
    assert found["layers.1"] == {"name": "layers.1", "shape": [17, 16], "pooling": "mean"}


@pytest.mark.verify
def test_all_listed_layers_can_be_read(tiny_models: TinyModels) -> None:
    for layer in load_encoder(tiny_models.resnet, device="cpu").layers:
        found = load_encoder(tiny_models.resnet, layer.name, device="cpu")(IMAGES)
        assert found.shape == (3, layer.shape[0]), layer


def test_a_wrong_layer_is_told_the_nearest(tiny_models: TinyModels, small: Small) -> None:
    with pytest.raises(
        RequestError, match=r"no layer 'resnet.encoder.stage.1'; did you mean .*stages\.1"
    ):
        load_encoder(tiny_models.resnet, "resnet.encoder.stage.1", device="cpu")
    with pytest.raises(RequestError, match=r"no layer 'cnv' .*conv"):
        load_encoder(small, "cnv")
    with pytest.raises(RequestError, match=r"'sum' .* mean, max, cls, flatten"):
        load_encoder(tiny_models.vit, "vit.layers.1:sum", device="cpu")


def test_the_pass_stops_at_the_layer(tiny_models: TinyModels, small: Small) -> None:
    ran: list[str] = []
    with small.norm.register_forward_hook(lambda *_: ran.append("norm")):
        encoder = load_encoder(small, "conv")
        encoder.find_layer((8, 8))
        ran.clear()
        encoder(IMAGES)
    assert ran == []
    vit = load_encoder(tiny_models.vit, "hidden_states[1]", device="cpu")
    with vit.module.vit.layers[2].register_forward_hook(lambda *_: ran.append("2")):  # type: ignore[union-attr, index]
        vit(IMAGES)
    assert ran == []


def state_of(module: nn.Module) -> list[Any]:
    hooks = [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
        for m in module.modules()
    ]
    flags = [p.requires_grad for p in module.parameters()] + [
        p.grad is None for p in module.parameters()
    ]
    return [[m.training for m in module.modules()], hooks, flags]


@pytest.mark.parametrize("fails", [False, True])
def test_the_network_comes_back_as_it_was(small: Small, fails: bool) -> None:
    small.train()
    small.drop.eval()
    small.conv.bias.requires_grad_(False)  # type: ignore[union-attr]
    before, weights = state_of(small), copy.deepcopy(small.state_dict())
    encoder = load_encoder(small)
    images = IMAGES[..., :2] if fails else IMAGES.clone().requires_grad_()
    if fails:
        with pytest.raises((RequestError, RuntimeError)):
            encoder(images)
    else:
        encoder(images).square().sum().backward()  # type: ignore[no-untyped-call]
        assert images.grad is not None
    assert state_of(small) == before
    assert all(torch.equal(value, weights[name]) for name, value in small.state_dict().items())


def test_the_network_comes_back_when_a_layer_raises(small: Small) -> None:
    encoder = load_encoder(small)
    encoder(IMAGES)
    before = state_of(small.train())

    def fail(*_: Any) -> None:
        raise ValueError("on purpose")

    with small.norm.register_forward_hook(fail), pytest.raises(ValueError, match="on purpose"):
        encoder(IMAGES)
    assert state_of(small) == before


def test_dropout_and_batch_play_no_part(small: Small) -> None:
    encoder = load_encoder(small.train())
    assert torch.equal(encoder(IMAGES), encoder(IMAGES))
    torch.testing.assert_close(encoder(IMAGES)[:1], encoder(IMAGES[:1]))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", [32, 48])
def test_gradients_reach_the_image(family: str, side: int, tiny_models: TinyModels) -> None:
    encoder = load_encoder(getattr(tiny_models, family), device="cpu")
    images = torch.rand(
        2, 3, side, side, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    (gradient,) = torch.autograd.grad(encoder(images).square().sum(), images)
    assert gradient.isfinite().all()
    assert gradient.flatten(1).any(1).all()
    assert all(p.grad is None for p in encoder.module.parameters())


def test_gradients_are_right(small: Small) -> None:
    encoder = load_encoder(small.double())
    images = IMAGES[:1, :, :5, :5].double().requires_grad_()
    assert encoder(images).dtype == torch.float64
    assert torch.autograd.gradcheck(encoder, (images,))


def test_a_module_takes_images_at_their_own_size(small: Small) -> None:
    encoder = load_encoder(small)
    assert encoder.extent is None
    for side in (9, 20):
        images = torch.rand(2, 3, side, side)
        assert torch.equal(encoder(images), small.eval()(images))
    assert load_encoder(small, "conv")(IMAGES).shape == (3, 5)


def test_a_module_with_one_channel() -> None:
    encoder = load_encoder(nn.Flatten(), channels=1)
    assert encoder(torch.rand(2, 1, 4, 4)).shape == (2, 16)
    with pytest.raises(RequestError, match=r"takes images \(b, 1, h, w\), not \(3, 3, 32, 32\)"):
        encoder(IMAGES)


def test_statistics_of_the_batch_are_refused() -> None:
    with pytest.raises(RequestError, match="statistics of the batch"):
        load_encoder(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
        )


def test_identity_tells_networks_apart(tiny_models: TinyModels) -> None:
    one, again = (load_encoder(tiny_models.resnet, device="cpu") for _ in range(2))
    assert one.identity() == again.identity()
    with torch.no_grad():
        next(again.module.parameters()).add_(1e-3)
    assert one.identity()["weights"] != again.identity()["weights"]
