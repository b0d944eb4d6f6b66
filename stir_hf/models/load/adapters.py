"""Adapters saved by peft's `save_pretrained`, and their merge into the base model."""

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
    """An adapter by its configuration file."""

    folder: Path
    called: str
    base: str
    """Hub id or folder of the base model."""
    revision: str | None
    heads: tuple[str, ...]
    """Modules that the adapter contains completely, such as a classifier."""
    num_labels: int | None
    """The number of labels of a classifier among them; None without one."""

    def shown(self, commit: str | None = None) -> str:
        """The name of the base in results, with its commit if that is known."""
        if commit is not None:
            return f"{split_revision(self.base)[0]}@{commit}"
        name = Path(self.base).expanduser().name if is_local(self.base) else self.base
        return f"{name}@{self.revision}" if self.revision else name

    def merged(self, base: Any) -> nn.Module:
        """Merge the adapter's weights into the base; requires peft.

        Raises:
            RequestError: the adapter does not fit the base, or cannot be merged.
        """
        import peft

        what = f"is an adapter that cannot be merged into its base {self.shown()} here"
        # peft draws weights before it loads them, and uses what transformers deprecates
        with (
            readable(self.called, what),
            torch.random.fork_rng(devices=[]),
            warnings.catch_warnings(action="ignore"),
        ):
            config = peft.PeftConfig.from_pretrained(str(self.folder))
            model = peft.PeftModel(base, config)
            found = model.load_adapter(str(self.folder), "default", torch_device="cpu")
            if strange := [*found.unexpected_keys, *found.missing_keys]:
                raise ValueError(f"its base has no place for {strange[0]}")
            merged: nn.Module = model.merge_and_unload()
        return merged.eval()


def in_one_of(weight: str, modules: tuple[str, ...]) -> bool:
    """Return whether a weight belongs to one of the modules of these names, at any depth."""
    return any(part in modules for part in weight.split(".")[:-1])


def read_adapter(folder: Path, called: str) -> Adapter:
    """Read the configuration of an adapter, and check that peft is installed.

    Raises:
        RequestError: the configuration names no base model, or peft is not installed.
    """
    from safetensors import safe_open

    config, path = read_json(folder / ADAPTER_CONFIG), folder / ADAPTER
    base = config.get("base_model_name_or_path")
    if not base or not isinstance(base, str):
        raise RequestError(f"model {called} is an adapter that names no base; merge it into one")
    revision, heads = config.get("revision"), config.get("modules_to_save") or []
    if revision is not None and not isinstance(revision, str):
        raise RequestError(
            f"model {called} is an adapter whose revision (of the base) is {revision!r}; expected"
            " a name, a commit or null"
        )
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
