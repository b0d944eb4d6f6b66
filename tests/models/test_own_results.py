"""Forwards of a user's own that take images in an unusual way, and logits that are beside others:
what the head is given is read, by hand.
"""

from typing import Any

import pytest
import torch
import transformers as tf
from torch import Tensor

from stir_hf import RequestError, load_encoder
from stir_hf.models.run.calling import with_fields
from tests.models.networks import IMAGES
from tests.models.test_own_forward import PROCESSOR, Own, own
from tests.tiny import pixels_of


class Own2(Own):
    main_input_name = "pixel_values"


class Nothing(Own2):
    def forward(self, pixel_values: Tensor, labels: Any = None) -> Any:
        return (None, self.logits(pixel_values))


class Loss(Own2):
    def forward(self, pixel_values: Tensor, labels: Any = None) -> Any:
        logits = self.logits(pixel_values)
        return (logits.sum(), logits)


class Listed(Own2):
    def forward(self, pixel_values: Tensor) -> Any:
        return [self.logits(pixel_values)]


class BesideMaps(Own2):
    def forward(self, pixel_values: Tensor) -> Any:
        return (self.vit(pixel_values).last_hidden_state, self.logits(pixel_values))


class Position(Own2):
    def forward(self, *args: Tensor) -> Any:
        return {"logits": self.logits(args[0])}


class PositionAndMore(Own2):
    def forward(self, *args: Tensor, **more: Any) -> Any:
        return {"logits": self.logits(args[0])}


class More(Own2):
    def forward(self, **more: Any) -> Any:
        return {"logits": self.logits(more["pixel_values"])}


class LabelsFirst(Own2):
    def forward(self, labels: Any = None, *, pixel_values: Tensor) -> Any:
        return {"logits": self.logits(pixel_values)}


class Strict(Own2):
    def forward(self, pixel_values: Tensor, **more: Any) -> Any:
        if more:
            raise TypeError(f"unknown arguments {list(more)}")
        return {"logits": self.logits(pixel_values)}


KINDS = [
    Nothing,
    Loss,
    Listed,
    BesideMaps,
    Position,
    PositionAndMore,
    More,
    LabelsFirst,
    Strict,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_input_of_the_head_is_read(kind: Any) -> None:
    model = own(kind)
    encoder = load_encoder(model, processor=PROCESSOR)
    with torch.no_grad():
        features = model.features(pixels_of(encoder).map(IMAGES))
    torch.testing.assert_close(encoder(IMAGES), features)
    torch.testing.assert_close(encoder.at("logits")(IMAGES), model.head(features))
    assert encoder.notes == ()


class Embedded(Own2):
    def forward(self, pixel_values: Tensor) -> Any:
        features = self.features(pixel_values)
        return (features, self.head(features))


def test_of_several_vectors_none_is_taken_for_logits_by_its_place() -> None:
    model = own(Embedded)
    assert model.config.num_labels != 7
    with pytest.raises(RequestError, match="cannot be determined"):
        load_encoder(model, processor=PROCESSOR)(IMAGES)
    layer = load_encoder(model, "head", processor=PROCESSOR)
    with torch.no_grad():
        expected = model.logits(pixels_of(layer).map(IMAGES))
    torch.testing.assert_close(layer(IMAGES), expected)


def test_of_several_vectors_the_one_as_wide_as_there_are_classes_are_logits() -> None:
    embedding, logits, loss = torch.zeros(3, 16), torch.zeros(3, 7), torch.zeros(())
    for kind in (tuple, list):
        for items in ((embedding, logits), (loss, logits, embedding), (None, embedding, logits)):
            assert with_fields(kind(items), 7).logits is logits
            assert not hasattr(with_fields(kind(items)), "logits")
        assert not hasattr(with_fields(kind((logits, logits + 1)), 7), "logits")
        assert not hasattr(with_fields(kind((embedding, logits)), 5), "logits")
        assert with_fields(kind((embedding,)), 7).logits is embedding
    result = tf.modeling_outputs.ImageClassifierOutput(logits=logits)
    assert with_fields(result, 5) is result
