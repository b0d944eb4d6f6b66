"""Judge the networks of a verb, then save and publish the result."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stir_hf import scoring
from stir_hf.data.sets.choice import unlike
from stir_hf.data.sets.inversions import Inversions
from stir_hf.data.sources.samples import Samples
from stir_hf.models import Opened
from stir_hf.options.verbs import MatrixOptions, ScoreOptions
from stir_hf.publish import publish
from stir_hf.results import StirResult
from stir_hf.runtime import Processes, Watcher, environment


def judged(
    pairs: Sequence[tuple[Opened, Inversions]],
    options: MatrixOptions | ScoreOptions,
    asked: dict[str, Any],
    processes: Processes,
    *,
    samples: Samples | None = None,
    progress: bool | Watcher,
) -> StirResult:
    """Return the result of judging each network on each inversion set; `asked` is the request, as
    the result records it, and `samples` are the originals, where the run has them.
    """
    found = scoring.judge(
        pairs, options.judge, options.run, processes, samples=samples, progress=progress
    )
    found = [judged for one in zip(*found, strict=True) for judged in one]
    scores, displacements = zip(*found, strict=True)
    if (note := unlike([inversions for _, inversions in pairs])) is not None:
        scores = tuple(replace(score, notes=(*score.notes, note)) for score in scores)
    return StirResult(scores, asked, environment(pairs[0][0].encoder.device), displacements)


def keep(
    result: StirResult,
    sets: Sequence[Inversions],
    made: Sequence[Path],
    folder: Path,
    processes: Processes,
    options: MatrixOptions | ScoreOptions,
) -> None:
    """Save and publish a result in the main process, as far as that was asked for; `made` are the
    folders of the sets that the run made.
    """
    kept = options.output.out is not None
    if processes.main:
        if kept:
            result.save(folder, sets)
        publish(options.publish, made, result, folder, kept=kept)
    processes.wait()
