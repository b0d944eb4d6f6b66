"""Values that a user gives beside each original, from a folder."""

import numpy as np
import torch
from torch import Tensor

from stir_hf.data.sources.canvases import Canvases
from stir_hf.data.sources.samples import UnreadableError, open_samples
from stir_hf.data.sources.spec import DataSpec
from stir_hf.errors import RequestError
from stir_hf.inputs.base import Kind


def read_folder(folder: str, canvases: Canvases, kind: Kind) -> Tensor:
    """The values (n, *shape) of a folder of images, put on the canvas like originals: as many as
    there are originals, in ascending order of their indices, or as many as the whole split.

    Raises:
        RequestError: another number of images, or one that cannot be read.
    """
    samples = canvases.samples
    own = open_samples(folder, DataSpec(folder, image_mode=samples.spec.image_mode))
    found = Canvases(own, canvases.make, kind.shape)
    order = np.sort(samples.order)
    if len(own) not in (len(order), samples.total):
        whole = "" if samples.total in (None, len(order)) else f" or {samples.total}"
        raise RequestError(
            f"{folder} has {len(own)} {kind.name}s; expected {len(order)}{whole}, one for each"
            f" {kind.name} of {samples.spec.dataset}"
        )
    wanted = np.arange(len(order)) if len(own) == len(order) else order
    place = {int(index): position for position, index in enumerate(own.order)}
    try:
        values = [kind.values(found.read(place[int(index)]).array) for index in wanted]
    except UnreadableError as error:
        raise RequestError(f"{folder}: a file cannot be read: {error}") from error
    return torch.from_numpy(np.stack(values))
