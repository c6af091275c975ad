"""The one place where a pure kernel pair is joined to torch's autograd.

A kernel is two functions of tensors:

    forward(*tensors, *constants) -> (y, intermediates...)
    backward(grads, saved, *constants) -> one gradient per tensor

`grads` has one entry per output, None where nothing flows back. `saved` holds the tensors that forward was given and
its intermediates. Each of them is an input or an output of the Function, with a gradient of its own, so the derivative
of backward is right too: a Function that keeps a hidden intermediate passes `gradcheck` and silently returns a wrong
second derivative. y is not saved: its caller may overwrite it, as `relu_` does.

In forward mode torch differentiates the bare kernel: of a Function with a `jvp` of its own, torch (2.13) silently
returns zero as the second forward-mode derivative, and `torch.compile` refuses to trace it. `torch.jit.trace` records
the bare kernel as well, since it cannot record a Function.

Outside of this file only y is differentiated; intermediates serve statistics, which take no gradient.

Kernels name axes from the end (negative numbers) and broadcast. Then a leading member axis, as `torch.vmap` adds it,
changes nothing, and the kernel runs on the stacked tensor as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from rlnorm.nn import _torch

Outputs = tuple[Tensor, ...]
Grads = Sequence[Tensor | None]


@dataclass(frozen=True)
class Kernel:
    """A forward pass and its hand-derived backward pass, both pure; see the module's docstring for their shapes."""

    forward: Callable[..., Outputs]
    backward: Callable[..., Outputs]


def join(kernel: Kernel) -> Callable[..., Outputs]:
    """kernel -> a differentiable function of the same arguments as `kernel.forward`.

    Takes first and second derivatives, forward mode, `torch.func` transforms and `torch.compile`. Where no gradient is
    asked for, `kernel.forward` runs bare.
    """

    def save(ctx: Any, inputs: tuple[Any, ...], output: Outputs) -> None:
        tensors, ctx.constants = _split(inputs)
        ctx.save_for_backward(*tensors, *output[1:])
        ctx.set_materialize_grads(False)

    class Eager(Function):
        """Runs outside of `torch.compile` and `torch.func`: keeps the intermediates of forward.

        Of this form torch asks no signature in each call, which takes it longer than a small kernel does.
        """

        @staticmethod
        def forward(ctx: Any, *args: Any) -> Outputs:
            output = kernel.forward(*args)
            save(ctx, args, output)
            return output

        @staticmethod
        def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
            return *kernel.backward(grads, ctx.saved_tensors, *ctx.constants), *(None for _ in ctx.constants)

    class Transformed(Function):
        """Runs under `torch.func`; under vmap in one call on the stacked tensor."""

        forward = staticmethod(kernel.forward)
        setup_context = staticmethod(save)
        backward = staticmethod(Eager.backward)

        @staticmethod
        def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Outputs, int]:
            led = [_lead(arg, dim, info.batch_size) for arg, dim in zip(args, in_dims, strict=True)]
            rank = max(arg.ndim for arg in led if isinstance(arg, Tensor))
            return apply(*(_of_rank(arg, rank) for arg in led)), 0

    class Traced(Function):
        """The form that `torch.compile` traces: backward starts from the inputs, and the compiler chooses what to keep.

        No gradient is taken of the intermediates here: their zeros would be computed with.
        """

        generate_vmap_rule = True
        forward = staticmethod(kernel.forward)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Outputs) -> None:
            tensors, ctx.constants = _split(inputs)
            ctx.save_for_backward(*tensors)
            ctx.mark_non_differentiable(*output[1:])

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
            tensors = ctx.saved_tensors
            _, *intermediates = kernel.forward(*tensors, *ctx.constants)
            of_y = (grads[0], *(None for _ in grads[1:]))
            back = kernel.backward(of_y, (*tensors, *intermediates), *ctx.constants)
            return *back, *(None for _ in ctx.constants)

    # Before each call dynamo looks whether any function that it stepped through is another by now: here it steps over.
    @torch.compiler.allow_in_graph
    def traced(*args: Any) -> Outputs:
        return kernel.forward(*args) if _torch.compiles_forward_mode() else Traced.apply(*args)

    def apply(*args: Any) -> Outputs:
        if torch.compiler.is_compiling():
            return traced(*args)
        if not _differentiated(args):
            return kernel.forward(*args)
        return (Transformed if _torch.transforms_active() else Eager).apply(*args)

    return apply


def _differentiated(args: tuple[Any, ...]) -> bool:
    """Whether a reverse-mode derivative may be taken. Under `torch.func` a tensor does not say so itself."""
    if not torch.is_grad_enabled() or _torch.forward_mode_active() or _torch.is_tracing():
        return False
    return _torch.transforms_active() or any(isinstance(arg, Tensor) and arg.requires_grad for arg in args)


def _split(args: tuple[Any, ...]) -> tuple[tuple[Tensor, ...], tuple[Any, ...]]:
    """Arguments of a kernel -> its tensors, which come first, and its constants."""
    tensors = tuple(arg for arg in args if isinstance(arg, Tensor))
    return tensors, args[len(tensors) :]


def _lead(arg: Any, dim: int | None, members: int) -> Any:
    """Bring the member axis to the front; a tensor without one is repeated (as a view) over the members."""
    if not isinstance(arg, Tensor):
        return arg
    return arg.expand(members, *arg.shape) if dim is None else arg.movedim(dim, 0)


def _of_rank(arg: Any, rank: int) -> Any:
    """Axes of size 1 after the member axis, as broadcasting adds them before the first: members stay members."""
    if not isinstance(arg, Tensor) or arg.ndim == rank:
        return arg
    return arg.reshape(arg.shape[0], *(1,) * (rank - arg.ndim), *arg.shape[1:])
