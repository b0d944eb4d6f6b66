"""Classes of a user's own, in memory or as code of a checkpoint: they are given what their forward
takes, and their logits are found wherever they put them.
"""

import functools
import json
from collections import UserDict, namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.modeling_outputs import ImageClassifierOutput

from stir_hf import RequestError, load_encoder
from stir_hf.models.run.calling import Arguments
from tests.models.networks import IMAGES
from tests.tiny import SEES, pixels_of

PROCESSOR = tf.ViTImageProcessor(size={"height": 32, "width": 32})


class Own(tf.PreTrainedModel):
    """A body, and a head on the mean of its tokens."""

    config_class = tf.ViTConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vit = tf.ViTModel(config)
        self.head = nn.Linear(16, 7)

    def features(self, images: Tensor) -> Tensor:
        return self.vit(images).last_hidden_state.mean(1)  # type: ignore[no-any-return]

    def logits(self, images: Tensor) -> Any:
        return self.head(self.features(images))


def unnamed(forward: Any) -> Any:
    """As a decorator that hides what it decorates."""

    def run(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    return run


def decorated(forward: Any) -> Any:
    return functools.wraps(forward)(unnamed(forward))


@dataclass
class Answer:
    loss: Tensor | None
    logits: Tensor


Pair = namedtuple("Pair", ["loss", "logits"])


class Images(Own):
    def forward(self, images: Tensor) -> Any:
        return (self.logits(images), images)


class Keyword(Own):
    def forward(self, *, images: Tensor) -> Any:
        return {"logits": self.logits(images)}


class Labelled(Own):
    def forward(self, pixel_values: Tensor, labels: Any = None) -> Any:
        return ImageClassifierOutput(logits=self.logits(pixel_values))


class Wrapped(Own):
    @decorated
    def forward(self, pixel_values: Tensor, labels: Any = None) -> Any:
        return UserDict(logits=self.logits(pixel_values))


class Hidden(Own):
    main_input_name = "pixel_values"

    @unnamed
    def forward(self, pixel_values: Tensor, labels: Any = None) -> Any:
        return Pair(None, self.logits(pixel_values))


class HandsOn(Own):
    """What it takes, its body does not."""

    def forward(self, pixel_values: Tensor, **more: Any) -> Any:
        return Answer(None, self.head(self.features(pixel_values, **more)))


class States(Own):
    def forward(
        self, pixel_values: Tensor, output_hidden_states: Any = None, return_dict: Any = None
    ) -> Any:
        result = self.vit(pixel_values, output_hidden_states=output_hidden_states)
        logits = self.head(result.last_hidden_state.mean(1))
        return {"logits": logits, "hidden_states": result.hidden_states}


class Bare(Own):
    main_input_name = "pixel_values"

    def forward(self, pixel_values: Tensor, labels: Any = None) -> Any:
        return self.logits(pixel_values)


def own(kind: Any) -> Any:
    torch.manual_seed(0)
    return kind(tf.ViTConfig(**SEES)).eval()


@pytest.mark.parametrize(
    "kind", [Images, Keyword, Labelled, Wrapped, Hidden, HandsOn, States], ids=lambda k: k.__name__
)
def test_the_input_of_the_head_is_read_wherever_the_logits_are(kind: Any) -> None:
    model = own(kind)
    encoder = load_encoder(model, processor=PROCESSOR)
    with torch.no_grad():
        features = model.features(pixels_of(encoder).map(IMAGES))
    torch.testing.assert_close(encoder(IMAGES), features)
    for layer in ("logits", "head"):
        torch.testing.assert_close(encoder.at(layer)(IMAGES), model.head(features))
    assert encoder.notes == ()


def test_hidden_states_are_asked_for_where_they_are_taken() -> None:
    model = own(States)
    encoder = load_encoder(model, "hidden_states[1]", processor=PROCESSOR)
    with torch.no_grad():
        result = model.vit(pixels_of(encoder).map(IMAGES), output_hidden_states=True)
    torch.testing.assert_close(encoder(IMAGES), result.hidden_states[1].mean(1))


def test_a_partial_forward_is_called_as_it_is() -> None:
    model = own(Labelled)
    expected = load_encoder(model, processor=PROCESSOR)(IMAGES)
    model.forward = functools.partial(model.forward, labels=None)
    torch.testing.assert_close(load_encoder(model, processor=PROCESSOR)(IMAGES), expected)


def test_a_bare_tensor_says_not_what_it_is() -> None:
    model = own(Bare)
    encoder = load_encoder(model, "head", processor=PROCESSOR)
    with torch.no_grad():
        expected = model.logits(pixels_of(encoder).map(IMAGES))
    torch.testing.assert_close(encoder(IMAGES), expected)
    with pytest.raises(RequestError, match=r"cannot be determined .*choose a layer: .*head"):
        load_encoder(model, processor=PROCESSOR)


class Around(Own):
    """A network that says neither what it takes nor what it gives."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vit = tf.ViTModel(config, add_pooling_layer=False)

    def forward(self, pixel_values: Tensor) -> Any:
        return self.logits(pixel_values)


def test_of_a_network_that_says_nothing_of_itself_the_tower_is_read() -> None:
    model = own(Around)
    encoder = load_encoder(model, processor=PROCESSOR)
    with torch.no_grad():
        pixels = pixels_of(encoder).map(IMAGES)
        torch.testing.assert_close(encoder(IMAGES), model.vit(pixels).last_hidden_state[:, 0])
        torch.testing.assert_close(encoder.at("head")(IMAGES), model.logits(pixels))
    assert encoder.notes == ("the vision tower (vit) of Around is read",)
    assert encoder.at("head").notes == ()


class Words(Own):
    def forward(self, tokens: Tensor) -> Any:
        return nn.functional.embedding(tokens, self.head.weight)


class Both(Own):
    def forward(self, pixel_values: Tensor, input_ids: Tensor | None = None) -> Any:
        assert input_ids is not None
        return self.vit(pixel_values), input_ids + 1


class Pairs(Own):
    def forward(self, pixel_values: Tensor, second: Tensor) -> Any:
        return self.vit(pixel_values - second)


@pytest.mark.parametrize("kind", [Both, Pairs])
def test_of_what_needs_more_than_images_the_tower_is_read(kind: Any) -> None:
    model = own(kind)
    encoder = load_encoder(model, "hidden_states[1]", processor=PROCESSOR)
    assert encoder.notes == (f"the vision tower (vit) of {kind.__name__} is read",)


def test_what_takes_words_is_told_of_it() -> None:
    with pytest.raises(RequestError, match=r"Words does not run on images .*scalar types: Long"):
        load_encoder(own(Words), processor=PROCESSOR)


CODE = {
    "of_config.py": """
from transformers import PretrainedConfig

class OwnConfig(PretrainedConfig):
    model_type = "own_net"
""",
    "of_model.py": """
from torch import nn
from transformers import PreTrainedModel
from .of_config import OwnConfig

class Own(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 32), nn.ReLU(), nn.Flatten())
        self.fc = nn.Linear(8, 5)
        self.post_init()

    def forward(self, images, labels=None):
        return {"logits": self.fc(self.body(images))}
""",
}


def test_code_of_a_checkpoints_own(tmp_path: Path) -> None:
    for name, text in CODE.items():
        (tmp_path / name).write_text(text)
    torch.manual_seed(0)
    body, fc = nn.Conv2d(3, 8, 32), nn.Linear(8, 5)
    weights = {f"body.0.{name}": value for name, value in body.state_dict().items()}
    weights |= {f"fc.{name}": value for name, value in fc.state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    classes = {"AutoConfig": "of_config.OwnConfig", "AutoModel": "of_model.Own"}
    about = {"model_type": "own_net", "architectures": ["Own"], "auto_map": classes}
    (tmp_path / "config.json").write_text(json.dumps(about))
    PROCESSOR.save_pretrained(tmp_path)
    encoder = load_encoder(str(tmp_path), trust_remote_code=True)
    with torch.no_grad():
        expected = body(pixels_of(encoder).map(IMAGES)).relu().flatten(1)
    torch.testing.assert_close(encoder(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_the_arguments_of_what_has_no_signature() -> None:
    module: Any = nn.Identity()
    module.forward = max  # which tells no signature
    unknown = Arguments.of(module)
    pixels = torch.zeros(1)
    assert unknown.given(pixels, {"return_dict": True}) == (
        [],
        {"pixel_values": pixels, "return_dict": True},
    )
    error = TypeError("f() got an unexpected keyword argument 'return_dict'")
    less = unknown.without(error)
    assert less is not None
    assert less.given(pixels, {"return_dict": True})[1] == {"pixel_values": pixels}
    least = less.without(TypeError("f() missing 1 required positional argument: 'x'"))
    assert least is not None
    assert least.given(pixels, {"output_hidden_states": True})[1] == {"pixel_values": pixels}
    assert least.without(error) is None
