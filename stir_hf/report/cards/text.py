"""The text of the card of a repo of inversions or of scores, as Markdown."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stir_hf.errors import cut, printable
from stir_hf.report.cards.scores import MOST_TABLES, Row, examples, tables
from stir_hf.report.cards.sets import Shown
from stir_hf.report.markup import linked, prose
from stir_hf.report.reading import INTERVAL
from stir_hf.report.table import last_part

TEMPLATES = Path(__file__).parent / "templates"
_SHORT = 60


@dataclass(frozen=True)
class Held:
    """The content of a repo that its card describes."""

    sets: Sequence[Shown]
    rows: Sequence[Row] = ()
    """The scores."""
    unread: int = 0
    """The number of score files that are not among the rows, since there are too many."""
    figures: Sequence[str] = ()
    """The paths of heat maps."""
    places: Sequence[str] = ()
    """The ids of other repos that hold the inversions of scores."""

    @property
    def scored(self) -> bool:
        """Tell whether there are scores."""
        return bool(self.rows or self.unread)

    @property
    def title(self) -> str:
        """Return the title of the card, as plain text."""
        if self.sets:
            names = [one.record["names"] for one in self.sets]
            references, data = ([str(n[of]) for n in names] for of in ("reference", "dataset"))
            end = f"Inversions of {_listed(data, 'datasets')}"
        else:
            references = [str(row["reference"]) for row in self.rows]
            data = [str(row["dataset"]) for row in self.rows if row["dataset"] is not None]
            end = f"Scores on {_listed(data, 'datasets')}"
        several = len(dict.fromkeys(references)) > 1
        verb = "ignore" if several else "ignores"
        return printable(
            f"Which models ignore what {_listed(references, 'networks')} {verb}? {end}"
        )


def _listed(names: Sequence[str], kind: str) -> str:
    short = list(dict.fromkeys(cut(last_part(name.partition("@")[0]), _SHORT) for name in names))
    return " and ".join(short) if len(short) <= 2 else f"{len(short)} {kind}"


def card_text(
    repo_id: str, held: Held, place: str | None = None, package_url: str | None = None
) -> str:
    """Return the text between the marks. `place` is the requirement that pip installs, and
    `package_url` the page of the repository that it names; None where that is not known.

    Raises:
        RequestError: a broken record of a set.
    """
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    how: Any = {"trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    made = jinja2.Environment(loader=loader, **how)
    made.filters["quoted"] = lambda text: json.dumps(str(text))
    sets = [one.context() for one in held.sets]
    boards = tables(held.rows, held.sets)
    template = made.get_template("inversions.md" if held.sets else "results.md")
    text = template.render(
        heading=prose(held.title),
        card={
            "repo_id": repo_id,
            "requirement": place,
            "tables": boards,
            "places": [linked(one, "", "dataset") for one in held.places],
            "place": held.places[0] if len(held.places) == 1 else "INVERSIONS",
        },
        held=held,
        interval=INTERVAL,
        sets=sets,
        kinds=list(dict.fromkeys(one["kind"] for one in sets)),
        examples=examples(boards),
        doubted=any(table.doubted for table in boards),
        most=MOST_TABLES,
        package_url=package_url,
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip()
