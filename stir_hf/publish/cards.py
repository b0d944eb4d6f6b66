"""The card of a repo of inversions: its YAML, and the part of its text that a push writes."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yaml import YAMLError  # type: ignore[import-untyped]  # has none

from stir_hf.data.manifest import Manifest
from stir_hf.engine import RULES, STARTS
from stir_hf.errors import RequestError, one_line
from stir_hf.hub import split_revision, with_metadata
from stir_hf.publish.requirement import NAME, requirement
from stir_hf.publish.scores import FOLDER as SCORES

TEMPLATE = Path(__file__).parent / "templates" / "dataset.md"
BEGIN, END = "<!-- stir-hf: begin", "<!-- stir-hf: end -->"
TAGS = ["stir", "stir-hf", "representational-similarity", "model-inversion", "invariance"]
_SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"))


@dataclass(frozen=True)
class Shown:
    """A set as its card shows it."""

    slug: str
    record: Mapping[str, Any]
    """What its `inversions.json` holds on the Hub."""

    @classmethod
    def read(cls, slug: str, text: bytes) -> "Shown":
        """From what its `inversions.json` holds on the Hub."""
        return cls(slug, json.loads(text))

    @property
    def manifest(self) -> Manifest:
        """What made it."""
        return Manifest.from_dict(self.record, self.slug)

    @property
    def split(self) -> str:
        """What its split is called here: the source's, as far as that is a name."""
        name = str(self.record["names"].get("split") or "").partition("[")[0]
        return name if name.replace("_", "").isalnum() else "images"

    def context(self) -> dict[str, Any]:
        """What the template takes."""
        made, record = self.manifest, dict(self.record)
        licence = record.get("licence")
        engine = made.identity["engine"]
        return {
            **record,
            "slug": self.slug,
            "licence": ", ".join([licence] if isinstance(licence, str) else licence or []),
            "hash": made.hash[:16],
            "reference": linked(made.names["reference"], made.names.get("revision"), "model"),
            "dataset": linked(made.names["dataset"], made.names.get("data_revision"), "dataset"),
            "method": RULES.text(RULES.build(engine["method"])),
            "start": STARTS.text(STARTS.build(engine["start"])),
        }


def linked(name: str, commit: str | None, kind: str) -> str:
    """A name of the Hub as a link; what is local as code."""
    if commit is None:
        return f"`{name}`"
    folder = "datasets/" if kind == "dataset" else ""
    return f"[{name}](https://huggingface.co/{folder}{split_revision(name)[0]})"


def card(repo_id: str, sets: Sequence[Shown], before: str, *, scored: bool) -> str:
    """The whole card: what others wrote in it stays.

    Args:
        repo_id: the repo.
        sets: all that it holds.
        before: the card that is there; empty where there is none.
        scored: whether there are scores.

    Raises:
        RequestError: a card that cannot be read, or that lacks the mark at the end of our part.
    """
    import huggingface_hub as hub
    import jinja2

    try:
        there = hub.DatasetCard(with_metadata(before))
    except (ValueError, YAMLError) as error:
        raise RequestError(f"the card of {repo_id} cannot be read: {one_line(error)}") from error
    if BEGIN in there.text and END not in there.text:
        raise RequestError(f"the card of {repo_id} has lost its mark {END}; put it back")
    title = f"STIR inversions: {repo_id.rpartition('/')[2]}"
    known: dict[str, Any] = there.data.to_dict()  # type: ignore[no-untyped-call]  # has none
    data = _metadata(known, sets, title, scored=scored)
    template = jinja2.Template(TEMPLATE.read_text("utf-8"), trim_blocks=True, lstrip_blocks=True)
    ours = template.render(
        title=title,
        repo_id=repo_id,
        requirement=_installed(before) or requirement(),
        sets=[one.context() for one in sets],
    ).strip()
    head = hub.DatasetCardData(**data).to_yaml()
    return f"---\n{head}\n---\n\n{_joined(there.text, ours)}\n"


def _installed(before: str) -> str | None:
    """What a card says to install, which stays as long as the sets do."""
    found = re.search(rf'pip install "({NAME} @ [^"\n]+)"', before)
    return found[1] if found else None


def _joined(text: str, ours: str) -> str:
    """Our part in the place of the earlier one, or after what is there."""
    before, begun, rest = text.partition(BEGIN)
    if not begun:
        return f"{text.strip()}\n\n{ours}".strip()
    _, _, after = rest.partition(END)
    return f"{before.strip()}\n\n{ours}\n\n{after.strip()}".strip()


def _metadata(
    there: dict[str, Any], sets: Sequence[Shown], title: str, *, scored: bool
) -> dict[str, Any]:
    configs = [
        {
            "config_name": one.slug,
            "data_files": [{"split": one.split, "path": f"{one.slug}/*.parquet"}],
        }
        for one in sets
    ]
    if scored:
        files = [{"split": "scores", "path": f"{SCORES}/*.parquet"}]
        configs.append({"config_name": SCORES, "data_files": files})
    mine = {one["config_name"] for one in configs}
    others = [one for one in there.get("configs") or [] if one.get("config_name") not in mine]
    sources = [
        split_revision(one.record["names"]["dataset"])[0]
        for one in sets
        if one.record["names"].get("data_revision")
    ]
    count = sum((one.record.get("figures") or {}).get("rows", 0) for one in sets)
    found = {
        "pretty_name": title,
        "task_categories": ["image-feature-extraction"],
        **there,
        "tags": _union(there.get("tags"), TAGS),
        "size_categories": [next((text for most, text in _SIZES if count < most), "n>1M")],
        "source_datasets": _union(there.get("source_datasets"), sources),
        "license": _licence(there.get("license"), [one.record.get("licence") for one in sets]),
        "configs": [*others, *configs],
    }
    return {name: value for name, value in found.items() if value}


def _union(there: Any, ours: Sequence[str]) -> list[str]:
    listed = [there] if isinstance(there, str) else list(there or [])
    return list(dict.fromkeys([*listed, *ours]))


def _licence(there: Any, ours: Sequence[Any]) -> Any:
    """Of the repo: what somebody chose for it, else the one that all its images have."""
    if there is not None and there not in ours:
        return there
    return ours[0] if ours and all(one == ours[0] for one in ours) else None
