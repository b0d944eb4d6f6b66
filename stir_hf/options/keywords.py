"""The keyword options of the verbs as types; `python -m stir_hf.options --keywords` writes it."""

import os
from collections.abc import Sequence
from typing import Literal, TypedDict

import torch

from stir_hf.engine.constraints.base import Constraint
from stir_hf.engine.objectives.base import Objective
from stir_hf.engine.rules.base import Rule
from stir_hf.engine.starts.base import Start
from stir_hf.similarity.measure import Measure


class RunKeywords(TypedDict, total=False):
    """The options of every verb that runs networks."""

    trust_remote_code: bool
    batch_size: int | None
    device: str | torch.device | None
    dtype: Literal["float32", "float64", "bfloat16", "float16"] | torch.dtype | None
    tf32: bool
    autocast: bool
    compile: bool
    num_processes: int | None
    out: str | os.PathLike[str] | None
    name: str | Sequence[str]
    private: bool | None
    without_images: bool
    create_pr: bool
    package: str | None
    push_to: str | None
    layer: str | None


class InversionKeywords(RunKeywords, total=False):
    """The options of every verb that makes inversions."""

    config_name: str | None
    split: str | None
    image_column: str | None
    image_mode: Literal["RGB", "L"] | None
    num_samples: int | None
    streaming: bool
    shuffle_buffer: int | None
    stream_limit: int | None
    method: str | Rule
    steps: int | None
    tolerance: float | str
    start: str | Start | None
    draws: int
    seed: int
    exact: bool
    constraint: str | Constraint | None
    objective: str | Objective
    restarts: int | str | None
    diverse: float


class MatrixKeywords(InversionKeywords, total=False):
    """The options of `matrix`."""

    measure: str | Sequence[str] | Measure
    interval: float | str | None
    null: int


class CompareKeywords(MatrixKeywords, total=False):
    """The options of `compare`."""

    reference_layer: str | None


class InvertKeywords(InversionKeywords, total=False):
    """The options of `invert`."""

    part: str | None


class ScoreKeywords(RunKeywords, total=False):
    """The options of `score`."""

    set: str | None
    num_samples: int | None
    draws: int | None
    measure: str | Sequence[str] | Measure
    interval: float | str | None
    null: int


class EstimateKeywords(CompareKeywords, total=False):
    """The options of `estimate`."""

    part: str | None
