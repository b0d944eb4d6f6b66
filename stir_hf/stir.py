"""The main job: invert, score, compare, matrix."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn
from tqdm.auto import tqdm

from stir_hf import scoring
from stir_hf.config import DataSpec, InversionConfig, RunConfig, check_choice
from stir_hf.encoders import Encoder, load_encoder
from stir_hf.environment import environment
from stir_hf.errors import RequestError, RunError
from stir_hf.images import Data, Images, open_images
from stir_hf.inversion import Item, descend, rule_for, start_image
from stir_hf.inversion.descent import Watch
from stir_hf.inversions import FOLDER, Inversions, Writer, check_complete, features, to_array, to_png
from stir_hf.pixels import MODES
from stir_hf.results import FILE_NAME, StirResult
from stir_hf.slugs import slug
from stir_hf.similarity.cka import LEAST_ROWS

Model = str | nn.Module | Encoder
SHARD_ROWS = 64
MEASURES = ("linear_cka",)


class _Job:
    """One inversion set in the making: everything is checked when it is made, nothing is computed until `run`."""

    def __init__(
        self, encoder: Encoder, images: Images, config: InversionConfig, run: RunConfig, out: Path | None,
        starts: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.encoder, self.images, self.config, self.run_config = encoder, images, config, run
        self.size = encoder.size or _common_size(images, encoder)
        encoder.prepare(self.size)
        self.starts = starts
        self._check_starts()
        self.recipe = {"reference": encoder.identity, "data": images.identity, "canvas": list(self.size),
                       "image_mode": MODES[encoder.channels], "inversion": asdict(config)}  # fmt: skip
        if starts is not None:
            self.recipe["starts"] = _hash(starts)
        self.slug = slug(encoder.name, self.recipe)
        self.folder = (out or Path(tempfile.mkdtemp(prefix="stir-hf-"))) / FOLDER / self.slug
        if out is None:
            _TEMPORARY.append(self.folder.parent.parent)

    def run(self, *, progress: bool) -> Inversions:
        """Make what is not on disk yet, and load all of it."""
        state = PartialState()
        label = self.images.rows.features.get(self.images.label_column) if self.images.label_column else None
        columns = features(
            self.size, self.encoder.channels, exact=self.config.exact, starts=self.starts is not None, label=label
        )
        with state.main_process_first():
            writer = Writer(self.folder, self.recipe, columns, state.process_index)
        done = writer.done()
        state.wait_for_everyone()
        keys = [(p, d) for p in range(len(self.images)) for d in range(self.config.draws)]
        left = [k for k in keys if (self.images.indices[k[0]], k[1]) not in done]
        with self.encoder.frozen(), self._bar(len(keys), len(done), progress) as bar:
            self._invert(left[state.process_index :: state.num_processes], writer, bar)
        state.wait_for_everyone()
        inversions = Inversions.load(self.folder)
        check_complete(inversions, {(self.images.indices[p], d) for p, d in keys})
        return inversions

    def _bar(self, total: int, done: int, progress: bool) -> "tqdm[Any]":
        return tqdm(total=total, initial=done, desc=f"inverting {self.encoder.name}", unit="image", disable=not progress,
                    dynamic_ncols=True)  # fmt: skip

    def _invert(self, keys: list[tuple[int, int]], writer: Writer, bar: "tqdm[Any]") -> None:
        def watch(seen: Watch) -> None:
            bar.set_postfix(active=seen.active, error=f"{seen.error:.3f}")

        config, batch = self.config, self.run_config.batch_size
        results = descend(
            self._represent, self._items(keys), rule_for(config.method), passes=config.passes,
            tolerance=config.tolerance, batch_size=batch, watch=watch,
        )  # fmt: skip
        waiting: list[tuple[tuple[int, int], Tensor]] = []
        try:
            for result in results:
                waiting.append((result.key, result.image))
                bar.update()
                if len(waiting) >= min(SHARD_ROWS, batch):
                    writer.write(self._rows(waiting))
                    waiting = []
        except FloatingPointError as error:
            raise RunError(f"{self._where()}: {error}") from error
        finally:
            writer.write(self._rows(waiting))

    def _represent(self, images: Tensor) -> Tensor:
        return self.encoder(images)

    def _items(self, keys: list[tuple[int, int]]) -> Iterator[Item]:
        """Targets are computed in batches as the descent asks for more images."""
        encoder, batch = self.encoder, self.run_config.batch_size
        for first in range(0, len(keys), batch):
            some = keys[first : first + batch]
            images = torch.from_numpy(np.stack([self._canvas(p) for p, _ in some]))
            with torch.no_grad():
                targets = encoder(images)
            self._check_targets(targets, [self.images.indices[p] for p, _ in some])
            for key, target in zip(some, targets, strict=True):
                yield Item(key, self._start(key).to(encoder.device, encoder.image_dtype), target)

    def _canvas(self, position: int) -> np.ndarray:
        pixels = self.encoder.pixels.canvas(self.images.at(position)[1])
        return pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)

    def _start(self, key: tuple[int, int]) -> Tensor:
        position, draw = key
        if self.starts is not None:
            return self.starts[position]
        shape = (self.encoder.channels, *self.size)
        return start_image(
            self.config.start, shape, seed=self.config.seed, index=self.images.indices[position], draw=draw
        )

    def _rows(self, finished: list[tuple[tuple[int, int], Tensor]]) -> list[dict[str, Any]]:
        """Round each inversion to what is stored, and measure that."""
        if not finished:
            return []
        exact = self.config.exact
        pixels = torch.stack([image for _, image in finished]).float().cpu().numpy()
        stored = [p if exact else to_png(p) for p in pixels]
        originals = np.stack([self._canvas(position) for (position, _), _ in finished])
        with torch.no_grad():
            target = self.encoder(torch.from_numpy(originals))
            reached = self.encoder(torch.from_numpy(np.stack([to_array(s) for s in stored])))
        error = ((reached - target).norm(dim=1) / target.norm(dim=1)).tolist()
        rows = []
        for i, ((position, draw), _) in enumerate(finished):
            index, _, label = self.images.at(position)
            row = {"index": index, "draw": draw, "image": to_png(originals[i]), "inverted": stored[i],
                   "relative_error": error[i], "representation": target[i].tolist(),
                   "representation_inverted": reached[i].tolist()}  # fmt: skip
            if self.starts is not None:
                row["start"] = self.starts[position].clamp(0, 1).numpy()
            rows.append(row if self.images.label_column is None else {**row, "label": label})
        return rows

    def _check_targets(self, targets: Tensor, indices: list[int]) -> None:
        if not bool(targets.isfinite().all()):
            bad = indices[int((~targets.isfinite().all(1)).nonzero()[0, 0])]
            raise RunError(f"{self._where()}: the representation of image {bad} is not finite")
        if not bool(targets.any(1).all()):
            bad = indices[int((~targets.any(1)).nonzero()[0, 0])]
            raise RunError(f"{self._where()}: the representation of image {bad} is all zeros, so no error is defined")
        if len(targets) > 1 and bool((targets == targets[0]).all()):
            raise RunError(f"{self._where()}: a constant representation, the same for every image")

    def _check_starts(self) -> None:
        if (self.starts is None) == (self.config.start == "given"):
            raise RequestError("start='given' goes with a tensor of start images (starts=…), and only with it")
        expected = (len(self.images), self.encoder.channels, *self.size)
        if self.starts is not None and tuple(self.starts.shape) != expected:
            raise RequestError(f"starts must have shape {expected}, not {tuple(self.starts.shape)}")
        if self.starts is not None and self.config.draws != 1:
            raise RequestError("starts are one per image; use draws=1")

    def _where(self) -> str:
        return f"{self.encoder.name}, layer {self.encoder.layer}"


_TEMPORARY: list[Path] = []


def forget_temporary() -> None:
    """Remove the folders of runs that named no `out`."""
    while _TEMPORARY:
        shutil.rmtree(_TEMPORARY.pop(), ignore_errors=True)


def invert(
    reference: Model, data: Data, *, layer: str | None = None, revision: str | None = None, out: str | Path | None = None,
    starts: Tensor | None = None, progress: bool = True, **options: Any,
) -> Inversions:  # fmt: skip
    """Find for each image another one that the reference represents identically (Nanda et al. 2022, section 3).

    Args:
        reference: Hub id, `id@revision`, local folder or `nn.Module`; see `load_encoder`.
        data: Hub id, local folder or dataset in memory.
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
    folder = None if out is None else Path(out)
    job = _Job(encoder, images, config, run, folder, starts)
    _claim(folder, [job])
    return job.run(progress=progress)


def score(
    models: Model | Sequence[Model], inversions: Inversions | str | Path, *, layer: str | None = None,
    measure: str = "linear_cka", out: str | Path | None = None, progress: bool = True, **options: Any,
) -> StirResult:  # fmt: skip
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
    check_choice("measure", measure, MEASURES)
    run = RunConfig(**_known(options, RunConfig))
    sets = [inversions] if isinstance(inversions, Inversions) else Inversions.load_all(inversions)
    encoders = _encoders(models, layer, run, [s.recipe["image_mode"] for s in sets])
    config = {"command": "score", "inversions": [s.recipe for s in sets], "models": [e.identity for e in encoders],
              "measure": measure, "dtype": run.dtype}  # fmt: skip
    folder = _check_result(out, config)
    scores = [scoring.score(e, s, measure, run.batch_size, progress=progress) for s in sets for e in encoders]
    return _finish(StirResult(tuple(scores), config, environment(encoders[0].device)), folder)


def compare(
    model: Model, reference: Model, data: Data, *, layer: str | None = None, reference_layer: str | None = None,
    measure: str = "linear_cka", out: str | Path | None = None, progress: bool = True, **options: Any,
) -> StirResult:  # fmt: skip
    """Both directions: `scores[0]` is STIR(model | reference), `scores[1]` is STIR(reference | model).

    Args, options and errors as `invert` and `score`; `layer` is read in the model, `reference_layer` in the reference.
    """
    return _every_pair([reference, model], [reference_layer, layer], data, "compare", measure, out, progress, options)


def matrix(
    models: Sequence[Model], data: Data, *, layer: str | None = None, measure: str = "linear_cka",
    out: str | Path | None = None, progress: bool = True, **options: Any,
) -> StirResult:  # fmt: skip
    """STIR of every ordered pair of different models: one inversion set per model, each judged by all the others.

    Args, options and errors as `invert` and `score`; `layer` is read in every model.
    """
    if len(models) < 2:
        raise RequestError(f"a matrix needs at least two models, not {len(models)}")
    return _every_pair(models, [layer] * len(models), data, "matrix", measure, out, progress, options)


def _every_pair(
    models: Sequence[Model], layers: Sequence[str | None], data: Data, command: str, measure: str,
    out: str | Path | None, progress: bool, options: dict[str, Any],
) -> StirResult:  # fmt: skip
    check_choice("measure", measure, MEASURES)
    data_spec, config, run = parse_options(data, options)
    encoders = [as_encoder(m, at, run, image_mode=data_spec.image_mode) for m, at in zip(models, layers, strict=True)]
    images = _images(data, data_spec, *encoders)
    folder = None if out is None else Path(out)
    jobs = [_Job(e, images, config, run, folder) for e in encoders]
    asked = {"command": command, "models": [e.identity for e in encoders], "data": images.identity,
             "inversion": asdict(config), "measure": measure, "dtype": run.dtype}  # fmt: skip
    _claim(folder, jobs)
    _check_result(folder, asked)
    scores = []
    for job in jobs:
        inversions = job.run(progress=progress)
        others = [e for e in encoders if e is not job.encoder]
        scores += [scoring.score(e, inversions, measure, run.batch_size, progress=progress) for e in others]
    return _finish(StirResult(tuple(scores), asked, environment(encoders[0].device)), folder)


def as_encoder(
    model: Model, layer: str | None, run: RunConfig, *, revision: str | None = None, image_mode: str | None = None
) -> Encoder:
    """A model in any of its forms as an encoder."""
    if isinstance(model, Encoder):
        return model
    channels = 1 if image_mode == "L" else 3
    encoder = load_encoder(model, layer, revision=revision, device=run.device, dtype=run.dtype, channels=channels)
    if image_mode is not None and MODES[encoder.channels] != image_mode:
        raise RequestError(f"{encoder.name} takes {MODES[encoder.channels]} images, not image_mode={image_mode!r}")
    return encoder


def parse_options(data: Data, options: dict[str, Any]) -> tuple[DataSpec, InversionConfig, RunConfig]:
    """Keyword options sorted into what they configure."""
    name = data if isinstance(data, str) else "a dataset in memory"
    parts = [
        {k: v for k, v in options.items() if k in cls.__dataclass_fields__}
        for cls in (DataSpec, InversionConfig, RunConfig)
    ]
    if unknown := [k for k in options if not any(k in part for part in parts)]:
        from stir_hf.errors import closest

        known = [
            f for cls in (DataSpec, InversionConfig, RunConfig) for f in cls.__dataclass_fields__ if f != "dataset"
        ]
        raise RequestError(f"unknown option {unknown[0]!r}; {closest(unknown[0], known)}")
    return DataSpec(**{**parts[0], "dataset": name}), InversionConfig(**parts[1]), RunConfig(**parts[2])


def _known(options: dict[str, Any], cls: type[RunConfig]) -> dict[str, Any]:
    from stir_hf.errors import closest

    if unknown := [k for k in options if k not in cls.__dataclass_fields__]:
        raise RequestError(f"unknown option {unknown[0]!r}; {closest(unknown[0], cls.__dataclass_fields__)}")
    return options


def _encoders(models: Model | Sequence[Model], layer: str | None, run: RunConfig, modes: list[str]) -> list[Encoder]:
    several = [models] if isinstance(models, str | nn.Module | Encoder) else list(models)
    if not several:
        raise RequestError("no model to judge; give at least one")
    if len(set(modes)) > 1:
        raise RequestError(
            f"the inversion sets have images of different modes ({', '.join(sorted(set(modes)))}); give one set"
        )
    return [as_encoder(m, layer, run, image_mode=modes[0]) for m in several]


def _images(data: Data, spec: DataSpec, *encoders: Encoder) -> Images:
    if len({e.channels for e in encoders}) > 1:
        shown = ", ".join(f"{e.name} takes {MODES[e.channels]}" for e in encoders)
        raise RequestError(f"the models take images of different modes: {shown}")
    least = max(LEAST_ROWS.values())
    if spec.num_samples is not None and spec.num_samples < least:
        raise RequestError(f"num_samples={spec.num_samples} is too few: the measure needs at least {least} images")
    images = open_images(data, spec)
    if len(images) < least:
        raise RequestError(f"{spec.dataset} has {len(images)} images; the measure needs at least {least}")
    return images


def _common_size(images: Images, encoder: Encoder) -> tuple[int, int]:
    sizes = {image.size for _, image, _ in images}
    if len(sizes) > 1:
        shown = ", ".join(f"{w}x{h}" for w, h in sorted(sizes)[:3])
        raise RequestError(f"{encoder.name} takes images at their own size, but they differ ({shown}, …); resize them")
    width, height = sizes.pop()
    return height, width


def _claim(out: Path | None, jobs: list[_Job]) -> None:
    """Refuse a folder that holds inversions of another run."""
    names = [job.slug for job in jobs]
    if len(set(names)) < len(names):
        raise RequestError("two of the models are the same network at the same layer; give different ones")
    folder = out / FOLDER if out else None
    if folder and folder.is_dir() and (others := sorted(p.name for p in folder.iterdir() if p.name not in names)):
        raise RequestError(f"{out} holds inversions of another run ({others[0]}); choose another --out")


def _check_result(out: str | Path | None, config: dict[str, Any]) -> Path | None:
    """Refuse a folder that holds another run's result."""
    if out is None:
        return None
    folder = Path(out)
    if (folder / FILE_NAME).exists() and StirResult.load(folder).config != StirResult((), config).to_dict()["config"]:
        raise RequestError(f"{folder / FILE_NAME} is the result of another run; choose another --out")
    return folder


def _finish(result: StirResult, folder: Path | None) -> StirResult:
    if folder is not None and PartialState().is_main_process:
        result.save(folder)
    return result


def _hash(tensor: Tensor) -> str:
    import hashlib

    return hashlib.sha256(tensor.contiguous().cpu().numpy().tobytes()).hexdigest()[:16]
