"""Options of publishing on the Hub."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from stir_hf.errors import RequestError, as_flag, closest
from stir_hf.publish.spaces.requirement import checked
from stir_hf.registry import option


@dataclass(frozen=True)
class ShareConfig:
    """Options of what is published, and of who may see it."""

    private: bool | None = option(
        None,
        "Make the repo on the Hub private, or public; default: private where images or a model are"
        " not public.",
        off="public",
    )
    without_images: bool = option(
        False,
        "Publish no originals: `score` takes them from the dataset by index and checks them.",
    )
    create_pr: bool = option(False, "Propose what is sent as a pull request.")
    package: str | None = option(
        None,
        "What the card tells its readers to install; default: what it says already, or the"
        " repository of this installation at its commit.",
        metavar="REQUIREMENT",
    )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Return the configuration of keyword options.

        Raises:
            RequestError: an unknown option, or a value that it does not take.
        """
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise RequestError(f"unknown option {name!r}; {closest(name, known)}")
        return cls(**given)

    def __post_init__(self) -> None:
        for name in ("without_images", "create_pr"):
            object.__setattr__(self, name, as_flag(name, getattr(self, name)))
        if self.package is not None:
            checked(self.package)
        if self.private is not None:
            object.__setattr__(self, "private", as_flag("private", self.private))


@dataclass(frozen=True)
class PublishConfig(ShareConfig):
    """Options of publishing a run when it is done."""

    push_to: str | None = option(
        None,
        "Dataset repo on the Hub that inversions and scores are sent to when the run is done.",
        metavar="NAMESPACE/NAME",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Any = self.push_to
        if given is not None and not isinstance(given, str):
            raise RequestError(f"push_to must be NAMESPACE/NAME, not {given!r}")
