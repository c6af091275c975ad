"""The one place where a pure kernel pair is joined to torch's autograd.

A kernel is two functions of tensors:

    forward(*tensors, *constants) -> (y, intermediates...)
    backward(grads, saved, *constants) -> one gradient per tensor

`grads` has one entry per output, None where nothing flows back. `saved` is what forward returned (`save="outputs"`) or
the tensors it was given (`save="inputs"`), and nothing else. So everything backward uses is itself an input or an
output of the Function, with a gradient of its own, and the derivative of backward is right too: a Function that keeps a
hidden intermediate passes `gradcheck` and silently returns a wrong second derivative.

In forward mode torch differentiates the bare kernel: of a Function with a `jvp` of its own, torch (2.13) silently
returns zero as the second forward-mode derivative, and `torch.compile` refuses to trace it.

Kernels name axes from the end (negative numbers) and broadcast. Then a leading member axis, as `torch.vmap` adds it,
changes nothing, and the kernel runs on the stacked tensor as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

Outputs = tuple[Tensor, ...]
Grads = Sequence[Tensor | None]


@dataclass(frozen=True)
class Kernel:
    """A forward pass and its hand-derived backward pass, both pure; see the module's docstring for their shapes."""

    forward: Callable[..., Outputs]
    backward: Callable[..., Outputs]
    save: Literal["outputs", "inputs"] = "outputs"


def join(kernel: Kernel) -> Callable[..., Outputs]:
    """kernel -> a differentiable function of the same arguments as `kernel.forward`.

    Takes first and second derivatives, forward mode, `torch.func` transforms and `torch.compile`. Where no gradient is
    asked for, `kernel.forward` runs bare.
    """

    class Traced(Function):
        """What `torch.compile` traces."""

        generate_vmap_rule = True

        forward = staticmethod(kernel.forward)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Outputs) -> None:
            tensors = tuple(arg for arg in inputs if isinstance(arg, Tensor))
            ctx.constants = inputs[len(tensors) :]
            ctx.save_for_backward(*(output if kernel.save == "outputs" else tensors))

        @staticmethod
        def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
            return *kernel.backward(grads, ctx.saved_tensors, *ctx.constants), *(None for _ in ctx.constants)

    class Eager(Traced):
        """What runs otherwise: no zeros for outputs nobody used, one stacked kernel call under vmap."""

        generate_vmap_rule = False

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Outputs) -> None:
            Traced.setup_context(ctx, inputs, output)
            ctx.set_materialize_grads(False)

        @staticmethod
        def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Outputs, int]:
            return apply(*(_lead(arg, dim, info.batch_size) for arg, dim in zip(args, in_dims, strict=True))), 0

    def apply(*args: Any) -> Outputs:
        if torch.compiler.is_compiling():
            return Traced.apply(*args)
        return Eager.apply(*args) if _differentiated(args) else kernel.forward(*args)

    return apply


def _differentiated(args: tuple[Any, ...]) -> bool:
    """Whether a reverse-mode derivative may be taken. Under `torch.func` a tensor does not say so itself."""
    if not torch.is_grad_enabled() or forward_ad._current_level >= 0:
        return False
    return torch._C._are_functorch_transforms_active() or any(
        isinstance(arg, Tensor) and arg.requires_grad for arg in args
    )


def _lead(arg: Any, dim: int | None, members: int) -> Any:
    """Bring the member axis to the front; a tensor without one is repeated (as a view) over the members."""
    if not isinstance(arg, Tensor):
        return arg
    return arg.expand(members, *arg.shape) if dim is None else arg.movedim(dim, 0)
