"""Small networks that the tests of this folder share, and what they need of a checkpoint."""

from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from stir_hf import Encoder
from stir_hf.inputs.images import PixelMap
from stir_hf.models.images.pixels import Pixels
from stir_hf.models.run.network import Network

IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


class Small(nn.Module):
    """Convolution, batch norm, dropout, classifier; smooth, so that its gradient can be checked."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.act = nn.Tanh()
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(5, 4)

    def forward(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.drop(self.act(self.norm(self.conv(images)))).mean((2, 3))
        return self.head(pooled)  # type: ignore[no-any-return]


class Answer(dict[str, Any]):
    """A result with fields, as `transformers` has them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Classifier(nn.Module):
    """A classifier of `transformers` in its smallest form: a body to (b, d), and a way from there
    to logits.
    """

    def __init__(self, *, width: int = 6, classes: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 32)
        self.act = nn.Tanh()
        self.head: nn.Module = nn.Linear(width, classes, bias=False)

    def features(self, pixel_values: Tensor) -> Tensor:
        return self.act(self.stem(pixel_values).flatten(1))  # type: ignore[no-any-return]

    def forward(self, pixel_values: Tensor, *_: Any, **__: Any) -> Answer:
        return Answer(logits=self.head(self.features(pixel_values)))


def as_checkpoint(
    module: nn.Module, layer: str = "penultimate", missing: frozenset[str] = frozenset()
) -> Encoder:
    """A module as if it had been loaded with a processor that resizes to 32x32."""

    def process(image: Image.Image) -> Any:
        import numpy as np

        return np.asarray(image.resize((32, 32)), np.float64).transpose(2, 0, 1) / 255

    pixels = Pixels(process, PixelMap.identity(3), 3, (32, 32))
    return Encoder(Network(module, pixels, "toy", missing=missing), layer)
