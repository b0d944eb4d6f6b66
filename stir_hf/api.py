"""The four verbs: invert, score, compare, matrix."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Unpack

from torch import Tensor

from stir_hf import hub
from stir_hf.data.sets.choice import on_common_originals
from stir_hf.data.sets.folder import run_folder
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sources.spec import described
from stir_hf.data.sources.splits import Data
from stir_hf.errors import RequestError, check_choice
from stir_hf.finishing import judged, keep
from stir_hf.hub import is_local
from stir_hf.job import Estimate, run_jobs
from stir_hf.job import estimate as estimated
from stir_hf.models import Model
from stir_hf.options.keywords import (
    CompareKeywords,
    EstimateKeywords,
    InvertKeywords,
    MatrixKeywords,
    ScoreKeywords,
)
from stir_hf.options.request import asked_for
from stir_hf.options.signatures import keywords
from stir_hf.options.verbs import (
    INVERTING,
    CompareOptions,
    InvertOptions,
    MatrixOptions,
    ScoreOptions,
)
from stir_hf.preparation import prepare, prepare_scores
from stir_hf.publish import publish
from stir_hf.results import StirResult
from stir_hf.runtime import Processes, Watcher


@keywords(InvertOptions)
@hub.one_run()
def invert(
    reference: Model,
    data: Data,
    *,
    revision: str | None = None,
    starts: Tensor | None = None,
    progress: bool | Watcher = True,
    **options: Unpack[InvertKeywords],
) -> Inversions:
    """Find for each sample another input that the reference represents nearly alike (Nanda et al.
    2022, section 3).

    Without `out` the inversions are in a temporary folder that is removed with the object.

    Args:
        reference: Hub id, `id@revision`, local folder, `Encoder`, model of `transformers` or
            `nn.Module`; see `load_encoder`.
        data: Hub id, `id@revision`, local folder or dataset in memory.
        revision: of the reference.
        starts: starts (n, *shape), in ascending order of their index, with `start="given"`.
        progress: a progress bar on stderr, or a callable that is told of every `Step` instead; what
            that raises ends the run.

    Raises:
        RequestError: the request is wrong; nothing was done.
        RunError: values that are not finite in every sample, a constant representation, or out of
            memory.
    """
    processes = Processes(options.get("device"))
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        asked = InvertOptions.of(options, data=described(data))
        out, share = asked.output.out, asked.publish
        (job,) = prepare(
            stack,
            processes,
            asked,
            [reference],
            data,
            revision=revision,
            starts=starts,
            progress=progress,
        ).jobs
        if asked.part.part is not None and share.push_to is not None:
            raise RequestError("a part cannot be pushed: merge all parts, then push the whole")
        folder = stack.enter_context(
            run_folder(out, job.manifest.hash, processes, keep=out is None)
        )
        (made,) = run_jobs([job], folder, processes, progress=progress)
        if processes.main:
            publish(share, [made.path], None, folder, kept=out is not None)
        processes.wait()
    return made.deleting(folder) if out is None and processes.main else made


@keywords(ScoreOptions)
@hub.one_run()
def score(
    models: Model | Sequence[Model],
    inversions: Inversions | Sequence[Inversions] | str | os.PathLike[str],
    *,
    progress: bool | Watcher = True,
    **options: Unpack[ScoreKeywords],
) -> StirResult:
    """Return STIR(model | reference) of one or several models on inversions that exist.

    The reference is not loaded.

    Args:
        models: as `reference` of `invert`.
        inversions: a set, several, the folder of one, or a folder or a dataset repo on the Hub
            (`id`, `id@revision`) that holds several.
        progress: a progress bar on stderr, or a callable that is told of every `Step` instead; what
            that raises ends the run.

    Raises:
        RequestError: the request is wrong, or there are fewer samples than the measure needs.
        RunError: values that are not finite, or a constant representation.
    """
    several: list[Any] = list(models) if isinstance(models, list | tuple) else [models]
    processes = Processes(options.get("device"))
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        wanted = ScoreOptions.of(options)
        networks, sets = prepare_scores(stack, processes, wanted, several, inversions)
        asked = asked_for(wanted, networks, [one.manifest for one in sets])
        if isinstance(inversions, str) and not is_local(inversions):
            asked["published"] = inversions
        folder = stack.enter_context(run_folder(wanted.output.out, asked["hash"], processes))
        pairs = [(n, s) for s in sets for n in networks]
        result = judged(pairs, wanted, asked, processes, progress=progress)
        keep(result, sets, (), folder, processes, wanted)
        return result


@keywords(CompareOptions)
def compare(
    model: Model,
    reference: Model,
    data: Data,
    *,
    progress: bool | Watcher = True,
    **options: Unpack[CompareKeywords],
) -> StirResult:
    """Compare two models in both directions.

    `scores[0]` is STIR(model | reference), `scores[1]` is STIR(reference | model).

    Args:
        model: as `reference` of `invert`.
        reference: likewise; it may be the same model, and the result says so.
        data: Hub id, `id@revision`, local folder or dataset in memory.
        progress: as in `invert`.

    Raises:
        RequestError: the request is wrong, or there are fewer samples than the measure needs;
            nothing was done.
        RunError: values that are not finite in every sample or in a representation, a constant
            representation, fewer samples left than the measure needs, or out of memory.
    """
    return _every_pair(CompareOptions, [model, reference], data, options, progress)


@keywords(MatrixOptions)
def matrix(
    models: Sequence[Model],
    data: Data,
    *,
    progress: bool | Watcher = True,
    **options: Unpack[MatrixKeywords],
) -> StirResult:
    """Compare every ordered pair of models: one inversion set per model, judged by all the others.

    All pairs are judged on the samples that could be inverted for every reference.

    Args:
        models: at least two, each as `reference` of `invert`.
        data: Hub id, `id@revision`, local folder or dataset in memory.
        progress: as in `invert`.

    Raises:
        RequestError: as `compare`; fewer than two models, or no list of them.
        RunError: as `compare`.
    """
    if not isinstance(models, list | tuple):
        raise RequestError(f"a matrix takes a list of models, not {type(models).__name__}")
    if len(models) < 2:
        raise RequestError(f"a matrix needs at least two models, not {len(models)}")
    return _every_pair(MatrixOptions, models, data, options, progress)


@hub.one_run()
def _every_pair(
    kind: type[MatrixOptions],
    models: Sequence[Model],
    data: Data,
    options: Mapping[str, object],
    progress: bool | Watcher,
) -> StirResult:
    processes = Processes(options.get("device"))
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        wanted = kind.of(options, data=described(data))
        ready = prepare(stack, processes, wanted, models, data, progress=progress)
        asked = asked_for(wanted, ready.networks, [job.manifest for job in ready.jobs])
        folder = stack.enter_context(run_folder(wanted.output.out, asked["hash"], processes))
        made = on_common_originals(run_jobs(ready.distinct, folder, processes, progress=progress))
        sets = [made[ready.distinct.index(job)] for job in ready.jobs]
        order = reversed(range(len(models))) if kind is CompareOptions else range(len(models))
        pairs = [(m, sets[i]) for i in order for j, m in enumerate(ready.networks) if j != i]
        samples = ready.jobs[0].samples
        result = judged(pairs, wanted, asked, processes, samples=samples, progress=progress)
        made = list({one.path: one for one in sets}.values())
        keep(result, made, [one.path for one in made], folder, processes, wanted)
        return result


@keywords(*INVERTING.values())
@hub.one_run()
def estimate(
    models: Sequence[Model],
    data: Data,
    *,
    verb: str = "matrix",
    progress: bool | Watcher = True,
    **options: Unpack[EstimateKeywords],
) -> list[Estimate]:
    """Estimate the time, memory and disk that a run takes, from a few real passes of each network.

    Nothing is kept.

    Args:
        models: those of `compare` or `matrix`, or the one of `invert`.
        data: as that verb's.
        verb: which verb's options these are.
        progress: as in `invert`, of a stream that is read.

    Raises:
        RequestError: whatever the verb refuses.
        RunError: none of the first samples can be inverted, or out of memory.
    """
    check_choice("verb", verb, tuple(INVERTING))
    processes = Processes(options.get("device"))
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        wanted = INVERTING[verb].of(options, data=described(data))
        ready = prepare(stack, processes, wanted, models, data, progress=progress)
        return estimated(ready.distinct, wanted.output.folder, processes)
