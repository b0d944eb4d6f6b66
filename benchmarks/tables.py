"""The tables of docs/methods.md, from the figures in benchmarks/results.

python benchmarks/tables.py
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from math import hypot
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"
DEFAULT, BEFORE, SMOOTH = "adam-polyak", "adam-polyak:length=0.5,half=0,decay=0.9", "smooth"
NAMES = {DEFAULT: "default", BEFORE: "constant length", SMOOTH: "`smooth`"}
NAMES |= {f"{name} from other": f"{NAMES[name]} from `other`" for name in (DEFAULT, SMOOTH)}
NAMES["smooth-linear from other"] = "`smooth-linear`"


def figures(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def passes() -> str:
    head = (
        "network",
        "images",
        "`paper`",
        "default: passes",
        "at 100",
        "at 200",
        "`smooth`: passes",
        "at 100",
        "at 200",
    )

    def rows() -> Iterator[Sequence[str]]:
        for name, row in figures("passes")["networks"].items():
            cells = [name, str(row["num_images"]), f"{row['paper_error']:.4f}"]
            for method in (DEFAULT, SMOOTH):
                found = row[method]
                errors = (f"{found['errors'][k]:.4f}" for k in ("100", "200"))
                cells += [str(found["passes"] or "more than 200"), *errors]
            yield cells

    return table(head, rows())


def settings() -> str:
    found = figures("settings")
    networks = list(next(iter(found["settings"].values())))
    head = ("setting", *(f"{network}: passes" for network in networks))
    rows = (
        (f"`{setting}`", *(str(row[n]["passes"] or "more than 200") for n in networks))
        for setting, row in found["settings"].items()
    )
    return table(head, rows)


def shifts() -> str:
    return _shifts("shifts")


def shifts_others() -> str:
    return _shifts("shifts_others")


def _shifts(name: str) -> str:
    head = (
        "method",
        "pairs",
        "mean shift",
        "mean absolute",
        "largest",
        "debiased: mean",
        "over seeds: `paper`",
        "the method's",
    )
    methods = figures(name)["methods"]
    return table(
        head,
        (
            (
                NAMES[method],
                str(row["pairs"]),
                f"{row['mean']:+.4f}",
                f"{row['mean_absolute']:.4f}",
                f"{row['largest']:.3f}",
                f"{row['debiased']['mean']:+.4f}",
                f"{row['deviation_over_seeds']['paper']:.4f}",
                f"{row['deviation_over_seeds']['method']:.4f}",
            )
            for method, row in methods.items()
        ),
    )


def by_reference() -> str:
    """Mean shift over the judges of each reference."""
    methods = figures("shifts")["methods"]
    references = list(dict.fromkeys(p.partition(" | ")[2] for p in methods[DEFAULT]["shifts"]))

    def mean(method: str, reference: str) -> str:
        some = [v for p, v in methods[method]["shifts"].items() if p.endswith(f"| {reference}")]
        return f"{sum(some) / len(some):+.3f} ({min(some):+.3f} to {max(some):+.3f})"

    head = ("reference", *(NAMES[method] for method in methods))
    return table(head, ([r, *(mean(m, r) for m in methods)] for r in references))


def real() -> str:
    head = ("network", "method", *(f"{k} passes" for k in (50, 100, 150, 200)), "median at 200")

    def rows() -> Iterator[Sequence[str]]:
        for name, row in figures("real")["networks"].items():
            for method, found in row.items():
                errors = (f"{found['mean'][k]:.3f}" for k in ("50", "100", "150", "200"))
                yield name, NAMES[method], *errors, f"{found['median']['200']:.3f}"

    return table(head, rows())


def at224() -> str:
    """Means over images and seeds; at 300 passes with half the range over the seeds."""
    shown = ("50", "100", "150", "200", "300")
    head = ("network", "method, start", "seeds", *shown, "median at 300")

    def rows() -> Iterator[Sequence[str]]:
        for network, methods in figures("at224")["networks"].items():
            for method, seeds in methods.items():
                means = {k: [seed[k][0] for seed in seeds] for k in shown}
                cells = [f"{sum(v) / len(v):.4f}" for v in means.values()]
                last = means["300"]
                if len(last) > 1:
                    cells[-1] += f" ± {(max(last) - min(last)) / 2:.4f}"
                medians = [seed["300"][1] for seed in seeds]
                name = method.replace("adam-polyak", "default").replace("momentum=0", "")
                middle = f"{sum(medians) / len(medians):.4f}"
                yield network, name, str(len(seeds)), *cells, middle

    return table(head, rows())


def costs() -> str:
    networks = figures("cost")["networks"]
    levers = list(next(iter(networks.values())))
    head = ("network", *(f"`{lever}`" for lever in levers))
    rows = (
        (name, *(f"{row[lever]['median']:.2f}" if lever in row else "–" for lever in levers))
        for name, row in networks.items()
    )
    return table(head, rows)


def whole() -> str:
    head = (
        "network",
        "original: seconds",
        "its mean error",
        "`invert`: seconds",
        "its mean error",
        "steps",
        "ratio",
    )
    return table(
        head,
        (
            (
                name,
                f"{median(row['original']['seconds']):.0f}",
                f"{row['original']['mean_error']:.4f}",
                f"{median(row['invert']['seconds']):.1f}",
                f"{row['invert']['mean_error']:.4f}",
                str(row["invert"]["steps"]),
                f"{row['ratio']:.1f}",
            )
            for name, row in figures("whole")["networks"].items()
        ),
    )


def photographs() -> str:
    head = (
        "method",
        "minutes",
        "STIR",
        "debiased",
        "floor",
        "ceiling",
        "similarity",
        "error: median",
        "mean",
    )

    def rows() -> Iterator[Sequence[str]]:
        for method, run in figures("photographs").items():
            for i, score in enumerate(run["scores"]):
                names = (score["model"].partition("#")[0], score["reference"].partition("#")[0])
                values = (score["stir"], score["debiased"]["stir"])
                more = (score["floor"], score["ceiling"], score["similarity"])
                error = score["relative_error"]
                yield (
                    f"{NAMES[method]}: {names[0]} given {names[1]}",
                    f"{run['minutes']:.1f}" if i == 0 else "",
                    *(f"{value:.3f}" for value in values),
                    f"{more[0]:.3f}",
                    f"{more[1]:.4f}",
                    f"{more[2]:.3f}",
                    f"{error['median']:.3f}",
                    f"{error['mean']:.3f}",
                )

    return table(head, rows())


def spreads() -> str:
    head = ("network", "‖mean‖ / spread", ".02 of the length, of the spread")
    rows = (
        (name, f"{row['mean_over_spread']:.2f}", f"{row['tolerance_over_spread']:.4f}")
        for name, row in figures("spread")["networks"].items()
    )
    return table(head, rows)


def turned() -> str:
    found = figures("spread")["maps"]
    head = ("‖mean‖ / spread", ".02, of the spread", "at 0.02", "at spread:0.05")
    rows = (
        (offset, f"{0.02 * hypot(1, float(offset)):.3f}", *(f"{v:.4f}" for v in row.values()))
        for offset, row in found.items()
    )
    return table(head, rows)


def deviations() -> str:
    """The largest measured deviation in each band of scores, beside that of the formula."""
    sizes, bands = ("16", "24", "48"), ((-1.0, 0.2), (0.2, 0.5), (0.5, 0.9), (0.9, 1.1))
    of_first, *of_others = (f"at {n}" for n in sizes)
    head = ("debiased scores", "number", f"{of_first} images, by the formula", *of_others)

    def rows() -> Iterator[Sequence[str]]:
        for low, high in bands:
            some = [row for row in figures("deviation")["rows"] if low <= row["score"] < high]
            scores = [row["score"] for row in some]
            cells = [f"{min(scores):.2f} to {max(scores):.2f}", str(len(some))]
            for n in sizes:
                most = max(some, key=lambda row, n=n: row["deviations"][n])
                cells.append(f"{most['deviations'][n]:.3f}, {most['formula'][n]:.3f}")
            yield cells

    return table(head, rows())


TABLES = (
    passes,
    settings,
    real,
    at224,
    shifts,
    shifts_others,
    by_reference,
    photographs,
    costs,
    whole,
    spreads,
    turned,
    deviations,
)

PAGE = Path(__file__).parent.parent / "docs" / "methods.md"


def written(page: str) -> str:
    """The page with every table as the figures have it."""
    for made in TABLES:
        mark = f"<!-- table: {made.__name__} -->"
        shape = re.escape(mark) + r"\n.*?(?=\n\n|\Z)"
        assert mark in page, mark
        page = re.sub(shape, lambda _, made=made, mark=mark: f"{mark}\n{made()}", page, flags=re.S)
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
