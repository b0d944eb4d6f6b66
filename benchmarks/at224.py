"""Errors at real size by method and start, over 300 passes.

    python benchmarks/at224.py --photos DIR [--num-images 8] [--seeds 2] [--only METHOD] MODEL …

For each network: the default and `smooth` from their own starts and from other images (`other`),
each as it is, with an output metric, with a length that falls a second time after 150 passes, and
with both; and `smooth-linear`, also with more momentum, from other images and from grey. The output
metric replaces the error by ‖C^-.1 (f(x') - f(x))‖ / ‖f(x)‖, C the covariance of changes of the
representation under noise of 0.003 on 40 further images, so that the squared error is in the metric
C^-.2. What is reported is always the relative error: the mean and the median over images of the
least error after 50, 100, 150, 200 and 300 passes, for each seed of the starts; changes with one
seed. Embedded networks take their own images. Writes benchmarks/results/at224.json; with `--only`,
which runs one method alone, at224_METHOD.json.
"""

import argparse
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from networks import Case, case, descent
from torch import Tensor

from stir_hf.demo import MODELS
from stir_hf.engine import RULES, AdamPolyak, Objective, Rule, Smooth
from stir_hf.engine.objectives import Seen
from stir_hf.engine.rules.base import State
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results"
PASSES, AGAIN, SHOWN = 300, 150, (50, 100, 150, 200, 300)
NOISE, FURTHER, PER_IMAGE = 0.003, 40, 16
CHANGES = ("", "metric", "twice", "metric, twice")
"""What is changed: nothing, the output metric, a second falling of the length, both."""


@dataclass(frozen=True, eq=False)
class InMetric(Objective):
    """The relative error in a metric of representations."""

    root: Tensor = field(default_factory=Tensor)
    """(d, d): the square root of the metric."""

    least_known: ClassVar[bool] = True

    def distance(self, seen: Seen) -> Tensor:
        """Return ‖W (f(x') - t)‖ / ‖t‖."""
        away = (seen.representations[0] - seen.targets[0]) @ self.root
        found: Tensor = away.norm(dim=1) / seen.targets[0].norm(dim=1)
        return found


class _Twice:
    """A falling length that begins once more."""

    def step(self, x: Tensor, error: Tensor, gradient: Tensor, state: State, *rest: Any) -> Tensor:
        """Take one step of the rule, as if it had just begun after so many passes."""
        state["age"].remainder_(AGAIN)
        moved: Tensor = super().step(x, error, gradient, state, *rest)  # type: ignore[misc]
        return moved


class AdamTwice(_Twice, AdamPolyak):
    """The default with a second falling."""


class SmoothTwice(_Twice, Smooth):
    """`smooth` with a second falling."""


def rule_of(method: str, change: str) -> Rule:
    """The rule of a method, with a second falling if the change has one."""
    if "twice" not in change:
        return RULES.parse(method)
    return {"adam-polyak": AdamTwice, "smooth": SmoothTwice}[method]()


def metric(one: Case, images: Tensor) -> InMetric:
    """C^-.1, scaled so that its eigenvalues are about 1."""
    generator, total = torch.Generator().manual_seed(5), 0.0
    for image in images:
        noise = torch.randn(PER_IMAGE, *image.shape, generator=generator)
        there = one.represented(torch.cat((image[None], image + NOISE * noise))).double()
        change = there[1:] - there[0]
        total = total + change.T @ change
    values, vectors = torch.linalg.eigh(torch.as_tensor(total))
    values = values.clamp_min(0) / values.mean() + 0.01
    return InMetric(root=((vectors * values.pow(-0.1)) @ vectors.T).float())


def measured(one: Case, whole: Case, rows: int, seeds: int, only: str) -> dict[str, Any]:
    """Errors by method, start and change."""
    found: dict[str, Any] = {}
    weighed = InMetric() if only else metric(one, whole.pixels[rows : rows + FURTHER])
    runs = [
        (method, start, change)
        for method, own in (("adam-polyak", "noise"), ("smooth", "grey"))
        for start in (own, "other")
        for change in (CHANGES if start == "other" else CHANGES[:1])
    ]
    linear = ("smooth-linear", "smooth-linear:momentum=0.97")
    runs += [(method, start, "") for method in linear for start in ("other", "grey")]
    for method, start, change in runs:
        if only and (method != only or change):
            continue
        objective = weighed if "metric" in change else None
        name = f"{method} from {start}" + (f", {change}" if change else "")
        found[name] = []
        for seed in range(1 if change else seeds):
            starts = whole.starts(seed, start)[:rows]
            rule = rule_of(method, change)
            best = descent(one, starts, rule, PASSES, objective=objective).best
            row = {str(k): [float(best[k - 1].mean()), float(best[k - 1].median())] for k in SHOWN}
            found[name].append(row)
            print(one.name, name, seed, {k: round(v[0], 4) for k, v in row.items()}, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+")
    parser.add_argument("--photos", required=True)
    parser.add_argument("--num-images", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    rows = args.num_images
    networks = {}
    for model in args.models:
        photos = None if model in MODELS else args.photos
        with case(model, rows + FURTHER, photos) as whole:
            one = replace(
                whole,
                pixels=whole.pixels[:rows],
                indices=whole.indices[:rows],
                target=whole.target[:rows],
            )
            networks[one.name] = measured(one, whole, rows, args.seeds, args.only)
        found = {
            "num_images": rows,
            "seeds": args.seeds,
            "networks": networks,
            "environment": environment(torch.device("cpu")),
        }
        name = f"at224_{args.only}.json" if args.only else "at224.json"
        (RESULTS / name).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
