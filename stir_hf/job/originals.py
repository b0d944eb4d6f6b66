"""Originals of inversion sets that were published without them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stir_hf import hub
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sources.canvases import Canvases
from stir_hf.data.sources.samples import UnreadableError, open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.errors import RequestError
from stir_hf.models.load.canvas import canvas_maker
from stir_hf.models.load.spec import LoadConfig


def with_originals(inversions: Inversions, load: LoadConfig) -> Inversions:
    """The same set with its originals. Missing ones are read from their dataset by index, put on
    the canvas by the reference's processor, and compared with the hashes in the set.

    Raises:
        RequestError: a dataset or reference that is not on the Hub, or has changed there.
    """
    if inversions.has_originals:
        return inversions
    names = inversions.manifest.names
    for what, revision in (("dataset", "data_revision"), ("reference", "revision")):
        if (hindrance := _hindrance(names.get(what), names.get(revision))) is not None:
            raise RequestError(
                f"the inversions of {names['reference']} were published without the originals, and"
                f" their {what} {names.get(what)} {hindrance}"
            )
    return replace(inversions, originals=_Source(inversions, load).values)


def _hindrance(name: object, revision: object) -> str | None:
    """The reason why a repo that a manifest names cannot be taken from the Hub, or None. Manifests
    are untrusted, so that a local folder is never used.
    """
    if not isinstance(name, str) or revision is None or hub.is_path(name):
        return "is not on the Hub"
    if any(hub.is_there(one) for one in (name, name.partition("@")[0])):
        return "is not fetched from the Hub while a folder here has that name; run it elsewhere"
    return None


class _Source:
    def __init__(self, inversions: Inversions, load: LoadConfig) -> None:
        names, self.kind = inversions.manifest.names, inversions.kind
        reference, trust = names["reference"].partition("@")[0], load.trust_remote_code
        make = canvas_maker(f"{reference}@{names['revision']}", self.kind, trust_remote_code=trust)
        spec = DataSpec(
            names["dataset"],
            config_name=names["config_name"],
            split=names["split"],
            revision=names["data_revision"],
            image_column=names["image_column"],
            num_samples=inversions.num_samples,
            streaming=inversions.manifest.identity["data"]["order"] == "stream",
            shuffle_buffer=inversions.manifest.identity["data"].get("shuffle_buffer"),
        )
        self.canvases = Canvases(open_samples(spec.dataset, spec), make, self.kind.shape)
        order = self.canvases.samples.order.tolist()
        self.places = {index: position for position, index in enumerate(order)}

    def values(self, indices: Sequence[int], hashes: Sequence[str]) -> NDArray[np.float32]:
        """(b, *shape): the originals at some indices.

        Raises:
            RequestError: an original that differs from the inverted one.
        """
        return np.stack([self._one(*pair) for pair in zip(indices, hashes, strict=True)])

    def _one(self, index: int, digest: str) -> NDArray[np.float32]:
        try:
            canvas = self.canvases.read(self.places[index])
        except (UnreadableError, KeyError):
            canvas = None
        if canvas is None or canvas.hash != digest:
            raise RequestError(
                f"{self.kind.name} {index} of {self.canvases.samples.spec.dataset} has changed"
                " since it was inverted, or the preprocessing of the reference has"
            )
        return self.kind.values(canvas.array)
