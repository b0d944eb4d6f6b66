"""The paper's algorithm, against the text of the original."""

import pytest
import torch
from torch import Tensor, nn

from stir_hf.engine import Paper
from tests.engine.problems import errors, items, network, run


def original(net: nn.Module, x: Tensor, target: Tensor, passes: int) -> tuple[Tensor, Tensor]:
    """The loop of the original's `Attacker.get_adv_examples` with `UnconstrainedStep`, as its text
    has it.
    """
    best_loss, best_x = None, None
    for k in range(passes + 1):
        x = x.clone().detach().requires_grad_(True)
        losses = torch.norm(net(x) - target, p=2, dim=1) / torch.norm(target, p=2, dim=1)
        (gradient,) = torch.autograd.grad(-losses.mean(), x)
        with torch.no_grad():
            if best_loss is None or best_x is None:
                best_loss, best_x = losses.clone(), x.clone()
            else:
                better = losses < best_loss
                best_x[better], best_loss[better] = x[better], losses[better]
            if k < passes:
                norm = gradient.reshape(len(x), -1).norm(dim=1).reshape(-1, 1, 1, 1)
                x = torch.clamp(x + 0.5 * gradient / (norm + 1e-10), 0, 1)
    assert best_x is not None
    assert best_loss is not None
    return best_x, best_loss


@pytest.mark.parametrize("passes", [1, 2, 10])
def test_paper_is_the_original_loop(passes: int) -> None:
    net = network()
    work = items(net, 5)
    expected, losses = original(
        net, torch.stack([w.start for w in work]), torch.stack([w.target for w in work]), passes
    )
    found = run(net, work, Paper(), passes=passes, batch=5)
    torch.testing.assert_close(
        torch.stack([r.value for r in found]), expected.clamp(0, 1), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(errors(net, work, found), losses, rtol=0, atol=1e-5)


def test_paper_never_stops_early() -> None:
    net = network()
    work = items(net, 3)
    assert [r.passes for r in run(net, work, Paper(), passes=37, tolerance=10.0)] == [37] * 3


def test_paper_evaluates_the_start_as_it_is_and_keeps_it_within_the_box() -> None:
    net, seen = network(), []

    def represent(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return net(x)  # type: ignore[no-any-return]

    (item,) = items(net, 1)
    (found,) = run(represent, [item], Paper(step_size=1e-12), passes=1)
    assert torch.equal(seen[0][0], item.start)
    assert float(item.start.min()) < 0
    assert torch.equal(found.value.clamp(0, 1), found.value)
