"""The keyword options of the verbs as types; `python -m stir_hf.options --keywords` writes it."""

import os
from collections.abc import Sequence
from typing import Literal, TypedDict

import torch

from stir_hf.engine.constraints.base import Constraint
from stir_hf.engine.rules.base import Rule
from stir_hf.engine.starts.base import Start
from stir_hf.similarity.measure import Measure


class LoadKeywords(TypedDict, total=False):
    """The options of `LoadConfig`."""

    trust_remote_code: bool


class RunKeywords(TypedDict, total=False):
    """The options of `RunConfig`."""

    batch_size: int | None
    device: str | torch.device | None
    dtype: Literal["float32", "float64", "bfloat16", "float16"] | torch.dtype | None
    tf32: bool
    autocast: bool


class ProcessKeywords(TypedDict, total=False):
    """The options of `ProcessConfig`."""

    num_processes: int | None


class OutputKeywords(TypedDict, total=False):
    """The options of `OutputConfig`."""

    out: str | os.PathLike[str] | None
    name: str | Sequence[str]


class PublishKeywords(TypedDict, total=False):
    """The options of `PublishConfig`."""

    private: bool | None
    without_images: bool
    create_pr: bool
    package: str | None
    push_to: str | None


class LayerKeywords(TypedDict, total=False):
    """The options of `LayerConfig`."""

    layer: str | None


class DataKeywords(TypedDict, total=False):
    """The options of `DataSpec`."""

    config_name: str | None
    split: str | None
    image_column: str | None
    image_mode: Literal["RGB", "L"] | None
    num_samples: int | None
    streaming: bool
    shuffle_buffer: int | None
    stream_limit: int | None


class InversionKeywords(TypedDict, total=False):
    """The options of `InversionConfig`."""

    method: str | Rule
    steps: int | None
    tolerance: float | str
    start: str | Start | None
    draws: int
    seed: int
    exact: bool
    constraint: str | Constraint | None


class JudgeKeywords(TypedDict, total=False):
    """The options of `JudgeConfig`."""

    measure: str | Measure


class PairKeywords(TypedDict, total=False):
    """The options of `PairConfig`."""

    reference_layer: str | None


class PartKeywords(TypedDict, total=False):
    """The options of `PartConfig`."""

    part: str | None


class SetKeywords(TypedDict, total=False):
    """The options of `SetConfig`."""

    set: str | None
    num_samples: int | None
    draws: int | None


class CompareKeywords(
    LoadKeywords,
    RunKeywords,
    ProcessKeywords,
    OutputKeywords,
    PublishKeywords,
    LayerKeywords,
    DataKeywords,
    InversionKeywords,
    JudgeKeywords,
    PairKeywords,
    total=False,
):
    """The keyword options of `compare`."""


class InvertKeywords(
    LoadKeywords,
    RunKeywords,
    ProcessKeywords,
    OutputKeywords,
    PublishKeywords,
    LayerKeywords,
    DataKeywords,
    InversionKeywords,
    PartKeywords,
    total=False,
):
    """The keyword options of `invert`."""


class ScoreKeywords(
    LoadKeywords,
    RunKeywords,
    ProcessKeywords,
    OutputKeywords,
    PublishKeywords,
    LayerKeywords,
    SetKeywords,
    JudgeKeywords,
    total=False,
):
    """The keyword options of `score`."""


class MatrixKeywords(
    LoadKeywords,
    RunKeywords,
    ProcessKeywords,
    OutputKeywords,
    PublishKeywords,
    LayerKeywords,
    DataKeywords,
    InversionKeywords,
    JudgeKeywords,
    total=False,
):
    """The keyword options of `matrix`."""


class EstimateKeywords(
    LoadKeywords,
    RunKeywords,
    ProcessKeywords,
    OutputKeywords,
    PublishKeywords,
    LayerKeywords,
    DataKeywords,
    InversionKeywords,
    JudgeKeywords,
    PairKeywords,
    PartKeywords,
    total=False,
):
    """The keyword options of `estimate`."""
