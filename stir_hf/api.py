"""The main job: invert, score, compare, matrix."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import PartialState
from torch import Tensor, nn

from stir_hf import scoring
from stir_hf.data.inversions import Inversions
from stir_hf.data.samples import Images, open_images
from stir_hf.data.shards import FOLDER
from stir_hf.data.spec import DataSpec
from stir_hf.data.splits import Data
from stir_hf.engine.config import InversionConfig
from stir_hf.errors import RequestError, check_choice, closest
from stir_hf.hub import split_revision
from stir_hf.inputs.images import MODES
from stir_hf.job import InversionJob
from stir_hf.models.encoder import Encoder, load_encoder
from stir_hf.results import FILE_NAME, StirResult
from stir_hf.runtime import RunConfig, environment
from stir_hf.similarity import MEASURES

Model = str | nn.Module | Encoder
SPELT_IN_DATA = ("dataset", "revision")
"""Fields of `DataSpec` that the argument `data` gives, as `id@revision`."""


def invert(
    reference: Model,
    data: Data,
    *,
    layer: str | None = None,
    revision: str | None = None,
    out: str | Path | None = None,
    starts: Tensor | None = None,
    progress: bool = True,
    **options: Any,
) -> Inversions:
    """Find for each image another one that the reference represents identically (Nanda et al. 2022, section 3).

    Args:
        reference: Hub id, `id@revision`, local folder or `nn.Module`; see `load_encoder`.
        data: Hub id, `id@revision`, local folder or dataset in memory.
        layer: of the reference.
        revision: of the reference.
        out: folder that keeps the inversions, under `inversions/<slug>`; the same call continues there. None: a temporary
            folder.
        starts: start images (n, c, h, w), with `start="given"`.
        progress: a progress bar on stderr.
        options: the fields of `DataSpec` (`split`, `config_name`, `image_column`, `image_mode`, `num_samples`),
            `InversionConfig` (`method`, `steps`, `tolerance`, `start`, `draws`, `seed`, `exact`) and `RunConfig`
            (`batch_size`, `device`, `dtype`).

    Raises:
        RequestError: the request is wrong; nothing was done.
        RunError: values that are not finite, or a constant representation.
    """
    data_spec, config, run = parse_options(data, options)
    encoder = as_encoder(reference, layer, run, revision=revision, image_mode=data_spec.image_mode)
    images = _images(data, data_spec, encoder)
    folder = _folder(out)
    job = InversionJob(encoder, images, config, run, folder, starts)
    _claim(folder, [job])
    return _run(job, progress=progress)


def score(
    models: Model | Sequence[Model],
    inversions: Inversions | str | Path,
    *,
    layer: str | None = None,
    measure: str = "linear_cka",
    out: str | Path | None = None,
    progress: bool = True,
    **options: Any,
) -> StirResult:
    """STIR(model | reference) of one or several models on inversions that exist; the reference is not loaded.

    Args:
        models: as `reference` of `invert`.
        inversions: a set, its folder, or a folder that holds several.
        layer: of the models.
        measure: `linear_cka`; the debiased value is always beside it.
        out: folder for `result.json`.
        progress: a progress bar on stderr.
        options: the fields of `RunConfig`.

    Raises:
        RequestError: the request is wrong, or there are fewer images than the measure needs.
        RunError: values that are not finite, or a constant representation.
    """
    check_choice("measure", measure, MEASURES.names)
    run = RunConfig(**_known(options, RunConfig))
    sets = [inversions] if isinstance(inversions, Inversions) else Inversions.load_all(inversions)
    encoders = _encoders(models, layer, run, [s.recipe["image_mode"] for s in sets])
    for one in sets:
        for encoder in encoders:
            scoring.check(encoder, one, measure)
    config = {
        "command": "score",
        "inversions": [s.recipe for s in sets],
        "models": [e.identity for e in encoders],
        "measure": measure,
        "dtype": run.dtype,
    }
    folder = _check_result(out, config)
    scores = [
        scoring.score(e, s, measure, run.batch_size, progress=progress)
        for s in sets
        for e in encoders
    ]
    return _finish(StirResult(tuple(scores), config, environment(encoders[0].device)), folder)


def compare(
    model: Model,
    reference: Model,
    data: Data,
    *,
    layer: str | None = None,
    reference_layer: str | None = None,
    measure: str = "linear_cka",
    out: str | Path | None = None,
    progress: bool = True,
    **options: Any,
) -> StirResult:
    """Both directions: `scores[0]` is STIR(model | reference), `scores[1]` is STIR(reference | model).

    Args, options and errors as `invert` and `score`; `layer` is read in the model, `reference_layer` in the reference.
    """
    return _every_pair(
        [reference, model],
        [reference_layer, layer],
        data,
        "compare",
        measure,
        out,
        progress,
        options,
    )


def matrix(
    models: Sequence[Model],
    data: Data,
    *,
    layer: str | None = None,
    measure: str = "linear_cka",
    out: str | Path | None = None,
    progress: bool = True,
    **options: Any,
) -> StirResult:
    """STIR of every ordered pair of different models: one inversion set per model, each judged by all the others.

    Args, options and errors as `invert` and `score`; `layer` is read in every model.
    """
    if len(models) < 2:
        raise RequestError(f"a matrix needs at least two models, not {len(models)}")
    return _every_pair(
        models, [layer] * len(models), data, "matrix", measure, out, progress, options
    )


def _every_pair(
    models: Sequence[Model],
    layers: Sequence[str | None],
    data: Data,
    command: str,
    measure: str,
    out: str | Path | None,
    progress: bool,
    options: dict[str, Any],
) -> StirResult:
    check_choice("measure", measure, MEASURES.names)
    data_spec, config, run = parse_options(data, options)
    encoders = _named_apart(
        [
            as_encoder(m, at, run, image_mode=data_spec.image_mode)
            for m, at in zip(models, layers, strict=True)
        ]
    )
    images = _images(data, data_spec, *encoders)
    folder = _folder(out)
    jobs = [InversionJob(e, images, config, run, folder) for e in encoders]
    for job in jobs:
        for encoder in encoders:
            encoder.fit(job.size)
    asked = {
        "command": command,
        "models": [e.identity for e in encoders],
        "data": images.identity,
        "inversion": asdict(config),
        "measure": measure,
        "dtype": run.dtype,
    }
    _claim(folder, jobs)
    kept = _check_result(out, asked)
    scores = []
    for job in jobs:
        inversions = _run(job, progress=progress)
        others = [e for e in encoders if e is not job.encoder]
        scores += [
            scoring.score(e, inversions, measure, run.batch_size, progress=progress) for e in others
        ]
    return _finish(StirResult(tuple(scores), asked, environment(encoders[0].device)), kept)


def as_encoder(
    model: Model,
    layer: str | None,
    run: RunConfig,
    *,
    revision: str | None = None,
    image_mode: str | None = None,
) -> Encoder:
    """A model in any of its forms as an encoder."""
    if isinstance(model, Encoder):
        return model
    channels = 1 if image_mode == "L" else 3
    encoder = load_encoder(
        model, layer, revision=revision, device=run.device, dtype=run.dtype, channels=channels
    )
    if image_mode is not None and MODES[encoder.channels] != image_mode:
        raise RequestError(
            f"{encoder.name} takes {MODES[encoder.channels]} images, not image_mode={image_mode!r}"
        )
    return encoder


def _named_apart(encoders: list[Encoder]) -> list[Encoder]:
    """Networks of one class get a number, so that results tell them apart."""
    names = [e.name for e in encoders]
    for i, encoder in enumerate(encoders):
        if names.count(names[i]) > 1 and not encoder.checkpoint:
            encoder.name = f"{names[i]}-{1 + names[:i].count(names[i])}"
    return encoders


def parse_options(
    data: Data, options: dict[str, Any]
) -> tuple[DataSpec, InversionConfig, RunConfig]:
    """Keyword options sorted into what they configure."""
    if "revision" in options:
        raise RequestError(
            "revision= names neither the models nor the data here; write id@revision for any of them"
        )
    name, revision = (
        split_revision(data) if isinstance(data, str) else ("a dataset in memory", None)
    )
    parts = [
        {k: v for k, v in options.items() if k in cls.__dataclass_fields__}
        for cls in (DataSpec, InversionConfig, RunConfig)
    ]
    if unknown := [k for k in options if not any(k in part for part in parts)]:
        known = [
            f
            for p in (DataSpec, InversionConfig, RunConfig)
            for f in p.__dataclass_fields__
            if f not in SPELT_IN_DATA
        ]
        raise RequestError(f"unknown option {unknown[0]!r}; {closest(unknown[0], known)}")
    return (
        DataSpec(**{**parts[0], "dataset": name, "revision": revision}),
        InversionConfig(**parts[1]),
        RunConfig(**parts[2]),
    )


def _known(options: dict[str, Any], cls: type[RunConfig]) -> dict[str, Any]:
    if unknown := [k for k in options if k not in cls.__dataclass_fields__]:
        raise RequestError(
            f"unknown option {unknown[0]!r}; {closest(unknown[0], cls.__dataclass_fields__)}"
        )
    return options


def _encoders(
    models: Model | Sequence[Model], layer: str | None, run: RunConfig, modes: list[str]
) -> list[Encoder]:
    several = [models] if isinstance(models, str | nn.Module | Encoder) else list(models)
    if not several:
        raise RequestError("no model to judge; give at least one")
    if len(set(modes)) > 1:
        raise RequestError(
            f"the inversion sets have images of different modes ({', '.join(sorted(set(modes)))}); give one set"
        )
    return _named_apart([as_encoder(m, layer, run, image_mode=modes[0]) for m in several])


def _images(data: Data, spec: DataSpec, *encoders: Encoder) -> Images:
    if len({e.channels for e in encoders}) > 1:
        shown = ", ".join(f"{e.name} takes {MODES[e.channels]}" for e in encoders)
        raise RequestError(f"the models take images of different modes: {shown}")
    least = MEASURES.parse("linear_cka").least_rows
    if spec.num_samples is not None and spec.num_samples < least:
        raise RequestError(
            f"num_samples={spec.num_samples} is too few: the measure needs at least {least} images"
        )
    images = open_images(data, spec)
    if len(images) < least:
        raise RequestError(
            f"{spec.dataset} has {len(images)} images; the measure needs at least {least}"
        )
    return images


def _folder(out: str | Path | None) -> Path:
    """Where the inversions go: unless told otherwise a temporary folder, which ends with the process."""
    if out is not None:
        return _writable(Path(out))
    if PartialState().num_processes > 1:
        raise RequestError("several processes need a folder to share: give --out DIR")
    folder = Path(tempfile.mkdtemp(prefix="stir-hf-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _writable(folder: Path) -> Path:
    """The folder, or what will be one.

    Raises:
        RequestError: a file is in the way, or nothing may be written there.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise RequestError(f"--out {folder} cannot be a folder: {there} is a file")
    if not os.access(there, os.W_OK):
        raise RequestError(f"--out {folder}: nothing may be written in {there}")
    return folder


def _run(job: InversionJob, *, progress: bool) -> Inversions:
    """Each process makes its share of what is not on disk yet; all of them load the whole."""
    state = PartialState()
    with state.main_process_first():
        job.open()
    state.wait_for_everyone()
    job.run(
        state.process_index, state.num_processes, progress=progress and state.is_local_main_process
    )
    state.wait_for_everyone()
    return job.load()


def _claim(out: Path, jobs: list[InversionJob]) -> None:
    """Refuse a folder that holds inversions of another run."""
    names = [job.slug for job in jobs]
    if len(set(names)) < len(names):
        raise RequestError(
            "two of the models are the same network at the same layer; give different ones"
        )
    folder = out / FOLDER
    if folder.is_dir() and (
        others := sorted(p.name for p in folder.iterdir() if p.name not in names)
    ):
        raise RequestError(
            f"{out} holds inversions of another run ({others[0]}); choose another --out"
        )


def _check_result(out: str | Path | None, config: dict[str, Any]) -> Path | None:
    """Refuse a folder that holds another run's result."""
    if out is None:
        return None
    folder = _writable(Path(out))
    if (folder / FILE_NAME).exists() and StirResult.load(folder).config != StirResult(
        (), config
    ).to_dict()["config"]:
        raise RequestError(
            f"{folder / FILE_NAME} is the result of another run; choose another --out"
        )
    return folder


def _finish(result: StirResult, folder: Path | None) -> StirResult:
    if folder is not None and PartialState().is_main_process:
        result.save(folder)
    return result
