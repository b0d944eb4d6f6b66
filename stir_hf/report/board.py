"""A leaderboard: boards of scores that may be compared, as plain data, as Markdown and as HTML, in
words for a reader who has not read the paper.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from huggingface_hub import constants

from stir_hf.errors import printable
from stir_hf.report.board_lines import MARKS, Line
from stir_hf.report.cells import Table, cell, escaped, heading, value
from stir_hf.report.reading import columns
from stir_hf.results import Scale

if TYPE_CHECKING:
    import pandas as pd

EXPLAINED = (
    "debiased: the score without what few samples add. floor, ceiling: debiased, too; the score of"
    " starts,\nwhich share nothing, and of the reference itself. between: 0 is the floor, 1 the"
    " ceiling. STIR: the score\nas the paper defines it. similarity: of the two networks on the"
    " originals. error: of the inversions, relative, median."
)
_LONGEST = 60


@dataclass(frozen=True)
class Board:
    """Scores that may be compared: of one inversion set, layer, measure and number of samples."""

    repo: str
    """The dataset repo with the scores."""
    commit: str
    """The commit of that repo, 40 hexadecimal digits."""
    inversion_set: str
    """16 hexadecimal digits of the set's identity."""
    reference: str | None
    """The name in most of the scores, or None; the next four fields likewise."""
    reference_revision: str | None
    reference_layer: str | None
    dataset: str | None
    split: str | None
    layer: str
    measure: str
    num_samples: int
    draws: int
    lines: tuple[Line, ...]
    """The closest network first: of a similarity the highest debiased score."""

    @property
    def scale(self) -> Scale:
        """Return the scale of the measure."""
        return Scale.of(vars(self.lines[0])) if self.lines else Scale()

    @property
    def notes(self) -> dict[str, tuple[int, ...]]:
        """Return each note once, with the places, from 1, of its lines."""
        found: dict[str, tuple[int, ...]] = {}
        for place, line in enumerate(self.lines, 1):
            for note in dict.fromkeys(line.notes):
                found[note] = (*found.get(note, ()), place)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, the object that `stir-hf leaderboard --json` prints for a board."""
        return {**vars(self), "lines": [line.to_dict() for line in self.lines]}

    def to_pandas(self) -> "pd.DataFrame":
        """Return one row per network, in the order of the board, with the fields of `Line`."""
        import pandas as pd

        rows = [line.to_dict() for line in self.lines]
        return pd.DataFrame(rows, columns=[*(f.name for f in fields(Line)), "between", "marks"])

    def __str__(self) -> str:
        return board_text(self)

    def _repr_html_(self) -> str:
        return board_html(self)


def boards_text(boards: Sequence[Board]) -> str:
    """Return all boards as Markdown."""
    return "\n\n".join(map(board_text, boards))


def board_text(board: Board) -> str:
    """Return one board as Markdown: a heading, an explanation, the table, its marks and notes."""
    below = [f"- {line}" for line in (*explained(board), *_notes(board, cell))]
    about = [f"## {_heading(board, cell)}", "", _about(board, cell), ""]
    parts = [*about, *_table(board, cell).markdown(), "", EXPLAINED]
    return "\n".join([*parts, "", *below] if below else parts)


def board_html(board: Board) -> str:
    """Return one board as HTML, for a notebook; a model's name links to its commit on the Hub."""
    below = [*map(escaped, explained(board)), *_notes(board, escaped)]
    listed = "".join(f"<li>{line}</li>" for line in below)
    return (
        f"<h3>{_heading(board, escaped)}</h3><p>{_about(board, escaped)}</p>"
        f"{_table(board, escaped, links=True).html()}"
        f"<p>{escaped(EXPLAINED)}</p>" + (f"<ul>{listed}</ul>" if listed else "")
    )


def _heading(board: Board, shown: Callable[[object], str]) -> str:
    reference = f"the reference of inversions {board.inversion_set}"
    if (name := board.reference) is not None:
        at = board.reference_revision
        reference = shown(_cut(f"{name.partition('@')[0]}@{at[:8]}" if at else name))
    return f"Which models ignore what {reference} ignores?"


def _about(board: Board, shown: Callable[[object], str]) -> str:
    samples = f"{board.num_samples} sample{'s' * (board.num_samples != 1)}"
    if board.dataset:
        samples += f" of {shown(_cut(board.dataset))}"
        samples += f" ({shown(_cut(board.split))})" if board.split else ""
    draws = f" {board.draws} times" if board.draws > 1 else ""
    layer = f" at layer {shown(_cut(board.reference_layer))}" if board.reference_layer else ""
    measure = board.scale.told(shown(_cut(board.measure)))
    return (
        f"For each of {samples}, another input was sought{draws} that the reference represents the"
        f" same{layer}; the error says how far off it is.\nThe score says how similarly a model, at"
        f" layer {shown(_cut(board.layer))}, represents the two ({measure}):"
        " near its ceiling, the model ignores what the reference ignores; near its floor, it does"
        f" not.\nInversions {board.inversion_set} of"
        f" {constants.ENDPOINT}/datasets/{shown(board.repo)}/tree/{board.commit}"
    )


def _table(board: Board, shown: Callable[[object], str], *, links: bool = False) -> Table:
    """Return the lines of a board as a table; with `links`, a name leads to its page as HTML."""
    lines = [{**vars(line), "between": line.between} for line in board.lines]
    first, *rest = columns(lines)
    more = ("stir",) if first != "stir" else ()
    names = (first, *rest, "between", *more, "similarity", "relative_error", "converged")
    rows = []
    for place, (line, values) in enumerate(zip(board.lines, lines, strict=True), 1):
        name = called(line, shown)
        if links and (line.revision or line.reported):
            name = f'<a href="{shown(_page(line))}">{name}</a>'
        numbers = (value(values, one) for one in names)
        rows.append((str(place), name, *numbers, shown(_cut(line.source))))
    return Table(("", "model", *map(heading, names), "from"), rows)


def called(line: Line, shown: Callable[[object], str] = printable) -> str:
    """Return the model's name with the first digits of its commit, written by `shown`, and the
    marks of the line.
    """
    name = f"{line.model}@{line.revision[:8]}" if line.revision else line.model
    marks = "".join(MARKS[mark][0] for mark in line.marks)
    return shown(_cut(name)) + (f" {marks}" if marks else "")


def explained(board: Board) -> list[str]:
    """Return a line for each mark on the board."""
    used = {mark for line in board.lines for mark in line.marks}
    lines = [f"{sign} {words}" for mark, (sign, words) in MARKS.items() if mark in used]
    if board.scale.closer == "larger":
        return lines
    return [line.replace("not above its floor", "not below its floor") for line in lines]


def _notes(board: Board, shown: Callable[[object], str]) -> list[str]:
    """Return each note once, with the places of its lines; without them where it holds for all
    lines that have notes.
    """
    noted = tuple(place for place, line in enumerate(board.lines, 1) if line.notes)
    return [
        ("Note: " if places == noted else f"Note on {_ranges(places)}: ") + shown(note)
        for note, places in board.notes.items()
    ]


def _ranges(places: Sequence[int]) -> str:
    """Return ascending numbers as text: `1–3, 5`."""
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][1] + 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return ", ".join(f"{a}–{b}" if a < b else str(a) for a, b in runs)


def _page(line: Line) -> str:
    """Return the address of the model on the Hub, at its commit where that is known."""
    page = f"{constants.ENDPOINT}/{line.model}"
    return f"{page}/tree/{line.revision}" if line.revision else page


def _cut(name: str) -> str:
    """Return a name that fits a column; a long one loses its middle."""
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[:half]}…{name[-half:]}"
