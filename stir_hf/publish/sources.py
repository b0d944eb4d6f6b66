"""Datasets and models from which published data is made, and their visibility on the Hub."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stir_hf.errors import RequestError
from stir_hf.hub import about, request, split_revision
from stir_hf.publish.config import ShareConfig
from stir_hf.publish.repo import Repo

Licence = str | list[str] | None


@dataclass(frozen=True)
class Sources:
    """The licence and visibility of the data and the reference of a set."""

    licence: Licence
    """The licence that the dataset states."""
    closed: tuple[str, ...]
    """Reasons against publishing the set."""


def sources_of(names: Mapping[str, Any]) -> Sources:
    """Ask the Hub about the dataset and the reference of a set.

    Raises:
        RunError: the Hub is away for longer than STIR_HF_HUB_TIMEOUT.
    """
    data, licence = _asked("dataset", names["dataset"], names.get("data_revision"))
    network, _ = _asked("model", names["reference"], names.get("revision"))
    told = [f"the dataset {names['dataset']} is {data}"] if data else []
    told += [f"the reference {names['reference']} is {network}"] if network else []
    return Sources(licence, tuple(told))


def sources_of_score(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The reasons why a score should not be public: those of its set, or a judged model that is
    private on the Hub. (For a local model, a score contains only the name of its folder.)
    """
    names = {
        "dataset": row["dataset"],
        "data_revision": row["dataset_revision"],
        "reference": row["reference"],
        "revision": row["reference_revision"],
    }
    told = sources_of(names).closed
    if row["model_revision"] is not None:
        why, _ = _asked("model", row["model"], row["model_revision"])
        told += (f"the model {row['model']} is {why}",) if why else ()
    return told


def _asked(kind: Any, name: str, commit: str | None) -> tuple[str | None, Licence]:
    """The reason why a repo is not public (None if it is), and its licence."""
    if commit is None:
        return "local", None
    repo_id = split_revision(name)[0]
    info = request(lambda: about(repo_id, kind), f"{kind} {repo_id}")
    if info is None:
        return "not on the Hub any more, or out of sight", None
    licence: Licence = (getattr(info, "card_data", None) or {}).get("license")
    return "private" if info.private else "gated" if info.gated else None, licence


def visibility(
    repo: Repo, closed: Sequence[str], share: ShareConfig, contents: str
) -> tuple[bool | None, str | None]:
    """Return whether to make the repo private, and a line for the user. None leaves the visibility
    to the Hub's default, or that of an existing repo.

    Args:
        repo: the destination.
        closed: the reasons why the content should not be public.
        share: the options of the push.
        contents: the content that becomes public, in words.

    Raises:
        RequestError: the repo is public, the content should not be, and no option allows it; or
            `--private` for a public repo.
    """
    there, why = repo.is_private(), "; ".join(dict.fromkeys(closed))
    if there:
        stays = f"{repo.id} is private and stays so; its settings on the Hub change that"
        return None, stays if share.private is False else None
    if there is False and share.private:
        raise RequestError(f"{repo.id} is public already; make it private in its settings first")
    if closed and share.private is False:
        return (None if there is False else False), f"this becomes public: {contents} ({why})"
    if closed and there is False:
        raise RequestError(
            f"{repo.id} is public, and {why}; --public publishes it all the same, a private repo"
            " keeps it"
        )
    if closed and share.private is None:
        return True, f"{repo.id} is made private: {why}"
    return (None if there is False else share.private), None
