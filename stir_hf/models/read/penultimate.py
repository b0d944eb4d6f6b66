"""The default layer: what the head of a classifier multiplies, verified and never guessed."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stir_hf.errors import RequestError
from stir_hf.models.images.families import family_of
from stir_hf.models.images.towers import inner_tower, tower_note
from stir_hf.models.network import Network
from stir_hf.models.read.taps import Tap, list_layers, modules_before, output_of, part_of, tap_of
from stir_hf.models.read.trace import Call, Trace

_SHOWN = 5


Chosen: TypeAlias = tuple[Tap, tuple[str, ...]]
"""A default layer, with the notes of a result on it."""


def penultimate(seen: Trace, network: Network) -> Chosen:
    """The default layer of a model of `transformers`: the input of its classifier or, without one,
    its pooled output. Its notes name modules after it that are left out, since the checkpoint lacks
    their weights, or the tower that is read.

    Raises:
        RequestError: it cannot be determined with certainty; the choices are named.
    """
    found = _head_input(seen) if seen.classifies else _backbone_output(seen, network)
    found = found or _tower_output(seen, network)
    if found is not None:
        return found
    vectors = [x.name for x in list_layers(seen) if len(x.shape) == 1 and x.name != "logits"]
    names = vectors or [x.name for x in list_layers(seen)]
    if seen.classifies:
        what = "no layer's product gives its logits"
    elif _pools_by_weights(network):
        what = "whether its pooler was trained is not known of a model in memory"
    else:
        what = "it has no logits of classes"
    raise RequestError(
        f"the penultimate layer of {network.name} cannot be determined ({what}); choose a"
        f" layer: {', '.join(names[-_SHOWN:])} (`stir-hf layers MODEL` lists them all)"
    )


def _head_input(seen: Trace) -> Chosen | None:
    """The input of the head, whose output is the logits up to a constant factor; None if there is
    no proof. If the logits are the mean of several heads (distilled networks), this is the input of
    the first.
    """
    assert seen.logits is not None
    target = seen.logits
    head = _by_identity(seen, target) or _by_recomputing(seen, target) or _composed(seen, target)
    return None if head is None else (Tap(head.name, "input", call=head.number), ())


def _by_identity(seen: Trace, target: Tensor) -> Call | None:
    """The module with a matrix that outputs the target, perhaps before modules that only scale."""
    for call in reversed(seen.calls):
        if not call.is_leaf or call.gave is None or call.given is None:
            continue
        if not call.gave.same(target):
            continue
        if _has_matrix(call.module):
            return call
        before = call.given.value
        if before is None or not _scaled(target, before):
            return None
        target = before
    return None


def _by_recomputing(seen: Trace, target: Tensor) -> Call | None:
    """The module whose product is the target up to a factor, or the first of two with that sum."""
    products: list[tuple[Call, Tensor]] = []
    for call in reversed(seen.calls):
        product = _product(call)
        if product is None or product[0].numel() != target[0].numel():
            continue
        product = product.reshape(target.shape).to(target.device)
        if _scaled(target, product):
            return call
        products.append((call, product))
    for (later, a), (first, b) in combinations(products, 2):
        if _scaled(target, a + b):
            return min(first, later, key=lambda call: call.ended)
    return None


def _composed(seen: Trace, target: Tensor) -> Call | None:
    """The innermost composed module with the target as output, which calls show to be affine."""
    for call in seen.calls:
        given = None if call.given is None else call.given.value
        if given is None or call.gave is None or not call.name or not call.gave.same(target):
            continue
        with torch.inference_mode(False), torch.no_grad():
            full, half, none = (call.module(given * share) for share in (1.0, 0.5, 0.0))
        if isinstance(full, Tensor) and _scaled(target, full) and _scaled(full - none, half - none):
            return call
    return None


def _has_matrix(module: nn.Module) -> bool:
    return any(p.ndim >= 2 for p in module.parameters(recurse=False))


def _product(call: Call) -> Tensor | None:
    """The product of weights and input, computed again; None unless the module outputs it."""
    weight, given, gave = getattr(call.module, "weight", None), call.given, call.gave
    if given is None or gave is None or not call.is_leaf or not isinstance(weight, Tensor):
        return None
    values = given.value
    if values is None or weight.ndim < 2 or weight.is_meta or values.dtype != weight.dtype:
        return None
    values = values.to(weight.device)
    with torch.inference_mode(False), torch.no_grad():
        for product in _products(values, weight, call.module):
            if not gave.unchanged:  # scaled in place afterwards
                return product
            if product.shape == gave.tensor.shape and _scaled(gave.tensor, product):
                return product
    return None


def _products(values: Tensor, weight: Tensor, module: Any) -> Iterator[Tensor]:
    bias = getattr(module, "bias", None)
    bias = bias if isinstance(bias, Tensor) else None
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        convolve = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[weight.ndim]
        if isinstance(module.padding, tuple):
            options = (module.stride, module.padding, module.dilation, module.groups)
            yield convolve(values, weight, bias, *options)
    elif weight.ndim == 2 and values.shape[-1] == weight.shape[1]:
        yield F.linear(values, weight, bias)
        yield F.linear(F.normalize(values, dim=-1), F.normalize(weight, dim=-1))
    elif weight.ndim == 2 and values.shape[-1] == weight.shape[0]:
        yield values @ weight if bias is None else values @ weight + bias


def _scaled(values: Tensor, product: Tensor) -> bool:
    """Return whether `values` are `product` times a constant, to the precision of the dtype."""
    if values.numel() != product.numel():
        return False
    a = values.detach().flatten().double()
    b = product.detach().flatten().double().to(a.device)
    factor = (a @ b) / (b @ b)
    tolerance = max(1e-4, 4 * torch.finfo(values.dtype).eps)
    near = (a - factor * b).norm() <= tolerance * a.norm()
    return bool(near) and bool(factor != 0) and bool(factor.isfinite())


def _pools_by_weights(network: Network) -> bool:
    """Return whether the network has a pooler with weights, which classifiers lack."""
    return any(name.startswith("pooler.") for name, _ in network.module.named_parameters())


def _backbone_output(seen: Trace, network: Network) -> Chosen | None:
    """The output of a backbone: its pooler, if the checkpoint has the weights; else CLS, or the
    mean over tokens or space, of the last hidden state before modules that the checkpoint lacks.
    """
    if network.in_memory and _pools_by_weights(network):
        return None
    pooled = getattr(seen.result, "pooler_output", None)
    if isinstance(pooled, Tensor):
        tap = tap_of(seen, pooled, "pooler_output")
        if not lacking(seen, network, tap):
            return replace(tap, pooling="flatten"), ()
    if (found := _last(seen, network)) is None:
        return None
    last, tap = found
    notes: tuple[str, ...] = ()
    if lacks := lacking(seen, network, tap):
        after = ", ".join(dict.fromkeys(key.rpartition(".")[0] for key in lacks))
        notes = (f"the layer is read before {after}, whose weights the checkpoint lacks",)
        last, tap = _before_lack(seen, network, last, lacks) or found
    names = [name for name, _ in network.module.named_parameters()]
    has_cls = any("cls_token" in name or "class_embedding" in name for name in names)
    return (replace(tap, pooling="cls") if has_cls and last.ndim == 3 else tap), notes


def _tower_output(seen: Trace, network: Network) -> Chosen | None:
    """The output of the only tower in a network of a user's own class with a bare tensor."""
    tower = inner_tower(network.module) if isinstance(seen.result, Tensor) else None
    if tower is None or len(calls := seen.of(tower[0])) != 1:
        return None
    inside = replace(network, module=tower[1], family=family_of(tower[1].config))
    found = _backbone_output(replace(seen, result=calls[0].result), inside)
    if found is None or found[0].module is None:
        return None
    return found[0], tower_note(tower[0], network.module)


def _last(seen: Trace, network: Network) -> tuple[Tensor, Tap] | None:
    """The last hidden state or feature map."""
    has_last = isinstance(getattr(seen.result, "last_hidden_state", None), Tensor)
    part = network.family.maps or ("last_hidden_state" if has_last else "feature_maps")
    if not hasattr(seen.result, part) or (last := part_of(seen.result, part)) is None:
        return None
    return last, tap_of(seen, last, part)


def _before_lack(
    seen: Trace, network: Network, last: Tensor, lacks: list[str]
) -> tuple[Tensor, Tap] | None:
    """The last hidden state before modules after the last block (a normalisation, say) whose
    weights the checkpoint lacks; None if it lacks weights of a block.
    """
    if any(part.isdecimal() for key in lacks for part in key.split(".")):
        return None
    states = getattr(seen.result, "hidden_states", None) or ()
    found = [(x, tap_of(seen, x, len(states) - 1)) for x in states[-1:] if isinstance(x, Tensor)]
    after = seen.giver(last)
    before = seen.giver(after.given) if after is not None and after.is_leaf else None
    if before is not None and before.gave is not None:  # the last state may be the normalised one
        found.append((before.gave.tensor, output_of(before)))
    return next((one for one in found if not lacking(seen, network, one[1])), None)


def lacking(seen: Trace, network: Network, tap: Tap) -> list[str]:
    """The weights missing from the checkpoint on which a tap depends."""
    ran = modules_before(seen, tap)
    return sorted(key for key in network.missing if key.rpartition(".")[0] in ran)
