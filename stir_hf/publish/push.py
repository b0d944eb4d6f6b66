"""Pushing a run or one inversion set to a dataset repo on the Hub."""

import logging
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stir_hf.data.sets.located import find_sets
from stir_hf.data.sets.manifest import FILE_NAME as MANIFEST
from stir_hf.data.sets.manifest import Manifest
from stir_hf.errors import RequestError, RunError
from stir_hf.hub import destination, is_invalid, one_run, request
from stir_hf.publish.benchmark import Entry
from stir_hf.publish.config import PublishConfig, ShareConfig
from stir_hf.publish.parcel import Parcel, records_in
from stir_hf.publish.repo import Limits, Pushed, Repo
from stir_hf.publish.rights import check_writable
from stir_hf.publish.score_rows import rows_of
from stir_hf.publish.sources import visibility
from stir_hf.publish.state import Change, State
from stir_hf.results import FILE_NAME as RESULT
from stir_hf.results import StirResult

_log = logging.getLogger("stir_hf")
Say = Callable[[str], None]


@one_run()
def push_folder(
    folder: Path,
    repo_id: str,
    share: ShareConfig,
    *,
    scores_only: bool = False,
    limits: Limits | None = None,
    say: Say = _log.warning,
) -> Pushed:
    """Push the folder of a run: its finished inversion sets, `result.json` and figures of them;
    other files in the folder are not sent.

    Args:
        folder: the folder of a run, or of one set.
        repo_id: a dataset repo, created if it does not exist.
        share: options of the push and its visibility.
        scores_only: push only the scores.
        limits: the largest push that is one commit.
        say: function that is called with each line for the user.

    Raises:
        RequestError: nothing finished in the folder; the token cannot write to the repo; data from
            private sources for a public repo; or a row that differs from the published one.
        RunError: the Hub refuses, or is unavailable for longer than STIR_HF_HUB_TIMEOUT.
    """
    repo = Repo(destination(repo_id, "--to"))
    result = StirResult.load(folder) if (folder / RESULT).is_file() else None
    if scores_only and result is None:
        raise RequestError(f"{folder} holds no {RESULT}, so no scores")
    if not scores_only and result is not None and not any(folder.rglob(MANIFEST)):
        say(f"{folder} holds scores and no inversions; the scores are sent alone")
        scores_only = True
    sets = [] if scores_only else _finished(folder)
    check_writable(repo, "--to", create_pr=share.create_pr)
    return push(repo.id, sets, result, share, limits=limits, say=say)


def _finished(folder: Path) -> list[Path]:
    sets = [path for path in find_sets(folder) if Manifest.read(path).complete is not None]
    if not sets:
        raise RequestError(
            f"{folder} holds no finished inversions; run the command that makes them again"
        )
    return sets


def push(
    repo_id: str,
    sets: Sequence[Path],
    result: StirResult | None,
    share: ShareConfig,
    *,
    limits: Limits | None = None,
    say: Say = _log.warning,
) -> Pushed:
    """Push inversion sets and a result; arguments and errors as for `push_folder`."""
    repo = Repo(repo_id).renamed()
    if repo.id != repo_id:
        say(f"{repo.kind} {repo_id} is called {repo.id} on the Hub; it goes there")
        repo_id = repo.id
    with TemporaryDirectory(prefix="stir-hf-") as staged:
        parcel = Parcel.pack(sets, result, Path(staged), share)
        private, told = visibility(repo, parcel.closed, share, parcel.words)
        if told:
            say(told)
        if repo.info is None:
            parcel.export()
        if not share.create_pr:
            repo.create(private=private)
        how: Any = {"create_pr": share.create_pr, "limits": limits}
        try:
            pushed = repo.put(lambda state: parcel.change(state, repo_id), parcel.title, **how)
            _tell(parcel, say)
            return pushed
        except RunError as error:
            if not (is_invalid(error) and parcel.sets):
                raise

        def bare(state: State) -> Change:
            return parcel.change(state, repo_id, benchmark=False)

        pushed = repo.put(bare, parcel.title, **how)
        _tell(parcel, say)
        say("the Hub does not take its eval.yaml: the repo is no Benchmark of the Hub")
        return pushed


def _tell(parcel: Parcel, say: Say) -> None:
    for line in parcel.told:
        say(line)


@one_run()
def send(repo_id: str, sets: Sequence[Path], result: StirResult | None, **how: Any) -> str:
    """Check the repo, push to it, and return its URL; `how` are the fields of `ShareConfig`.

    Raises:
        RequestError, RunError: as `push_folder`.
    """
    share = ShareConfig.of(how)
    repo = Repo(destination(repo_id, "push_to_hub"))
    check_writable(repo, "push_to_hub", create_pr=share.create_pr)
    return push(repo.id, sets, result, share).url


def check_destination(share: PublishConfig) -> None:
    """Check, before any work, that a run may be pushed to the given repo.

    Raises:
        RequestError: as `check_writable`.
    """
    if share.push_to is not None:
        repo = Repo(destination(share.push_to, "--push-to"))
        check_writable(repo, "--push-to", create_pr=share.create_pr)


def publish(
    share: PublishConfig,
    sets: Sequence[Path],
    result: StirResult | None,
    folder: Path,
    *,
    kept: bool,
) -> None:
    """Push a run that is on disk. A folder that would be deleted is kept if the push fails.

    Raises:
        RequestError, RunError: as `push`.
    """
    if share.push_to is None:
        return
    try:
        to = destination(share.push_to, "--push-to")
        _log.info(push(to, sets, result, share))
    except BaseException as error:
        if not kept:
            folder = Path(shutil.move(folder, tempfile.mkdtemp(prefix="stir-hf-kept-")))
            if result is not None:
                result.save(folder)
        line = f"send it with `{_again(share, folder, scores_only=not sets)}`"
        if not isinstance(error, RequestError | RunError):
            _log.warning(line)
            raise
        raise type(error)(f"{error}; {line}") from error


def _again(share: PublishConfig, folder: Path, *, scores_only: bool) -> str:
    """The command that pushes the same again."""
    words = ["stir-hf", "push", str(folder), "--to", str(share.push_to)]
    words += [] if share.private is None else ["--private" if share.private else "--public"]
    words += ["--without-images"] if share.without_images else []
    words += ["--create-pr"] if share.create_pr else []
    words += ["--package", share.package] if share.package else []
    return shlex.join([*words, *(["--scores-only"] if scores_only else [])])


def entries(folder: Path, repo_id: str) -> list[Entry]:
    """The scores in the folder of a run, as entries for the repos of their models.

    Args:
        folder: the folder of the run.
        repo_id: the repo of the inversions, which must list them.

    Raises:
        RequestError: no scores in the folder, a score of a model that is not on the Hub, or a repo
            that does not list the inversions.
    """
    repo = Repo(destination(repo_id, "--to")).renamed()
    repo_id = repo.id
    state = request(repo.state, repo.called)
    there = request(lambda: records_in(state), repo.called)
    names = {Manifest.read(path.parent).hash[:16]: name for name, path in there.items()}
    found = []
    for row in scores_in(folder):
        if row["inversion_set"] not in names:
            raise RequestError(
                f"{repo_id} does not list the inversions of {row['reference']}, on which"
                f" {row['model']} was judged; give the repo that does"
            )
        found.append(Entry(row, repo_id, names[row["inversion_set"]], state.sha))
    return found


def scores_in(folder: Path) -> list[dict[str, Any]]:
    """The rows of the scores in the folder of a run.

    Raises:
        RequestError: no scores.
    """
    if not (folder / RESULT).is_file():
        raise RequestError(f"{folder} holds no {RESULT}, so no scores")
    return list(rows_of(StirResult.load(folder)))


def check_models(folder: Path) -> None:
    """Check, before anything is sent, that every score has a value and a model on the Hub.

    Raises:
        RequestError: a score without them.
    """
    for row in scores_in(folder):
        Entry(row, "", "").check()
