"""Encoders of several models, given in any form, with distinct names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from torch import nn

from stir_hf.errors import RequestError
from stir_hf.inputs.images import MODES
from stir_hf.models.encoder import Encoder
from stir_hf.models.load.loading import load_encoder
from stir_hf.models.load.spec import LoadConfig
from stir_hf.runtime import RunConfig

Model: TypeAlias = str | Path | nn.Module | Encoder
"""The types of a model argument."""


def as_encoders(
    models: Sequence[Model],
    layers: Sequence[str | None],
    load: LoadConfig,
    run: RunConfig,
    image_mode: str | None,
    labels: Mapping[str, str],
    revision: str | None = None,
) -> list[Encoder]:
    """The encoders of models in any form, with distinct names.

    Raises:
        RequestError: an error of `load_encoder`; models that take images of different modes.
    """
    channels = next((n for n, mode in MODES.items() if mode == image_mode), None)
    encoders = [
        load_encoder(
            model,
            layer,
            trust_remote_code=load.trust_remote_code,
            device=run.device,
            dtype=run.dtype,
            channels=channels,
            revision=revision,
            name=_called(model, labels, first=i == 0),
        )
        for i, (model, layer) in enumerate(zip(models, layers, strict=True))
    ]
    modes = [MODES.get(getattr(e.preprocessing, "channels", 0)) for e in encoders]
    if len(set(modes)) > 1:
        shown = ", ".join(f"{e.name} takes {m}" for e, m in zip(encoders, modes, strict=True))
        raise RequestError(f"the models take images of different modes: {shown}")
    names = [e.name for e in encoders]
    return [
        e.named(f"{e.name}-{1 + names[:i].count(e.name)}")
        if names.count(e.name) > 1 and e.network.in_memory and encoders.index(e) == i
        else e
        for i, e in enumerate(encoders)
    ]


def _called(model: Model, labels: Mapping[str, str], *, first: bool) -> str | None:
    name = labels.get(str(model)) if isinstance(model, str | Path) else None
    return labels.get("") if first and name is None else name
