"""Scores in the judged models' own repos, and a repo of inversions as a Benchmark.

`.eval_results/*.yaml` and `eval.yaml` as the Hub documents them (hub-docs: eval-results.md,
leaderboard-data-guide.md); `model-index` is the older form, in the model card.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import yaml  # type: ignore[import-untyped]  # has none
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from stir_hf.errors import RequestError, one_line
from stir_hf.hub import request, split_revision
from stir_hf.publish.boards.reported import RESULTS, notes_of
from stir_hf.publish.cards import read_card, task_of
from stir_hf.publish.repo import Change, Content, Pushed, Repo, State
from stir_hf.publish.scores import FOLDER, name_of
from stir_hf.report.cards import Shown

EVAL = "eval.yaml"


def eval_yaml(repo_id: str, sets: Sequence[Shown], before: bytes | None) -> str:
    """`eval.yaml` of a repo: one task per inversion set, beside what others put there.

    Raises:
        RequestError: one that cannot be read.
    """
    try:
        there = yaml.safe_load(before or b"{}") or {}
        tasks = [*there.get("tasks", ())]
        known = {one["id"] for one in tasks}
    except (yaml.YAMLError, AttributeError, TypeError, KeyError) as error:
        raise RequestError(f"{EVAL} of {repo_id} cannot be read: {one_line(error)}") from error
    new = [one for one in sets if one.slug not in known]
    tasks += [{"id": one.slug, "config": one.slug, "split": one.split} for one in new]
    about = {
        "name": f"STIR: {repo_id.rpartition('/')[2]}",
        "description": (
            "Does a model ignore what the reference ignores? STIR (Nanda et al., ICML 2022) on"
            f" published inversions, by `stir-hf score MODEL --inversions {repo_id}`."
        ),
        "evaluation_framework": "stir-hf",
        **there,
        "tasks": tasks,
    }
    return _yaml(about)


def _told(text: bytes | None) -> list[Any] | None:
    """The content of a file of results, without their author and the commit of the inversions."""
    try:
        return [
            (one["value"], one["notes"], one["source"]["url"], one["dataset"]["task_id"])
            for one in yaml.safe_load(text or b"")
        ]
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError):
        return None


@dataclass(frozen=True)
class Entry:
    """One score for the repo of the model that it is of."""

    row: Mapping[str, Any]
    repo_id: str
    """The repo of the inversions."""
    revision: str
    """The commit of that repo."""
    slug: str
    """The config of the set."""
    kind: str
    """The kind of input that was inverted."""

    @property
    def model(self) -> Repo:
        """The judged model's repo."""
        return Repo(split_revision(str(self.row["model"]))[0], "model")

    @property
    def source(self) -> str:
        """The address of the score with all its numbers."""
        return f"{Repo(self.repo_id).url}/blob/main/{FOLDER}/{name_of(self.row)}.parquet"

    @property
    def path(self) -> str:
        """The file in the model's repo that reports it."""
        return f"{RESULTS}/stir-{name_of(self.row)}.yaml"

    def reported(self, user: str) -> bytes:
        """The content of that file, as the Hub documents it; `user` is who reports it."""
        entry = EvalResultEntry(
            dataset_id=self.repo_id,
            task_id=self.slug,
            value=self.row["stir"],
            dataset_revision=self.revision,
            source_url=self.source,
            source_name="stir-hf",
            source_user=user,
            notes=notes_of(self.row),
        )
        return _yaml(eval_result_entries_to_yaml([entry])).encode()

    def result(self) -> dict[str, Any]:
        """One result of a `model-index`."""
        name, notes = self.repo_id.rpartition("/")[2], notes_of(self.row)
        of = {"name": f"STIR inversions: {name}", "type": self.repo_id, "config": self.slug}
        metric = {"type": "stir", "value": self.row["stir"], "name": f"STIR ({notes})"}
        return {
            "task": {"type": task_of(self.kind)},
            "dataset": of,
            "metrics": [metric],
            "source": {"name": "stir-hf", "url": self.source},
        }


def check_reportable(row: Mapping[str, Any]) -> None:
    """Raise RequestError if a score has no number, or its model is not on the Hub."""
    name = row["model"]
    if row["model_revision"] is None:
        raise RequestError(f"the model {name} is not on the Hub; its score has no model repo")
    if row["stir"] is None:
        raise RequestError(f"the score of {name} is undefined; there is no number to report")


def propose(entries: Sequence[Entry]) -> Pushed:
    """Open one pull request in a model's repo with a file for each of its scores. A file stays if
    it differs only in its author or in the commit of the inversions.

    Raises:
        RunError: the Hub refuses.
    """
    model, repo_id = entries[0].model, entries[0].repo_id
    me = request(model.me, model.called)["name"]
    reports = {one.path: one.reported(me) for one in entries}

    def build(state: State) -> Change:
        new = {p: Content(r) for p, r in reports.items() if _told(state.read(p)) != _told(r)}
        return Change(new)

    return model.put(build, f"STIR on {repo_id}", create_pr=True)


def index(entries: Sequence[Entry], *, create_pr: bool) -> Pushed:
    """Put a model's scores into the `model-index` of its card, beside what is there.

    Raises:
        RequestError: a card that cannot be read.
        RunError: the Hub refuses.
    """
    build, title = partial(_indexed, entries=entries), f"STIR on {entries[0].repo_id}"
    return entries[0].model.put(build, title, create_pr=create_pr)


def _indexed(state: State, entries: Sequence[Entry]) -> Change:
    """The card with the missing results added; all else in it stays."""
    data, text = read_card(state.repo_id, state.card)
    try:
        models = list(data.get("model-index") or [])
        there = [result for model in models for result in model.get("results") or []]
        sources = [(one.get("source") or {}).get("url") for one in there]
    except (AttributeError, TypeError) as error:
        raise RequestError(
            f"the card of {state.repo_id} cannot be read: {one_line(error)}"
        ) from error
    new = [one.result() for one in entries if one.source not in sources]
    if not new:
        return Change({})
    if not models:
        models = [{"name": state.repo_id.rpartition("/")[2], "results": []}]
    models[0] = {**models[0], "results": [*(models[0].get("results") or []), *new]}
    data["model-index"] = models
    return Change({"README.md": Content(f"---\n{_yaml(data)}---\n{text}".encode())})


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
