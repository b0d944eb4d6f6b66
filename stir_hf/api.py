"""The four verbs: invert, score, compare, matrix."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from stir_hf import hub, scoring
from stir_hf.data.sets.choice import choose, common_mode, on_common_originals, unlike
from stir_hf.data.sets.folder import OutputConfig, run_folder
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sources.samples import Samples
from stir_hf.data.sources.splits import Data
from stir_hf.errors import RequestError
from stir_hf.hub import is_local
from stir_hf.job import Estimate, run_jobs, with_originals
from stir_hf.job import estimate as estimated
from stir_hf.models import Model, Opened, as_encoders, opened, over, try_kinds
from stir_hf.options import asked_for, sorted_into
from stir_hf.preparation import prepare
from stir_hf.publish import PublishConfig, check_destination, publish
from stir_hf.results import StirResult
from stir_hf.runtime import Processes, RunConfig, Watcher, environment


@hub.one_run()
def invert(
    reference: Model,
    data: Data,
    *,
    revision: str | None = None,
    starts: Tensor | None = None,
    progress: bool | Watcher = True,
    **options: Any,
) -> Inversions:
    """Find for each image another one that the reference represents nearly alike (Nanda et al.
    2022, section 3).

    Args:
        reference: Hub id, `id@revision`, local folder, `Encoder`, model of `transformers` or
            `nn.Module`; see `load_encoder`.
        data: Hub id, `id@revision`, local folder or dataset in memory.
        revision: of the reference.
        starts: start images (n, c, h, w), in ascending order of their index, with `start="given"`.
        progress: a progress bar on stderr, or a callable that is told of every `Step` instead; what
            that raises ends the run.
        options: `layer`, `num_samples`, `method`, `steps`, `out`, …: those of `stir-hf invert`,
            all in docs/options.md. Without `out` the inversions are in a temporary folder that
            goes when the object does.

    Raises:
        RequestError: the request is wrong; nothing was done.
        RunError: values that are not finite in every image, a constant representation, or out of
            memory.
    """
    processes = Processes(options.get("device"))
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        how: Any = {"revision": revision, "starts": starts, "progress": progress}
        ready = prepare(stack, processes, "invert", [reference], data, options, **how)
        (job,), out, share = ready.jobs, ready["OutputConfig"].out, ready["PublishConfig"]
        if job.part.part is not None and share.push_to is not None:
            raise RequestError("a part is not published: merge the parts, then push the whole")
        folder = stack.enter_context(
            run_folder(out, job.manifest.hash, processes, keep=out is None)
        )
        (made,) = run_jobs([job], folder, processes, progress=progress)
        if processes.main:
            publish(share, [made.path], None, folder, kept=out is not None)
        processes.wait()
    return made.deleting(folder) if out is None and processes.main else made


@hub.one_run()
def score(
    models: Model | Sequence[Model],
    inversions: Inversions | Sequence[Inversions] | str | os.PathLike[str],
    *,
    progress: bool | Watcher = True,
    **options: Any,
) -> StirResult:
    """STIR(model | reference) of one or several models on inversions that exist.

    The reference is not loaded.

    Args:
        models: as `reference` of `invert`.
        inversions: a set, several, the folder of one, or a folder or a dataset repo on the Hub
            (`id`, `id@revision`) that holds several.
        progress: a progress bar on stderr, or a callable that is told of every `Step` instead; what
            that raises ends the run.
        options: `layer`, `measure`, `num_samples`, `draws`, `out`, …: those of `stir-hf score`,
            all in docs/options.md.

    Raises:
        RequestError: the request is wrong, or there are fewer images than the measure needs.
        RunError: values that are not finite, or a constant representation.
    """
    several: list[Any] = list(models) if isinstance(models, list | tuple) else [models]
    processes = Processes(options.get("device"))
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        configured = sorted_into(options, "score")
        model, which, load, run, shared, judge, output, share = configured
        shared.check(processes)
        if not several:
            raise RequestError("no model to judge; give at least one")
        processes.on_main(lambda: check_destination(share))
        labels = output.labels(*map(str, several))
        sets = processes.first_on_each_machine(
            lambda: [with_originals(one, load) for one in choose(inversions, which)]
        )
        mode, layers = common_mode(sets), [model.layer] * len(several)
        encoders = processes.first_on_each_machine(
            lambda: as_encoders(several, layers, load, run, mode, labels)
        )
        encoders = over(encoders, sets[0].kind.name)
        for encoder in encoders:
            scoring.check(encoder, sets, judge.measure)
        kinds = list(dict.fromkeys(one.kind for one in sets))
        networks = [stack.enter_context(opened(e, kinds[0], run, inverted=False)) for e in encoders]
        try_kinds(networks, kinds)
        scoring.check_first(networks, sets)
        asked = asked_for("score", networks, [s.manifest for s in sets], configured)
        if isinstance(inversions, str) and not is_local(inversions):
            asked["published"] = inversions
        folder = stack.enter_context(run_folder(output.out, asked["hash"], processes))
        pairs = [(n, s) for s in sets for n in networks]
        result = _judged(pairs, judge, run, asked, processes, None, progress=progress)
        _kept(result, (), folder, processes, output, share)
        return result


def compare(
    model: Model, reference: Model, data: Data, *, progress: bool | Watcher = True, **options: Any
) -> StirResult:
    """Both directions: `scores[0]` is STIR(model | reference), `scores[1]` is STIR(reference |
    model).

    Args:
        model: as `reference` of `invert`.
        reference: likewise; it may be the same model, and the result says so.
        data: Hub id, `id@revision`, local folder or dataset in memory.
        progress: as in `invert`.
        options: `layer` (read in the model), `reference_layer`, `num_samples`, `method`, `steps`,
            `measure`, `out`, …: those of `stir-hf compare`, all in docs/options.md.

    Raises:
        RequestError: the request is wrong, or there are fewer images than the measure needs;
            nothing was done.
        RunError: values that are not finite in every image or in a representation, a constant
            representation, fewer images left than the measure needs, or out of memory.
    """
    return _every_pair("compare", [model, reference], data, options, progress=progress)


def matrix(
    models: Sequence[Model], data: Data, *, progress: bool | Watcher = True, **options: Any
) -> StirResult:
    """STIR of every ordered pair of models: one inversion set per model, each judged by all the
    others.

    All pairs are judged on the images that could be inverted for every reference.

    Args:
        models: at least two, each as `reference` of `invert`.
        data: Hub id, `id@revision`, local folder or dataset in memory.
        progress: as in `invert`.
        options: `layer` (read in every model), `num_samples`, `method`, `steps`, `measure`, `out`,
            …: those of `stir-hf matrix`, all in docs/options.md.

    Raises:
        RequestError: as `compare`; fewer than two models, or no list of them.
        RunError: as `compare`.
    """
    if not isinstance(models, list | tuple):
        raise RequestError(f"a matrix takes a list of models, not {type(models).__name__}")
    if len(models) < 2:
        raise RequestError(f"a matrix needs at least two models, not {len(models)}")
    return _every_pair("matrix", models, data, options, progress=progress)


@hub.one_run()
def _every_pair(
    verb: str,
    models: Sequence[Model],
    data: Data,
    options: dict[str, Any],
    *,
    progress: bool | Watcher,
) -> StirResult:
    processes = Processes(options.get("device"))
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        ready = prepare(stack, processes, verb, models, data, options, progress=progress)
        manifests = [job.manifest for job in ready.jobs]
        asked = asked_for(verb, ready.networks, manifests, ready.configured)
        output, share = ready["OutputConfig"], ready["PublishConfig"]
        folder = stack.enter_context(run_folder(output.out, asked["hash"], processes))
        made = on_common_originals(run_jobs(ready.distinct, folder, processes, progress=progress))
        sets = [made[ready.distinct.index(job)] for job in ready.jobs]
        order = reversed(range(len(models))) if verb == "compare" else range(len(models))
        pairs = [(m, sets[i]) for i in order for j, m in enumerate(ready.networks) if j != i]
        judge, run = ready["JudgeConfig"], ready["RunConfig"]
        samples = ready.jobs[0].samples
        result = _judged(pairs, judge, run, asked, processes, samples, progress=progress)
        paths = list(dict.fromkeys(one.path for one in sets))
        _kept(result, paths, folder, processes, output, share)
        return result


@hub.one_run()
def estimate(
    models: Sequence[Model],
    data: Data,
    *,
    verb: str = "matrix",
    progress: bool | Watcher = True,
    **options: Any,
) -> list[Estimate]:
    """What a run would take, from a few real passes of each network: time, memory and disk. Nothing
    is kept.

    Args:
        models: those of `compare` or `matrix`, or the one of `invert`.
        data: as that verb's.
        verb: which verb's options these are.
        progress: as in `invert`, of a stream that is read.
        options: those of the verb, in docs/options.md.

    Raises:
        RequestError: whatever the verb refuses.
        RunError: none of the first images can be inverted, or out of memory.
    """
    processes = Processes(options.get("device"))
    with ExitStack() as stack:
        stack.enter_context(processes.together())
        ready = prepare(stack, processes, verb, models, data, options, progress=progress)
        return estimated(ready.distinct, ready["OutputConfig"].out, processes)


def _judged(
    pairs: Sequence[tuple[Opened, Inversions]],
    judge: scoring.JudgeConfig,
    run: RunConfig,
    asked: dict[str, Any],
    processes: Processes,
    samples: Samples | None,
    *,
    progress: bool | Watcher,
) -> StirResult:
    judged = scoring.judge(pairs, judge.measure, run, processes, samples=samples, progress=progress)
    scores, moves = zip(*judged, strict=True)
    if (note := unlike([inversions for _, inversions in pairs])) is not None:
        scores = tuple(replace(score, notes=(*score.notes, note)) for score in scores)
    return StirResult(scores, asked, environment(pairs[0][0].encoder.device), moves)


def _kept(
    result: StirResult,
    sets: Sequence[Path],
    folder: Path,
    processes: Processes,
    output: OutputConfig,
    share: PublishConfig,
) -> None:
    """Save and publish a result, as far as that was asked for; the main process does."""
    kept = output.out is not None
    if processes.main:
        if kept:
            result.save(folder)
        publish(share, sets, result, folder, kept=kept)
    processes.wait()
