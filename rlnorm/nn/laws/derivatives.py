"""Derivatives: the hand-derived backward pass is the derivative of forward, to first and second order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.gradcheck import GradcheckError

from rlnorm.nn.laws.case import Case, State, call, close, law, state_of

Leaves = tuple[Tensor, ...]


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y, factor):
        ctx.factor = factor
        return y.clone()

    @staticmethod
    def backward(ctx, *grads):
        return grads[0] * ctx.factor, None


class ScaledBackward(nn.Module):
    """`module` with every gradient scaled by `factor`, which the adjoint law must notice."""

    def __init__(self, module: nn.Module, factor: float):
        super().__init__()
        self.module, self.factor = module, factor

    def forward(self, x: Tensor) -> Tensor:
        """The output of `module`."""
        return _Scaled.apply(self.module(x), self.factor)


def assert_adjoint(module: nn.Module, x: Tensor, seed: int = 0, tolerance: float = 1e-6) -> None:
    """<g, J t> = <J^T g, t> for the Jacobian J with respect to x and to all parameters.

    J t by central differences, J^T g by autograd. Source: the dot-product test of adjoint codes.
    """
    rng = torch.Generator().manual_seed(seed)
    parameters, buffers = state_of(module)
    leaves = {"x": x, **parameters}
    tangents = {k: torch.randn(v.shape, generator=rng, dtype=v.dtype) for k, v in leaves.items()}

    def at(step: float) -> Tensor:
        moved = {k: v + step * tangents[k] for k, v in leaves.items()}
        return call(module, ({k: moved[k] for k in parameters}, buffers), moved["x"])

    step = 1e-5
    with torch.no_grad():
        forward = (at(step) - at(-step)) / (2 * step)
    leaves = {k: v.clone().requires_grad_() for k, v in leaves.items()}
    y = call(module, ({k: leaves[k] for k in parameters}, buffers), leaves["x"])
    g = torch.randn(y.shape, generator=rng, dtype=y.dtype)
    grads = torch.autograd.grad(y, list(leaves.values()), g)
    left = (g * forward).sum()
    right = sum((grad * tangents[k]).sum() for k, grad in zip(leaves, grads, strict=True))
    scale = (g * forward).abs().sum()
    assert (left - right).abs() <= tolerance * scale, f"<g, Jt> = {left:.9g} but <J'g, t> = {right:.9g}"


@law
def backward_is_the_adjoint_of_the_derivative(case: Case) -> None:
    """The dot-product test in every mode whose pass takes no statistic as a constant."""
    for mode, module, _ in case.functions():
        if mode not in case.norm.constants_in:
            assert_adjoint(module, case.input())


@law
def a_backward_off_by_one_in_a_thousand_is_caught(case: Case) -> None:
    """The adjoint test notices a gradient scaled by 1.001, for this norm."""
    for mode, module, _ in case.functions():
        if mode in case.norm.constants_in:
            continue
        try:
            assert_adjoint(ScaledBackward(module, 1.001), case.input())
        except AssertionError:
            continue
        raise AssertionError(f"mode {mode}: a backward scaled by 1.001 passes the adjoint test")


@law
def first_derivatives_are_right(case: Case) -> None:
    """gradcheck in float64, every mode, x and each parameter alone, reverse and forward mode."""
    for mode, module, state in case.functions():
        if mode in case.norm.constants_in:
            continue
        for name in ("x", *state[0]):
            function, leaf = _of((name,), case, module, state)
            with _broken_where_torch_says_so(f"mode {mode}, {name}"):
                gradcheck(function, leaf, check_forward_ad=True, fast_mode=not case.first)


@law
def second_derivatives_are_right(case: Case) -> None:
    """gradgradcheck in float64, every mode, x and all parameters, together and each alone; all orders of both modes.

    Together for the mixed derivatives, alone because a backward pass skips gradients that are not requested.
    """
    for mode, module, state in case.functions():
        if mode in case.norm.constants_in:
            continue
        rng = torch.Generator().manual_seed(2)
        g = torch.randn(case.input().shape, generator=rng, dtype=torch.float64, requires_grad=True)
        every = ("x", *state[0])
        for names in dict.fromkeys([every, *((name,) for name in every)]):
            function, leaves = _of(names, case, module, state)
            with _broken_where_torch_says_so(f"mode {mode}, {' and '.join(names)}"):
                gradgradcheck(function, leaves, (g,), fast_mode=True, check_fwd_over_rev=True)
        _four_ways(lambda x, m=module, s=state: call(m, s, x).pow(3).sum(), case.input(), g.detach())


@law
def an_output_may_be_overwritten(case: Case) -> None:
    """In-place operations on a norm's output, such as `ReLU(inplace=True)`, give the same gradients as others."""
    for mode, module, state in case.functions():
        names = ["x", *state[0]]
        slopes = []
        for in_place in (False, True):
            function, leaves = _of(names, case, module, state)
            # The norm's input is no leaf, as behind a layer.
            y = function(leaves[0] * 1, *leaves[1:])
            y = y.mul_(2).relu_() if in_place else (y * 2).relu()
            slopes.append(torch.autograd.grad(y.square().sum(), leaves))
        for name, got, expected in zip(names, slopes[1], slopes[0], strict=True):
            close(got, expected, 1e-12, f"mode {mode}: gradient of {name}")


@contextmanager
def _broken_where_torch_says_so(where: str) -> Iterator[None]:
    try:
        yield
    except GradcheckError as error:
        raise AssertionError(f"{where}: {error}") from error


def _four_ways(function: Callable[[Tensor], Tensor], x: Tensor, direction: Tensor) -> None:
    """The Hessian times a direction, by every order of forward and reverse mode."""

    def forward(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda y: torch.func.jvp(f, (y,), (direction,))[1]

    slope = torch.func.grad(function)
    expected = (torch.func.grad(lambda y: (slope(y) * direction).sum())(x) * direction).sum()
    close(forward(forward(function))(x), expected, 1e-9, "forward over forward")
    close((forward(slope)(x) * direction).sum(), expected, 1e-9, "forward over reverse")
    close((torch.func.grad(forward(function))(x) * direction).sum(), expected, 1e-9, "reverse over forward")


def _of(names: Sequence[str], case: Case, module: nn.Module, state: State) -> tuple[Callable[..., Tensor], Leaves]:
    """The pass as a function of "x" or parameters of these names, all else fixed, and where to take it."""
    parameters, buffers = state
    at = {"x": case.input(), **parameters}

    def function(*values: Tensor) -> Tensor:
        now = {**at, **dict(zip(names, values, strict=True))}
        return call(module, ({k: now[k] for k in parameters}, buffers), now["x"])

    return function, tuple(at[name].clone().requires_grad_() for name in names)
