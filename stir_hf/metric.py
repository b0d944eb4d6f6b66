"""The `evaluate` module: STIR of two checkpoints as a metric."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import evaluate

from stir_hf.data.images.memory import as_images
from stir_hf.errors import RequestError

DESCRIPTION = """
STIR(model | reference) asks whether a model ignores what a reference ignores. For each image it
finds a different image that the reference represents nearly alike, and measures how similarly the
model represents the pair: 1, the model shares all the reference's invariances; at `floor`, none of
them. It needs two checkpoints and some images, no labels.
"""

INPUTS = """
Args:
    data: images (PIL, uint8 arrays of shape (h, w) or (h, w, c), a column of a dataset), or a
        dataset: its Hub id or folder (with `split=`, `config_name=`, `image_column=`), a
        `datasets.Dataset` or an `IterableDataset`. Images may also be given before, by
        `add(data=image)` and `add_batch(data=images)`.
    model: the checkpoint that is judged: Hub id, `id@revision`, local folder, a model of
        `transformers` or an `nn.Module`.
    reference: the checkpoint whose invariances are asked about, likewise.
    **options: those of `stir_hf.compare`: `num_samples`, `layer`, `reference_layer`, `method`,
        `steps`, `tolerance`, `start`, `draws`, `seed`, `batch_size`, `device`, `dtype`, `measure`,
        `out`, `progress`, ...
Returns:
    A flat dictionary of floats. Of the model given the reference: `stir`, `similarity`, `floor`,
    `ceiling`, the same four under the debiased measure as `stir_debiased` and so on,
    `relative_error` and `spread_error` (medians) and `converged` of the inversions. Of the
    reference given the model: the same names with `_reverse`. And `num_samples`. A value that is
    undefined is None.
Examples:
    >>> import evaluate
    >>> from stir_hf.demo import IMAGES, model_path
    >>> stir = evaluate.load("stir")
    >>> result = stir.compute(
    ...     data=str(IMAGES),
    ...     model=model_path("robust-0"),
    ...     reference=model_path("robust-1"),
    ...     num_samples=20,
    ...     steps=50,
    ...     progress=False,
    ... )
    >>> 0.9 < result["stir"] < 1
    True
"""

CITATION = """
@inproceedings{nanda2022measuring,
  title     = {Measuring Representational Robustness of Neural Networks Through Shared Invariances},
  author    = {Nanda, Vedant and Speicher, Till and Kolling, Camila and Dickerson, John P. and
               Gummadi, Krishna P. and Weller, Adrian},
  booktitle = {International Conference on Machine Learning},
  year      = {2022},
  url       = {https://arxiv.org/abs/2206.11939}
}
"""

PAPER = "https://arxiv.org/abs/2206.11939"
FEATURES = datasets.Features(data=datasets.Image())
_DATASETS = (
    str,
    Path,
    datasets.Dataset,
    datasets.IterableDataset,
    datasets.DatasetDict,
    datasets.IterableDatasetDict,
)


class Stir(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """STIR (Nanda et al., ICML 2022) between two checkpoints, in both directions;
    `evaluate.load("stir")` gives one.

    The numbers are those of `stir_hf.compare` on the same images.
    """

    data: Any
    writer: Any
    filelocks: Any
    file_paths: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._added = list[Any]()
        """The images that were added since the last result, as files."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=FEATURES,
            homepage=PAPER,
            license="Apache-2.0",
            reference_urls=[PAPER],
        )

    def compute(
        self, data: Any = None, *, model: Any = None, reference: Any = None, **options: Any
    ) -> Any:
        """Return STIR(model | reference) and its reverse on `data`, or on the images that were
        added, which are kept until there is a result.

        Raises:
            RequestError: no model, reference or images; whatever `stir_hf.compare` refuses.
        """
        options = _without_predictions(options)
        for name, value in (("model", model), ("reference", reference)):
            if value is None:
                raise RequestError(
                    f"{name} is missing; give two checkpoints: compute(data=…, model=…,"
                    " reference=…)"
                )
        if isinstance(data, _DATASETS):
            if self._added:
                raise RequestError(
                    "images were added before; compute them first, or give no dataset"
                )
            return _scores(model, reference, data, options)
        if data is None and not self._added:
            raise RequestError(
                "data is missing; give images or a dataset, or add them before with add or"
                " add_batch"
            )
        added = len(self._added)
        images = self._added + ([] if data is None else _encoded(data))
        if self.num_process > 1:  # evaluate gathers the images of all processes
            try:
                super().add_batch(data=images)
                found = super().compute(model=model, reference=reference, **options)
            except BaseException:
                self._close()
                raise
        else:
            found = self._compute(images, model=model, reference=reference, **options)
        del self._added[:added]
        return found

    def _close(self) -> None:
        """Release the files that evaluate holds after a computation that failed."""
        self.data = self.writer = None
        for lock, path in zip(self.filelocks or (), self.file_paths or (), strict=True):
            Path(path).unlink(missing_ok=True)
            lock.release()
        self.filelocks = self.file_paths = None

    def add_batch(self, data: Any = None, **empty: Any) -> None:
        """Add images: a list of PIL images or uint8 arrays, one array of them, or a column of a
        dataset.

        Raises:
            RequestError: anything else.
        """
        if unknown := _without_predictions(empty):
            raise RequestError(f"unknown inputs {', '.join(unknown)}; the only one is data")
        self._added += _encoded(data)

    def add(self, data: Any = None, **empty: Any) -> None:
        """Add one image: PIL or a uint8 array of shape (h, w) or (h, w, c).

        Raises:
            RequestError: anything else.
        """
        self.add_batch([data], **empty)

    def __len__(self) -> int:
        """Number of images that were added since the last result."""
        return len(self._added)

    def _compute(self, data: Sequence[Any], *, model: Any, reference: Any, **options: Any) -> Any:
        features = datasets.Features(image=datasets.Image())
        images = datasets.Dataset.from_dict({"image": data}, features=features)
        return _scores(model, reference, images, options)


def _encoded(images: Any) -> list[Any]:
    """Return images as a dataset keeps them: as files, without loss."""
    return [FEATURES["data"].encode_example(image) for image in as_images(images)]


def _without_predictions(options: dict[str, Any]) -> dict[str, Any]:
    """Drop the empty `predictions` and `references` that `evaluate.combine` passes.

    Raises:
        RequestError: they are given, as `evaluate.evaluator` and `EvaluationSuite` do.
    """
    for name in ("predictions", "references"):
        if options.get(name) is not None:
            raise RequestError(
                f"{name} is no input of this metric, which compares two checkpoints on images: call"
                " compute(data=…, model=…, reference=…), or stir_hf.compare, instead of"
                " evaluate.evaluator or EvaluationSuite (in evaluate.combine: beside modules that"
                " take the same)"
            )
    return {k: v for k, v in options.items() if k not in ("predictions", "references")}


def _scores(
    model: Any, reference: Any, data: Any, options: dict[str, Any]
) -> dict[str, float | int | None]:
    from stir_hf.api import compare

    measure = options.get("measure")
    if isinstance(measure, list | tuple) and len(measure) > 1:
        raise RequestError("the metric takes one measure; stir_hf.compare takes several")
    forward, reverse = compare(model, reference, data, **options).scores
    backward = {f"{name}_reverse": value for name, value in reverse.flat().items()}
    return {**forward.flat(), **backward, "num_samples": forward.num_samples}
