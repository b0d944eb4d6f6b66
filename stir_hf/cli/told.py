"""A result as a command shows it: the table, and one line on inversions above the tolerance."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from stir_hf.data.sets.choice import of_hashes
from stir_hf.demo import DRAWN
from stir_hf.report import differences, notes_line, pairs, table
from stir_hf.results import StirResult

_ABOVE = "of the inversions did not reach"
"""The words by which the note is known that the line below the table replaces."""


def shown(result: StirResult) -> str:
    """Return the table of a result, with a line below where inversions are above the tolerance."""
    line, apart = notes_line(result), "".join(f"\n\n{one}" for one in differences(result))
    if line is None:
        return table(result) + apart
    scores = (replace(score, notes=other_notes(score.notes)) for score in result.scores)
    return f"{table(replace(result, scores=tuple(scores)))}{apart}\n\n{line}"


def other_notes(notes: Iterable[str]) -> tuple[str, ...]:
    """Return the notes that are not about inversions above the tolerance."""
    return tuple(note for note in notes if _ABOVE not in note)


def draw_demo(result: StirResult, folder: Path) -> None:
    """Draw six images over their inversions for a standard and a robust network."""
    hashes = {score.inversion_set for score in result.scores if score.reference in DRAWN}
    sets = of_hashes(folder, hashes)
    sets.sort(key=lambda one: DRAWN.index(one.manifest.names["reference"]))
    target = folder / "figures" / "pairs.png"
    pairs(sets, 6).savefig(target, dpi=130, bbox_inches="tight")
