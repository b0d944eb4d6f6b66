"""docs/families.md, from what `make verify` found of each family.

`python -m tests.families.table` writes the page.
"""

import json
from typing import Any

from tests.conftest import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "families.json"
PAGE = ROOT / "docs" / "families.md"
TEMPLATE = (ROOT / "tests" / "families" / "page.md").read_text("utf-8")


def page(found: dict[str, Any]) -> str:
    """The page, from the figures."""
    rows = []
    for name, one in found["families"].items():
        rows.append(
            f"| {name}: `{one['class']}` | {one['layer']} | {one['width']} | {one['others']} |"
            f" {one['size']} | `{one['processor']}` | {one['own']:.0e} |"
            f" {one['error']['median']:.3f} ({one['error']['max']:.3f}) |"
        )
    refused = [f"| {name} | {line} |" for name, line in found["refused"].items()]
    return TEMPLATE.format(
        version=found["environment"]["transformers"],
        images=found["images"],
        count=len({name.partition(" (")[0] for name in found["families"]}),
        families="\n".join(rows),
        refused="\n".join(refused),
    )


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(RESULTS.read_text())))
