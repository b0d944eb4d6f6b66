"""Publishing a run or an inversion set in a dataset repo, and scores in the models' own repos."""

import logging
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stir_hf.data.sets.located import find_sets
from stir_hf.data.sets.manifest import FILE_NAME as MANIFEST
from stir_hf.data.sets.manifest import Manifest
from stir_hf.errors import RequestError, RunError
from stir_hf.hub import destination, is_invalid, one_run, request
from stir_hf.publish.benchmark import Entry, check_reportable, index, propose
from stir_hf.publish.config import PublishConfig, ShareConfig
from stir_hf.publish.parcel import Parcel, records_in
from stir_hf.publish.repo import Pushed, Repo
from stir_hf.publish.rights import visibility, writable
from stir_hf.publish.score_rows import rows_of
from stir_hf.results import FILE_NAME as RESULT
from stir_hf.results import StirResult

_log = logging.getLogger("stir_hf")
_SHOWN = 5
Say = Callable[[str], None]


@one_run()
def push_all(
    folder: Path,
    repo_id: str,
    share: ShareConfig,
    *,
    eval_results: bool = False,
    model_index: bool = False,
    scores_only: bool = False,
    say: Say = _log.warning,
) -> list[Pushed]:
    """Send a run's folder, and its scores to the judged models' repos. A failure in one of these
    does not stop the others.

    Args:
        folder: as in `push_folder`, like the others that are not named here.
        eval_results: propose the scores of each model to its repo as `.eval_results`.
        model_index: put the scores of each model into its card.

    Raises:
        RequestError, RunError: see `push_folder`; for the models' repos, after all were tried, with
            those that were done and those that were not.
    """
    result = _result(folder) if eval_results or model_index else None
    for row in rows_of(result) if result else ():
        check_reportable(row)
    done = [push_folder(folder, repo_id, share, scores_only=scores_only, say=say)]
    failed: dict[str, RequestError | RunError] = {}
    steps: list[tuple[str, Callable[[], Pushed]]] = []
    try:
        entries = _entries(rows_of(result), repo_id) if result else {}
    except (RequestError, RunError) as error:
        failed, entries = {"the models": error}, {}
    if eval_results:
        steps += [(f"{m} (.eval_results)", partial(propose, some)) for m, some in entries.items()]
    if model_index:
        put = partial(index, create_pr=share.create_pr)
        steps += [(f"{m} (model-index)", partial(put, some)) for m, some in entries.items()]
    for name, step in steps:
        try:
            done.append(step())
        except (RequestError, RunError) as error:
            failed[name] = error
    if failed:
        _raise(failed, done)
    return done


def _raise(failed: dict[str, RequestError | RunError], done: Sequence[Pushed]) -> None:
    """Raise the first error, with what was done and what was not."""
    first = next(iter(failed.values()))
    urls, left = _few([one.url for one in done]), _few(list(failed))
    kind = type(first) if "the models" in failed else RunError
    told = f"{first}; done: {urls}; not done: {left}; the same command does the rest"
    raise kind(told) from first


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _result(folder: Path) -> StirResult:
    """The result in a run's folder; RequestError if there is none."""
    if not (folder / RESULT).is_file():
        raise RequestError(f"{folder} holds no {RESULT}, so no scores")
    return StirResult.load(folder)


def _entries(rows: Iterable[Mapping[str, Any]], repo_id: str) -> dict[str, list[Entry]]:
    """The rows of scores by the judged model; RequestError if the repo does not list the
    inversions on which one was judged.
    """
    repo = Repo(destination(repo_id, "--to")).renamed()
    state = request(repo.state, repo.called)
    there = request(lambda: records_in(state), repo.called)
    sets = {}
    for slug, path in there.items():
        record = Manifest.read(path.parent)
        sets[record.hash[:16]] = slug, record.identity["canvas"]["kind"]
    found: dict[str, list[Entry]] = {}
    for row in rows:
        if row["inversion_set"] not in sets:
            raise RequestError(
                f"{repo.id} does not list the inversions of {row['reference']}, on which"
                f" {row['model']} was judged; give the repo that does"
            )
        entry = Entry(row, repo.id, state.sha, *sets[row["inversion_set"]])
        found.setdefault(entry.model.id, []).append(entry)
    return found


@one_run()
def push_folder(
    folder: Path,
    repo_id: str,
    share: ShareConfig,
    *,
    scores_only: bool = False,
    say: Say = _log.warning,
) -> Pushed:
    """Send a run's folder, or that of one set, to a dataset repo, which is created if it does not
    exist: the finished inversion sets, `result.json` and figures made from them; nothing else that
    lies there. `say` is given the lines for the user.

    Raises:
        RequestError: nothing finished in the folder; a repo that this token may not write; what is
            not public into a public repo; other bytes for a row that is published.
        RunError: the Hub refuses, or is away for longer than STIR_HF_HUB_TIMEOUT.
    """
    result = _result(folder) if scores_only or (folder / RESULT).is_file() else None
    if not scores_only and result is not None and not any(folder.rglob(MANIFEST)):
        say(f"{folder} holds scores and no inversions; the scores are sent alone")
        scores_only = True
    found = [] if scores_only else find_sets(folder)
    sets = [path for path in found if Manifest.read(path).complete is not None]
    if not scores_only and not sets:
        raise RequestError(
            f"{folder} holds no finished inversions; run the command that makes them again"
        )
    repo = writable(repo_id, "--to", create_pr=share.create_pr)
    return _push(repo, sets, result, share, say)


def _push(
    repo: Repo,
    sets: Sequence[Path],
    result: StirResult | None,
    share: ShareConfig,
    say: Say = _log.warning,
) -> Pushed:
    """Send inversion sets and a result; errors as `push_folder`."""
    repo, given = repo.renamed(), repo
    if repo.id != given.id:
        say(f"{given.called} is called {repo.id} on the Hub; it goes there")
    with TemporaryDirectory(prefix="stir-hf-") as staged:
        parcel = Parcel.pack(sets, result, Path(staged), share)
        private, told = visibility(repo, parcel.closed, share, parcel.words)
        if told:
            say(told)
        if repo.info is None:
            parcel.export()
        if not share.create_pr:
            repo.create(private=private)

        put = partial(repo.put, title=parcel.title, create_pr=share.create_pr)
        try:
            pushed = put(parcel.change)
        except RunError as error:
            if not (is_invalid(error) and parcel.sets):
                raise
            pushed = put(partial(parcel.change, benchmark=False))
            told = "the Hub does not take its eval.yaml: the repo is no Benchmark of the Hub"
            parcel.told[told] = None
        for line in parcel.told:
            say(line)
        return pushed


@one_run()
def send(repo_id: str, sets: Sequence[Path], result: StirResult | None, **how: Any) -> str:
    """Check the repo, then push to it, and return its URL; `how` are the fields of `ShareConfig`.

    Raises:
        RequestError, RunError: see `push_folder`.
    """
    share = ShareConfig.of(how)
    repo = writable(repo_id, "push_to_hub", create_pr=share.create_pr)
    return _push(repo, sets, result, share).url


def check_destination(share: PublishConfig) -> None:
    """Check, before any work, that a run may be pushed to the repo that was given.

    Raises:
        RequestError: see `writable`.
    """
    if share.push_to is not None:
        writable(share.push_to, "--push-to", create_pr=share.create_pr)


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
        RequestError, RunError: as `push_folder`, with the command that sends the same later.
    """
    if share.push_to is None:
        return
    try:
        _log.info(_push(Repo(destination(share.push_to, "--push-to")), sets, result, share))
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
    """The command that sends the same later."""
    flags = {
        "--private": share.private,
        "--public": share.private is False,
        "--without-images": share.without_images,
        "--create-pr": share.create_pr,
    }
    words = ["stir-hf", "push", str(folder), "--to", str(share.push_to)]
    words += [flag for flag, given in flags.items() if given]
    words += ["--package", share.package] if share.package else []
    return shlex.join([*words, *(["--scores-only"] if scores_only else [])])
