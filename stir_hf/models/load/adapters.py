"""An adapter that peft's `save_pretrained` wrote, merged into its base."""

import importlib.util
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stir_hf.errors import RequestError
from stir_hf.hub import is_local, split_revision
from stir_hf.models.load.files import ADAPTER, ADAPTER_CONFIG, read_json
from stir_hf.models.load.messages import readable


@dataclass(frozen=True)
class Adapter:
    """What an adapter says of itself."""

    folder: Path
    called: str
    base: str
    """Hub id or folder of its base."""
    revision: str | None
    heads: tuple[str, ...]
    """Modules that it brings whole, such as a classifier."""
    num_labels: int | None
    """Of a classifier among them."""

    def shown(self, commit: str | None = None) -> str:
        """The base as results name it, at a commit where that is known."""
        if commit is not None:
            return f"{split_revision(self.base)[0]}@{commit}"
        name = Path(self.base).expanduser().name if is_local(self.base) else self.base
        return f"{name}@{self.revision}" if self.revision else name

    def merged(self, base: Any) -> nn.Module:
        """The base with the adapter's weights in place; peft has to be there.

        Raises:
            RequestError: it does not fit the base, or cannot be merged.
        """
        import peft

        what = f"is an adapter that cannot be merged into its base {self.shown()} here"
        # peft draws weights before it loads them, and uses what transformers deprecates
        with (
            readable(self.called, what),
            torch.random.fork_rng(devices=[]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            config = peft.PeftConfig.from_pretrained(str(self.folder))
            model = peft.PeftModel(base, config)
            found = model.load_adapter(str(self.folder), "default", torch_device="cpu")
            if strange := [*found.unexpected_keys, *found.missing_keys]:
                raise ValueError(f"its base has no place for {strange[0]}")
            merged: nn.Module = model.merge_and_unload()
        return merged.eval()


def in_one_of(weight: str, modules: tuple[str, ...]) -> bool:
    """Whether a weight belongs to one of the modules of these names, at any depth."""
    return any(part in modules for part in weight.split(".")[:-1])


def read_adapter(folder: Path, called: str) -> Adapter:
    """Read what an adapter says of itself; peft must be there to do more.

    Raises:
        RequestError: no base is named, or peft is not installed.
    """
    from safetensors import safe_open

    config, path = read_json(folder / ADAPTER_CONFIG), folder / ADAPTER
    base = config.get("base_model_name_or_path")
    if not base or not isinstance(base, str):
        raise RequestError(f"model {called} is an adapter that names no base; merge it into one")
    revision, heads = config.get("revision"), config.get("modules_to_save") or []
    if revision is not None and not isinstance(revision, str):
        raise RequestError(f"model {called} is an adapter of revision {revision!r} of its base")
    if not isinstance(heads, list) or not all(isinstance(name, str) for name in heads):
        raise RequestError(
            f"model {called} is an adapter whose modules_to_save is {heads!r}; expected names"
        )
    labels = None
    with readable(called, "is an adapter that cannot be read"), safe_open(path, "pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - it is no dictionary
            shape = weights.get_slice(name).get_shape()
            if name.endswith(".weight") and len(shape) == 2 and in_one_of(name, tuple(heads)):
                labels = shape[0]
    found = Adapter(folder, called, base, revision, tuple(heads), labels)
    if importlib.util.find_spec("peft") is None:
        raise RequestError(
            f"model {called} is an adapter, of base {found.base}; merge it into its base"
            " (`merge_and_unload`, then `save_pretrained`), or install peft to have it merged here"
        )
    return found
