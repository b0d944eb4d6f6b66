"""The `evaluate` module: STIR of two checkpoints as a metric."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets
import evaluate
from PIL import Image

from stir_hf.data.images.memory import as_images
from stir_hf.errors import RequestError
from stir_hf.results import StirResult

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

    writer: Any
    buf_writer: Any
    data: Any
    file_paths: Any
    filelocks: Any
    _added = 0
    """Number of images that were added since the last computation."""

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
        if data is None and self.writer is None:
            raise RequestError(
                "data is missing; give images or a dataset, or add them before with add or"
                " add_batch"
            )
        if isinstance(data, _DATASETS):
            if self.writer is not None:
                raise RequestError(
                    "images were added before; compute them first, or give no dataset"
                )
            return _flat(_compare(model, reference, data, options))
        images = None if data is None else as_images(data)
        if images is not None and self.writer is None and self.num_process == 1:
            return self._compute(images, model=model, reference=reference, **options)
        added = self._added
        try:
            found = super().compute(data=images, model=model, reference=reference, **options)
        except BaseException:
            self._give_back(added)
            raise
        self._added = 0
        return found

    def _give_back(self, count: int) -> None:
        """Restore the first `count` images after a computation that failed."""
        if self.data is None:
            return
        kept = self.data["data"][:count]
        self.data = self.buf_writer = self.writer = None
        for lock, path in zip(self.filelocks or (), self.file_paths or (), strict=True):
            Path(path).unlink()
            lock.release()
        self._added, self.filelocks, self.file_paths = 0, None, None
        if kept:
            self.add_batch(data=kept)

    def add_batch(self, data: Any = None, **others: Any) -> None:
        """Add images: a list of PIL images or uint8 arrays, one array of them, or a column of a
        dataset.

        Raises:
            RequestError: anything else.
        """
        images = as_images(data)
        super().add_batch(data=images, **_without_predictions(others))
        self._added += len(images)

    def add(self, data: Any = None, **others: Any) -> None:
        """Add one image: PIL or a uint8 array of shape (h, w) or (h, w, c).

        Raises:
            RequestError: anything else.
        """
        super().add(data=as_images([data])[0], **_without_predictions(others))
        self._added += 1

    def _compute(
        self, data: Iterable[Image.Image], **options: Any
    ) -> dict[str, float | int | None]:
        images = datasets.Dataset.from_dict(
            {"image": list(data)}, features=datasets.Features(image=datasets.Image())
        )
        return _flat(_compare(options.pop("model"), options.pop("reference"), images, options))


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


def _compare(model: Any, reference: Any, data: Any, options: dict[str, Any]) -> StirResult:
    from stir_hf.api import compare

    return compare(model, reference, data, **options)


def _flat(result: StirResult) -> dict[str, float | int | None]:
    forward, reverse = result.scores
    backward = {f"{name}_reverse": value for name, value in reverse.flat().items()}
    return {**forward.flat(), **backward, "num_samples": forward.num_samples}
