"""Sessions: a frozen network with a hook as a map from inputs to representations of a layer."""

from contextlib import ExitStack, nullcontext, suppress
from threading import get_ident
from typing import Any

import torch
from torch import Tensor

from stir_hf.errors import RequestError
from stir_hf.inputs.base import Kind
from stir_hf.models.network import Context, Network
from stir_hf.models.preprocessing import Arithmetic, fill, prepare
from stir_hf.models.read.checks import check_gradient, check_repeats, check_steady, differentiable
from stir_hf.models.read.probing import Reading
from stir_hf.models.read.taps import Tap, part_of, without_rows
from stir_hf.models.read.trace import first_tensor
from stir_hf.models.run.compiling import compilable, compiled
from stir_hf.models.run.frozen import frozen, lock_of, turn
from stir_hf.models.run.precision import float32_precision


class _Reached(BaseException):
    """Ends the forward pass at the selected layer; not an error."""


class Session:
    """A map from inputs (b, *shape) and their context to representations (b, d), while it is open:
    `with encoder.session() as session`.

    The network is frozen (eval mode, no weight gradients) and has one hook, which acts only in this
    session's own passes, so that sessions of one network may be nested. Threads may share a session
    or a network: they take turns. On exit the network is restored bit for bit. The pass follows the
    caller's grad mode and ends at the selected layer, with two exceptions: at the input of a
    classifier's head nothing would be saved, and the whole pass compiles (`torch.compile(session,
    fullgraph=True)`); in a network spread over several devices, weights must be moved back. With
    `autocast` the network runs in bfloat16 autocast, with `compiles` passes with gradients are
    compiled, once for all sizes of a batch.
    """

    def __init__(
        self,
        network: Network,
        reading: Reading,
        *,
        tf32: bool = False,
        autocast: bool = False,
        compiles: bool = False,
    ) -> None:
        self.network, self.reading, self.tf32, self.autocast = network, reading, tf32, autocast
        self._compiled = compiled(self._represent, network.name) if compiles else None
        self.tap: Tap = reading.tap
        self._stops = not reading.is_head_input and not network.is_spread
        self._stack: ExitStack | None = None
        self._runs_in: int | None = None
        self._calls = 0
        self._found: Tensor | None = None
        self._arithmetic: Arithmetic | None = None

    def of(self, copy: Network) -> "Session":
        """Return a session of the same layer in a copy of the network, not open yet."""
        return Session(copy, self.reading, tf32=self.tf32, autocast=self.autocast)

    def __enter__(self) -> "Session":
        """Freeze the network and install the hook."""
        if self._stack is not None:
            raise RuntimeError("the session is open already; make another one")
        with ExitStack() as stack:
            stack.enter_context(frozen(self.network.module))
            stack.enter_context(float32_precision(self.tf32))
            stack.enter_context(torch.autocast(self.network.device.type, enabled=False))
            with torch.inference_mode(False):
                self._arithmetic = self.network.arithmetic()
            self.device, self.dtype = self.network.device, self.network.dtype
            self.input_dtype = self.network.input_dtype
            self._install(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the network."""
        with lock_of(self.network.module):
            stack, self._stack = self._stack, None
            if stack is not None:
                stack.close()

    def __call__(self, values: Tensor, context: Context | None = None) -> Tensor:
        """Represent inputs (b, *shape) of any float dtype, on any device, as (b, d) on the
        network's device; b may be 0. The context has a row for each input.

        Raises:
            RequestError: inputs of another shape.
        """
        if self._stack is None:
            raise RuntimeError("the session is not open; use it as `with encoder.session() as …`")
        self.network.check_takes(values)
        if torch.compiler.is_compiling():
            return self._represent(values, context or {})
        with turn(self.network.module, self.device, self.dtype):
            if self._compiled is not None and compilable(values):
                return self._compiled(values, context or {})
            return self._represent(values, context or {})

    def _represent(self, values: Tensor, context: Context) -> Tensor:
        placed = values.to(self.device, self.input_dtype)
        inputs = prepare(placed, self.network.preprocessing, self._arithmetic, self.dtype)
        beside = {name: fill(tensor.to(self.device)) for name, tensor in context.items()}
        if self.autocast:
            with torch.autocast(self.device.type, dtype=torch.bfloat16):
                tensor = self._read(inputs, beside)
            tensor = tensor.to(self.input_dtype)  # a mean over space in bfloat16 would be coarse
        else:
            tensor = self._read(inputs, beside)
        if len(tensor) != len(inputs):
            raise without_rows(repr(self._where), tuple(tensor.shape), len(inputs))
        pooled = self.tap.pool(tensor).to(self.device, self.input_dtype)
        return pooled[: values.shape[0]]

    def check(self, kind: Kind, gradient: bool) -> Tensor:
        """Return the representation (2, d) of the probe, after checking that it is that from when
        the layer was found and, if asked for, that a gradient reaches the inputs.

        Raises:
            RequestError: another representation, since the network is random or remembers earlier
                inputs; or no gradient.
        """
        with torch.inference_mode(False), self.network.taking(kind):
            probe = self.network.probe(kind).requires_grad_(gradient)
            fails = differentiable(self.network) if gradient else nullcontext()
            with torch.set_grad_enabled(gradient), fails:
                found = self(probe.flip(0)).flip(0)  # with its two inputs swapped
            with torch.no_grad():
                check_repeats(self.network, self.reading, found.detach(), kind, tf32=self.tf32)
                check_steady(self, self.network, self.reading.representation, probe.detach())
            if gradient:
                with torch.enable_grad(), differentiable(self.network):
                    check_gradient(self.network, found, probe)
        return found.detach()

    def _read(self, inputs: Tensor, context: Context) -> Tensor:
        """Run one pass up to the layer, and return its tensor."""
        if self.tap.module is None:
            states = isinstance(self.tap.part, int)
            result = self.network.feed(inputs, context, hidden_states=states)
            return self._some(part_of(result, self.tap.part))
        self._runs_in, self._calls = 0 if torch.compiler.is_compiling() else get_ident(), 0
        try:
            if self._stops and not torch.compiler.is_compiling():  # compiled, nothing else remains
                self._run_until_reached(inputs, context)
            else:
                self.network.feed(inputs, context, hidden_states=False)
        finally:
            self._runs_in = None
            found, self._found = self._found, None
        return self._some(found)

    def _run_until_reached(self, inputs: Tensor, context: Context) -> None:
        with suppress(_Reached):
            self.network.feed(inputs, context, hidden_states=False)

    def _install(self, stack: ExitStack) -> None:
        if self.tap.module is None:
            return
        module = self.network.module.get_submodule(self.tap.module)
        if self.tap.at == "input":
            handle = module.register_forward_pre_hook(self._before, with_kwargs=True)
        else:
            handle = module.register_forward_hook(self._after)
        stack.callback(handle.remove)

    def _before(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._take((args, kwargs))

    def _after(self, _: Any, __: tuple[Any, ...], output: Any) -> None:
        self._take(output)

    def _runs_here(self) -> bool:
        """Return whether the current pass is one of this session."""
        if torch.compiler.is_compiling():  # there is one thread
            return self._runs_in is not None
        return self._runs_in == get_ident()

    def _take(self, value: Any) -> None:
        if not self._runs_here():
            return
        call, self._calls = self._calls, self._calls + 1
        if call == self.tap.call:
            self._found = first_tensor(value)
            if self._stops and not torch.compiler.is_compiling():
                raise _Reached

    def _some(self, tensor: Tensor | None) -> Tensor:
        if tensor is None:
            raise RequestError(
                f"the pass of {self.network.name} does not reach layer {self._where!r}"
            )
        return tensor

    @property
    def _where(self) -> str:
        return str(self.tap.module or self.tap.part or "output")
