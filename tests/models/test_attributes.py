"""What a pass leaves in a network: of modules of transformers it is taken out again, of a user's
own it stays.
"""

from functools import cached_property
from typing import Any

import torch
import transformers as tf
from torch import Tensor, nn

from stir_hf import load_encoder
from tests.models.networks import IMAGES
from tests.tiny import SEES


class Builds(nn.Module):
    """Makes its weights in its first pass, by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.is_built = False

    def forward(self, images: Tensor) -> Tensor:
        if not self.is_built:
            self.linear, self.is_built = nn.Linear(images[0].numel(), 5), True
        return self.linear(images.flatten(1))  # type: ignore[no-any-return]


def test_a_module_that_builds_itself_is_built_once() -> None:
    module = Builds()
    encoder = load_encoder(module)
    first = encoder(IMAGES)
    built = module.linear
    assert torch.equal(encoder(IMAGES), first)
    assert (module.is_built, module.linear is built) == (True, True)


class Keeps(nn.Module):
    """Keeps what it saw and what it computed."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = 0
        self.all: list[Tensor] = []
        self.by_name: dict[str, Tensor] = {}

    @cached_property
    def table(self) -> Tensor:
        self.tables += 1
        return torch.ones(3072)

    def forward(self, images: Tensor) -> Tensor:
        self.last = images
        self.all.append(images)
        self.by_name["last"] = images
        return images.flatten(1) * self.table


def test_what_a_users_module_keeps_stays() -> None:
    module = Keeps()
    encoder = load_encoder(module)
    for _ in range(3):
        encoder(IMAGES)
    assert module.tables == 1
    assert module.last is module.all[-1]
    assert module.by_name == {"last": module.last}


class Own(tf.ViTPreTrainedModel):
    """A model of a user's own class around one of transformers."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.vit = tf.ViTModel(config, add_pooling_layer=False)
        self.classifier = nn.Linear(config.hidden_size, 5)
        self.post_init()  # type: ignore[no-untyped-call]  # of transformers

    def forward(self, pixel_values: Tensor, **more: Any) -> Any:
        found = self.vit(pixel_values, **more)
        self.last = found.last_hidden_state
        logits = self.classifier(self.last[:, 0])
        return tf.modeling_outputs.ImageClassifierOutput(logits=logits)


def test_of_a_users_model_hooks_and_their_mark_are_taken_out_and_the_rest_stays() -> None:
    model = Own(tf.ViTConfig(**SEES))
    before = [(list(m._forward_hooks), set(vars(m))) for m in model.modules()]
    load_encoder(model, processor=tf.ViTImageProcessor(size={"height": 32, "width": 32}))(IMAGES)
    assert model.last is not None
    before[0][1].add("last")
    assert [(list(m._forward_hooks), set(vars(m))) for m in model.modules()] == before
