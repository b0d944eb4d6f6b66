"""A push to several repos. A failure in one does not stop the others; the message names all."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from stir_hf.errors import RequestError, RunError
from stir_hf.hub import one_run
from stir_hf.publish.benchmark import Entry, index, propose
from stir_hf.publish.config import ShareConfig
from stir_hf.publish.push import check_models, entries, push_folder
from stir_hf.publish.repo import Limits, Pushed

_SHOWN = 5


@one_run()
def push_all(
    folder: Path,
    repo_id: str,
    share: ShareConfig,
    *,
    eval_results: bool = False,
    model_index: bool = False,
    scores_only: bool = False,
    limits: Limits | None = None,
    say: Callable[[str], None],
) -> list[Pushed]:
    """Push the folder of a run, and its scores to the judged models' repos.

    Args:
        folder: the folder of the run.
        repo_id: a dataset repo.
        share: options of the push and its visibility.
        eval_results: propose the scores of each model to its repo as `.eval_results`.
        model_index: put the scores of each model into its card.
        scores_only: push only the scores.
        limits: the largest push that is one commit.
        say: function that is called with each line for the user.

    Raises:
        RequestError, RunError: as `push_folder`; an error of a step in a model's repo is raised
            after all steps were tried, and names those that succeeded and those that failed.
    """
    if eval_results or model_index:
        check_models(folder)
    done = [push_folder(folder, repo_id, share, scores_only=scores_only, limits=limits, say=say)]
    if not (eval_results or model_index):
        return done
    try:
        wanted = entries(folder, repo_id)
    except (RequestError, RunError) as error:
        raise type(error)(f"{error}; {_told(done, ['the models'])}") from error
    of_model: dict[str, list[Entry]] = {}
    for entry in wanted:
        of_model.setdefault(entry.model.id, []).append(entry)
    steps: list[tuple[str, Callable[[], Pushed]]] = []
    if eval_results:
        steps += [(f"{m} (.eval_results)", partial(propose, some)) for m, some in of_model.items()]
    if model_index:
        put = partial(index, create_pr=share.create_pr)
        steps += [(f"{m} (model-index)", partial(put, some)) for m, some in of_model.items()]
    return _in_turn(done, steps)


def _in_turn(done: list[Pushed], steps: Sequence[tuple[str, Callable[[], Pushed]]]) -> list[Pushed]:
    """Run all steps, and return their outcomes or raise the first error."""
    failed: dict[str, RequestError | RunError] = {}
    for what, step in steps:
        try:
            done.append(step())
        except (RequestError, RunError) as error:
            failed.setdefault(what, error)
    if failed:
        first = next(iter(failed.values()))
        raise RunError(f"{first}; {_told(done, list(failed))}") from first
    return done


def _told(done: Sequence[Pushed], left: Sequence[str]) -> str:
    """A sentence that names the finished and the failed steps."""
    urls = _few([one.url for one in done])
    return f"done: {urls}; not done: {_few(left)}; the same command does the rest"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
