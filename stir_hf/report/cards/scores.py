"""Tables and examples of scores for the card of a repo."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stir_hf.report.cards.sets import NAMED, Shown
from stir_hf.report.cells import Table as Cells
from stir_hf.report.cells import heading, value
from stir_hf.report.markup import code, linked
from stir_hf.report.reading import Reading, columns
from stir_hf.results import COMPARED, Scale

MOST_ROWS, MOST_TABLES = 50, 40
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Comparable scores, the closest network first."""

    slug: str | None
    """The name of the set in this repo; None where the repo does not hold it."""
    rows: tuple[Row, ...]
    named: Row
    """The names of the reference and the data: those of the set, else the commonest of the rows."""

    @property
    def about(self) -> dict[str, Any]:
        """Return the properties that all rows share, as Markdown."""
        first, named = self.rows[0], self.named
        return {
            "slug": None if self.slug is None else code(self.slug),
            "inversion_set": code(first["inversion_set"]),
            "reference": linked(named["reference"], named["reference_revision"], "model"),
            "dataset": linked(named["dataset"], named["dataset_revision"], "dataset"),
            "split": named["split"] and code(named["split"]),
            "layer": code(first["layer"]),
            "measure": Scale.of(first).told(code(first["measure"])),
            "num_samples": first["num_samples"],
            "draws": first["draws"],
        }

    @property
    def lines(self) -> list[str]:
        """Return the first rows as lines of a Markdown table."""
        rows = self.rows[:MOST_ROWS]
        names = (*dict.fromkeys(("stir", *columns(rows))), "num_samples", "converged")
        cells = [(_named(row), *(value(row, name) for name in names)) for row in rows]
        return Cells(("model", *map(heading, names)), cells).markdown(padded=False)

    @property
    def more(self) -> int:
        """Return the number of rows that are not shown."""
        return len(self.rows[MOST_ROWS:])

    @property
    def doubted(self) -> bool:
        """Tell whether a row that is shown is doubted."""
        return any(Reading.of(row).doubts for row in self.rows[:MOST_ROWS])


def tables(rows: Iterable[Row], sets: Sequence[Shown]) -> list[Table]:
    """Return a table for each set, layer, measure, number of samples and draws; the repo holds
    `sets`.
    """
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in COMPARED), []).append(row)
    known = {one.manifest.hash[:16]: one for one in sets}
    made = []
    for key, some in found.items():
        own, ranked = known.get(key[0]), tuple(sorted(some, key=_rank))
        named = _most(ranked) if own is None else own.named
        made.append(Table(own.slug if own else None, ranked, named))
    return sorted(made, key=_place)


def _most(rows: Sequence[Row]) -> Row:
    """Return the commonest names of the reference and the data; of equals the first."""
    found = Counter(tuple(row.get(name) for name in NAMED) for row in rows)
    values = min(found, key=lambda one: (-found[one], str(one)))
    return dict(zip(NAMED, values, strict=True))


def _place(table: Table) -> tuple[Any, ...]:
    first = table.rows[0]
    name = table.slug or str(table.named["reference"])
    key = (str(first[part]) for part in ("inversion_set", "layer", "measure"))
    return table.slug is None, name, *key, -first["num_samples"], first["draws"]


def _rank(row: Row) -> tuple[Any, ...]:
    """Return the sort key of a row: the one of a leaderboard, then its names."""
    more = (str(row.get(name) or "") for name in ("model", "model_revision", "network_id"))
    return (*Reading.of(row).order, *more)


def _named(row: Row) -> str:
    """Return the model as a link, with a mark where its score is doubted."""
    mark = " ⚠" if Reading.of(row).doubts else ""
    return linked(row["model"], row.get("model_revision"), "model") + mark


def examples(found: Sequence[Table]) -> list[str]:
    """Return the highest and the lowest score in words, without references that are judged on their
    own inversions; where no score can be read, the reason.
    """
    every = [(row, table.named["reference"]) for table in found for row in table.rows]
    others = [one for one in every if _id(one[0]["model"]) != _id(one[1])]
    rows = others or every
    told = [(share, *one) for one in rows if (share := Reading.of(one[0]).share) is not None]
    told.sort(key=lambda one: -one[0])
    chosen = [(row, name) for _, row, name in told[:1] + told[1:][-1:]] or rows[:1]
    return [Reading.of(row).sentence(code(row["model"]), code(name)) for row, name in chosen]


def _id(name: Any) -> str:
    return str(name).partition("@")[0].casefold()
