"""The card of a repo: its YAML, and the part of its text that a push writes."""

import re
from collections.abc import Sequence
from typing import Any

import huggingface_hub as hub
import yaml  # type: ignore[import-untyped]  # has none
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from stir_hf.errors import RequestError, one_line
from stir_hf.publish.scores import FOLDER as SCORES
from stir_hf.publish.spaces.requirement import NAME, repository
from stir_hf.report.cards import Held, card_text
from stir_hf.report.markup import is_repo, prose

BEGIN, END = "<!-- stir-hf: begin", "<!-- stir-hf: end -->"
TAGS = ("stir", "stir-hf", "representational-similarity", "invariance")
TAGS_OF_SETS = ("model-inversion",)
_SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"))
_EMPTY = re.compile(r"\A\s*---[ \t]*\r?\n---[ \t]*(?:\r?\n|\Z)")
_LICENCE = re.compile(r"[\w.+-]{1,60}", re.ASCII)


def read_card(repo_id: str, text: str) -> tuple[dict[str, Any], str]:
    """The metadata of a repo's card, and its text.

    Raises:
        RequestError: a card that cannot be read.
    """
    if not REGEX_YAML_BLOCK.match(text):  # of which the client warns
        text = f"---\n{{}}\n---\n{_EMPTY.sub('', text, count=1)}"
    try:
        found = hub.RepoCard(text)
    except (TypeError, ValueError, yaml.YAMLError) as error:
        raise RequestError(f"the card of {repo_id} cannot be read: {one_line(error)}") from error
    return found.data.to_dict(), found.text  # type: ignore[no-untyped-call]  # has none


def card(repo_id: str, held: Held, before: str, place: str | None) -> str:
    """Return the whole card of a repo. `before` is the card that is there, in which the text of
    others stays; `place` is what pip installs, if that is known.

    Raises:
        RequestError: a card that cannot be read, or that lacks the mark at the end of our part; a
            broken record of a set.
    """
    known, text = read_card(repo_id, before)
    above, earlier, below = _parts(text)
    if earlier and END not in earlier.splitlines():
        raise RequestError(f"the card of {repo_id} has lost its mark {END}; put it back")
    try:
        ours = card_text(repo_id, held, place, repository(place))
    except RequestError as error:
        raise RequestError(f"{repo_id}: {error}") from error
    if not _title_of_others(known.get("pretty_name"), before):
        known.pop("pretty_name", None)
    try:
        head = hub.DatasetCardData(**_metadata(known, held)).to_yaml()
    except (AttributeError, TypeError) as error:
        why = f"its YAML holds something else than is expected: {one_line(error)}"
        raise RequestError(f"the card of {repo_id} cannot be read: {why}") from error
    text = "\n\n".join(part for part in (above, ours, below) if part)
    return f"---\n{head}\n---\n\n{text}\n"


def task_of(kind: str) -> str:
    """Return the Hub's name of the task, by the kind of input."""
    return "image-feature-extraction" if kind == "image" else "feature-extraction"


def installed(before: str) -> str | None:
    """Return the requirement that our part of a card says to install."""
    found = re.search(rf'pip install "({NAME} @ [^"\s]+)"', _parts(before)[1])
    return found[1] if found else None


def places_in(before: str) -> list[str]:
    """Return the repos of inversions that our part of a card names."""
    line = re.search(r"^The inversions are in (.+)$", _parts(before)[1], re.M)
    found = re.findall(r"\(https://huggingface\.co/datasets/([^)\s]+)\)", line[1] if line else "")
    return [one for one in found if is_repo(one)]


def _title_of_others(title: Any, before: str) -> bool:
    """Tell whether a card's `pretty_name` differs from the one that an earlier push wrote."""
    ours = re.search(r"^# (.+)$", _parts(before)[1], re.M)
    return title is not None and (ours is None or prose(title) != ours[1])


def _parts(text: str) -> tuple[str, str, str]:
    """Return the text of a card before our part, our part, and the text after it."""
    found = re.search(rf"^{BEGIN}.*?(?:^{END}$|\Z)", text, re.M | re.S)
    if found is None:
        return text.strip(), "", ""
    return text[: found.start()].strip(), found[0], text[found.end() :].strip()


def _metadata(there: dict[str, Any], held: Held) -> dict[str, Any]:
    sets = held.sets
    configs = [
        {
            "config_name": one.slug,
            "data_files": [{"split": one.split, "path": f"{one.slug}/*.parquet"}],
        }
        for one in sets
    ]
    if held.scored:
        files = [{"split": "scores", "path": f"{SCORES}/*.parquet"}]
        configs.append({"config_name": SCORES, "data_files": files})
    mine = {one["config_name"] for one in configs}
    others = [one for one in there.get("configs") or [] if one.get("config_name") not in mine]
    names = [one.record["names"] for one in sets]
    sources = [str(n["dataset"]).partition("@")[0] for n in names if n.get("data_revision")]
    count = sum(one.rows for one in sets) if sets else len(held.rows) + held.unread
    kinds = [one.record["identity"]["canvas"]["kind"] for one in sets] or ["image"]
    found = {
        "pretty_name": held.title,
        "task_categories": list(dict.fromkeys(map(task_of, kinds))),
        **there,
        "tags": _union(there.get("tags"), [*TAGS, *(TAGS_OF_SETS if sets else ())]),
        "size_categories": [next((text for most, text in _SIZES if count < most), "n>1M")],
        "source_datasets": _union(there.get("source_datasets"), filter(is_repo, sources)),
        "license": _licence(there.get("license"), [one.record.get("licence") for one in sets]),
        "configs": [*others, *configs],
    }
    return {name: value for name, value in found.items() if value or name in there}


def _union(there: Any, ours: Any) -> list[str]:
    listed = [there] if isinstance(there, str) else list(there or [])
    return list(dict.fromkeys([*listed, *ours]))


def _licence(there: Any, ours: Sequence[Any]) -> Any:
    """Return the licence of a repo: the one that somebody chose for it, else the one that all its
    images have.
    """
    if there is not None and there not in ours:
        return there
    if not ours or any(one != ours[0] for one in ours):
        return None
    listed = ours[0] if isinstance(ours[0], list) else [ours[0]]
    return ours[0] if all(_LICENCE.fullmatch(str(one)) for one in listed) else None
