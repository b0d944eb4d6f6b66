"""The cost of a pass, and what each lever does to it.

    python benchmarks/cost.py [--large DIR … --photos DIR] [--threads N]

One is the bare forward pass of the network as it is loaded (channels_last, batch normalisation
apart) and the gradient to its input. Every other pass is timed right after a bare one, in turns,
and what is kept is the median of the ratios, with the quartiles:

- `loop`: the bare network in the loop of the package; `pass`: the encoder's session in it;
- `smooth`: the same by smooth, with its filter;
- `folded`, `folded_smooth`, `autocast`: with that lever;
- `contiguous`, `weight_gradients`: the bare pass without channels_last, or with weight gradients.

Writes benchmarks/results/cost.json. Alone on the machine.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import Case, case
from torch import Tensor

from stir_hf import load_encoder
from stir_hf.demo import MODELS, model_path
from stir_hf.engine import (
    AdamPolyak,
    Box,
    Context,
    Domain,
    Item,
    Plan,
    Represent,
    Rule,
    Smooth,
    descend,
    relative_error,
)
from stir_hf.models.run.session import Session
from stir_hf.runtime import environment

RESULTS = Path(__file__).parent / "results" / "cost.json"


def bare_network(case: Case, module: Any) -> Represent:
    """The network alone, its pixel arithmetic written out: no hooks, no resizing."""
    pixel_map: Any = getattr(case.network.encoder.preprocessing, "map")  # noqa: B009 - of images
    scale = pixel_map.matrix.float().diagonal().view(1, -1, 1, 1)
    shift = pixel_map.bias.float().view(1, -1, 1, 1)
    base = module.base_model

    def network(x: Tensor, context: Context | None = None) -> Tensor:  # noqa: ARG001 - a Represent
        out = base(pixel_values=x * scale + shift)
        pooled = out.pooler_output  # of a ViT with a classifier, none: there it is CLS
        return (out.last_hidden_state[:, 0] if pooled is None else pooled).flatten(1)

    return network


def input_gradient(network: Represent, x: Tensor, target: Tensor) -> None:
    y = x.requires_grad_(True)
    torch.autograd.grad(relative_error(network(y, {}), target).sum(), y)


def weight_gradients(module: Any, network: Represent, x: Tensor, target: Tensor) -> None:
    """As a training loop does it."""
    module.requires_grad_(True)
    relative_error(network(x.requires_grad_(True), {}), target).sum().backward()
    module.zero_grad()
    module.requires_grad_(False)


def ratios(bare: Callable[[], None], other: Callable[[], None], rounds: int) -> dict[str, float]:
    """Of the time of one call to that of the other right before it."""
    found = []
    for _ in range(rounds + 2):
        started = time.perf_counter()
        bare()
        between = time.perf_counter()
        other()
        found.append((time.perf_counter() - between) / (between - started))
    return quartiles(found[2:])


def quartiles(values: Any) -> dict[str, float]:
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"median": float(median), "quartile_1": float(low), "quartile_3": float(high)}


def in_the_loop(
    bare: Callable[[], None],
    represent: Represent,
    rule: Rule,
    starts: Tensor,
    target: Tensor,
    rounds: int,
) -> dict[str, float]:
    """A pass of the loop: from one call of `represent` to the next, without the bare pass that is
    run in between.
    """
    entered: list[float] = []
    alone: list[float] = []

    def interleaved(x: Tensor, context: Context) -> Tensor:
        entered.append(time.perf_counter())
        with torch.enable_grad():
            bare()
        alone.append(time.perf_counter() - entered[-1])
        return represent(x, context)

    items = [Item((i, 0), *pair) for i, pair in enumerate(zip(starts, target, strict=True))]
    plan = Plan(rule, Domain(Box(), (1, 2)), rounds, 1e-9)
    list(descend(interleaved, items, plan, batch_size=len(items)))
    whole, base = np.diff(entered)[2:], np.array(alone[2:-1])
    return quartiles((whole - base) / base)


def costs(case: Case, model: str, rounds: int) -> dict[str, Any]:
    encoder, starts, target = case.network.encoder, case.starts(0), case.target
    module, session = encoder.module, case.network.session
    network = bare_network(case, module)
    plain = load_encoder(model_path(model) if model in MODELS else model).module.to(
        memory_format=torch.contiguous_format
    )
    pixels = case.pixels.clone()
    cast = Session(encoder.network, session.reading, autocast=True)

    def bare() -> None:
        input_gradient(network, pixels.detach(), target)

    def contiguous() -> None:
        input_gradient(bare_network(case, plain), pixels.detach(), target)

    def weights() -> None:
        weight_gradients(module, network, pixels.detach(), target)

    folded: dict[str, tuple[Represent, Rule]] = {}
    if case.represent is not session:  # where there is something to fold
        folded["folded"] = case.represent, AdamPolyak()
        folded["folded_smooth"] = case.represent, Smooth()
    with cast:
        looped: dict[str, tuple[Represent, Rule]] = {
            "loop": (network, AdamPolyak()),
            "pass": (session, AdamPolyak()),
            "smooth": (session, Smooth()),
            **folded,
            "autocast": (cast, AdamPolyak()),
        }
        found = {
            name: in_the_loop(bare, represent, rule, starts, target, rounds)
            for name, (represent, rule) in looped.items()
        }
    found["contiguous"] = ratios(bare, contiguous, rounds)
    found["weight_gradients"] = ratios(bare, weights, rounds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--large", nargs="*", default=[])
    parser.add_argument("--photos")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows: dict[str, Any] = {}
    small = [(name, 64, None, 80) for name in (MODELS[0], MODELS[2], *args.models)]
    for model, count, data, rounds in (*small, *((m, 8, args.photos, 14) for m in args.large)):
        with case(model, count, data) as one:
            rows[one.name] = costs(one, model, rounds)
        shown = {name: round(row["median"], 3) for name, row in rows[one.name].items()}
        print(one.name, shown, flush=True)
    found = {"networks": rows, "environment": environment(torch.device("cpu"))}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
