"""Which tensor a layer is: the penultimate one proved, one call of several, one identity for one
tensor.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stir_hf import RequestError, load_encoder
from tests.conftest import TinyModels
from tests.models.networks import IMAGES, Answer, Classifier, as_checkpoint


class Temperature(Classifier):
    """Logits divided after the head; the stem's output has their shape, and is a vector."""

    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> Answer:
        return Answer(logits=self.head(self.features(pixel_values)) / 0.07)


class InPlaceTemperature(Classifier):
    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> Answer:
        return Answer(logits=self.head(self.features(pixel_values)).mul_(3))


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(5.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class ScaledByModule(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.scale = Scale()

    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> Answer:
        return Answer(logits=self.scale(self.head(self.features(pixel_values))))


class CosineHead(nn.Linear):
    """Multiplies directions, scaled; its module gives the logits."""

    def forward(self, x: Tensor) -> Tensor:
        return 20 * F.linear(F.normalize(x), F.normalize(self.weight))


class Cosine(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.head = CosineHead(6, 6, bias=False)


class CosineAndTemperature(Cosine):
    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> Answer:
        return Answer(logits=self.head(self.features(pixel_values)) / 2)


class Adapted(Classifier):
    """A head in two parts, as adapters have it."""

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base, self.down, self.up = nn.Linear(6, 6), nn.Linear(6, 2), nn.Linear(2, 6)
            self.drop = nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            return self.base(x) + 2 * self.up(self.down(self.drop(x)))  # type: ignore[no-any-return]

    def __init__(self) -> None:
        super().__init__()
        self.head = self.Head()


class TwoHeads(Classifier):
    """Distilled: the mean of two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Linear(6, 6)

    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> Answer:
        x = self.features(pixel_values)
        return Answer(logits=(self.head(x) + self.second(-x)) / 2)


class Convolved(Classifier):
    """A head that is a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(6, 4, 1)

    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> Answer:
        return Answer(logits=self.head(self.features(pixel_values)[..., None, None]).flatten(1))


@pytest.mark.parametrize(
    "kind",
    [
        Classifier,
        Temperature,
        InPlaceTemperature,
        ScaledByModule,
        Cosine,
        CosineAndTemperature,
        Adapted,
        TwoHeads,
        Convolved,
    ],
)
def test_the_penultimate_layer_is_what_the_head_multiplies(kind: type[Classifier]) -> None:
    torch.manual_seed(0)
    module = kind().train()
    encoder = as_checkpoint(module)
    assert module.training
    assert encoder.penultimate is not None
    assert encoder.penultimate.name == "penultimate (input of head)"
    torch.testing.assert_close(encoder(IMAGES), module.features(IMAGES))


class OwnProduct(Classifier):
    """Multiplies by weights outside any module's call."""

    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> Answer:
        x = F.normalize(self.features(pixel_values))
        return Answer(logits=8 * F.linear(x, F.normalize(self.head.get_parameter("weight"))))


class Squashed(Classifier):
    """Logits that are no product."""

    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> Answer:
        return Answer(logits=self.head(self.features(pixel_values)).sigmoid())


@pytest.mark.parametrize("kind", [OwnProduct, Squashed])
def test_without_a_proof_the_penultimate_layer_is_refused(kind: type[Classifier]) -> None:
    torch.manual_seed(0)
    with pytest.raises(
        RequestError, match=r"penultimate layer of toy cannot be determined .*: .*act"
    ):
        as_checkpoint(kind())
    encoder = as_checkpoint(kind(), "act")
    torch.testing.assert_close(encoder(IMAGES), kind.features(encoder.module, IMAGES))  # type: ignore[arg-type]
    assert encoder.penultimate is None
    assert "act" in [layer.name for layer in as_checkpoint(kind(), "output").layers]


class OfEachPixel(nn.Module):
    """Logits of a segmenter, beside what its body gives."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Conv2d(3, 6, 4, 4), nn.Conv2d(6, 5, 1)

    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> Answer:
        x = self.body(pixel_values)
        return Answer(last_hidden_state=x, logits=self.head(x))


class OneToken(Classifier):
    """Its logits are a sequence of one, (b, 1, k)."""

    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> Answer:
        return Answer(logits=self.head(self.features(pixel_values)[:, None]))


def test_logits_of_one_token_are_a_classifiers() -> None:
    module = OneToken()
    found = as_checkpoint(module)(IMAGES)
    torch.testing.assert_close(found, module.features(IMAGES).detach())


def test_logits_of_pixels_are_no_classifiers() -> None:
    encoder = as_checkpoint(OfEachPixel())
    torch.testing.assert_close(encoder(IMAGES), encoder.module.body(IMAGES).mean((2, 3)))  # type: ignore[operator]
    assert encoder.penultimate is not None
    assert encoder.penultimate.name == "penultimate (output of body)"
    assert as_checkpoint(OfEachPixel(), "logits:flatten")(IMAGES).shape == (3, 320)


class Needy(Classifier):
    """Needs a text, too."""

    def forward(self, pixel_values: Tensor, *_: Any, **more: Any) -> Answer:
        return Answer(logits=self.head(self.features(pixel_values) + len(more["input_ids"])))


def test_a_network_that_fails_in_its_first_pass_is_refused_in_a_line() -> None:
    with pytest.raises(RequestError, match=r"toy cannot be read: Needy .*KeyError: 'input_ids'"):
        as_checkpoint(Needy())
    with pytest.raises(KeyError):  # a module of the user's: its error is told in full
        load_encoder(Odd())(IMAGES)


class Odd(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise KeyError(images)


class Shared(nn.Module):
    """One ReLU for the whole network."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c1, self.c2, self.relu = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.c2(self.relu(self.c1(x)))).mean((2, 3))  # type: ignore[no-any-return]


def test_a_module_that_runs_several_times_is_read_call_by_call() -> None:
    module = Shared()
    first = module.relu(module.c1(IMAGES))
    second = module.relu(module.c2(first))
    for selector, expected in (("relu#1", first), ("relu#2", second), ("relu#2:max", second)):
        encoder = load_encoder(module, selector)
        found = encoder(IMAGES)
        pooled = expected.amax((2, 3)) if ":max" in selector else expected.mean((2, 3))
        torch.testing.assert_close(found, pooled)
        listed = {layer.name: layer.shape for layer in encoder.layers}
        assert listed["relu#1"] == (8, 16, 16)
        assert listed["relu#2"] == (12, 8, 8)
        assert "relu" not in listed
    with pytest.raises(RequestError, match=r"'relu' runs 2 times .* relu#1, relu#2"):
        load_encoder(module, "relu")(IMAGES)
    with pytest.raises(RequestError, match=r"no layer 'relu#3'; did you mean relu#"):
        load_encoder(module, "relu#3")(IMAGES)
    with pytest.raises(RequestError, match=r"no layer 'relo#2'"):
        load_encoder(module, "relo#2")
    torch.testing.assert_close(
        load_encoder(module, "c1#1")(IMAGES), load_encoder(module, "c1")(IMAGES)
    )


class Overwritten(nn.Module):
    """Writes into what its convolution gave."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x)).mean((2, 3))  # type: ignore[no-any-return]


def test_a_layer_that_is_overwritten_later_is_read_in_time() -> None:
    module = Overwritten()
    encoder, after = load_encoder(module, "conv:flatten"), load_encoder(module, "relu:flatten")
    torch.testing.assert_close(encoder(IMAGES), module.conv(IMAGES).flatten(1))
    with encoder.session() as session:
        found = session.check(session.network.kind((32, 32)), gradient=True)
    assert bool((found < 0).any())
    assert encoder.identity()["tap"]["module"] == "conv"
    assert not bool((after(IMAGES) < 0).any())
    assert after.identity()["tap"]["module"] == "relu"


def test_weights_that_lack_are_refused_where_they_are_read() -> None:
    assert as_checkpoint(Classifier(), missing=frozenset({"head.weight"}))(IMAGES).shape == (3, 6)
    for missing, layer in (("stem.weight", "penultimate"), ("head.weight", "logits")):
        with pytest.raises(RequestError, match=f"lacks {missing}, which layer '{layer}'"):
            as_checkpoint(Classifier(), layer, missing=frozenset({missing}))


def test_selectors_of_the_same_tensor_have_one_identity(tiny_models: TinyModels) -> None:
    def tap(layer: str | None, model: str) -> Any:
        return load_encoder(model, layer, device="cpu").identity()["tap"]

    resnet, vit = tiny_models.resnet, tiny_models.vit
    assert tap(None, resnet) == tap("penultimate", resnet) == tap("classifier.0", resnet)
    assert tap("logits", resnet) == tap("classifier.1", resnet) == tap("classifier", resnet)
    assert tap("hidden_states[-1]", vit) == tap("hidden_states[3]", vit)
    assert tap("vit.layers.1", vit) == tap("vit.layers.1:mean", vit)
    different = [tap(layer, vit) for layer in ("vit.layers.1", "vit.layers.1:cls", "logits", None)]
    assert all(a != b for i, a in enumerate(different) for b in different[:i])
