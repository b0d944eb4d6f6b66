"""A checkpoint by name, and the layer that is read."""

from dataclasses import dataclass
from typing import Any

from stir_hf.errors import RequestError, as_flag, check_text
from stir_hf.hub import split_revision
from stir_hf.registry import option


def check_layer(option: str, layer: Any) -> str | None:
    """Return the name of a layer unchanged.

    Raises:
        RequestError: not a name.
    """
    if layer is not None and (not isinstance(layer, str) or not layer.strip()):
        raise RequestError(
            f"{option} must be the name of a layer, such as penultimate, not {layer!r}"
        )
    return layer


@dataclass(frozen=True)
class LayerConfig:
    """The layer of a network to read."""

    layer: str | None = option(
        None,
        "penultimate (default), logits, hidden_states[i] or a module, perhaps with a pooling"
        " (:mean, :max, :cls, :flatten), and the place of unknown channel axes"
        " (:mean:channels-last or :mean:channels-first).",
        metavar="NAME",
    )

    def __post_init__(self) -> None:
        check_layer("layer", self.layer)


@dataclass(frozen=True)
class LoadConfig:
    """Options of loading checkpoints."""

    trust_remote_code: bool = option(
        False, "Run Python code from a checkpoint; default: refuse checkpoints that need it."
    )

    def __post_init__(self) -> None:
        trusted = as_flag("trust_remote_code", self.trust_remote_code)
        object.__setattr__(self, "trust_remote_code", trusted)


@dataclass(frozen=True)
class ModelSpec:
    """A checkpoint by name."""

    model: str
    """Hub id or local folder."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; None for the default branch."""

    @classmethod
    def parse(cls, model: str, revision: str | None = None) -> "ModelSpec":
        """Split `id@revision`.

        Raises:
            RequestError: an empty name, or two revisions that differ.
        """
        check_text("model", model)
        name, at = split_revision(model, "model")
        if not name:
            raise RequestError(f"model {model!r} is empty; give a Hub id, id@revision or a folder")
        if at and revision and at != revision:
            raise RequestError(
                f"model {model!r} and revision {revision!r} name two revisions; give one"
            )
        return cls(name, at or revision)

    @property
    def name(self) -> str:
        """The name of the model in messages: `id`, `id@revision` or the folder."""
        return f"{self.model}@{self.revision}" if self.revision else self.model
