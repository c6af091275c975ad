"""Transforms: stacking, compiling and copying change nothing."""

import copy
import io
import pickle
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from rlnorm.nn.laws.case import Case, call, close, law
from rlnorm.nn.modes import Mode, set_mode
from rlnorm.nn.state import running_norms


@law
def members_stacked_are_members_alone(case: Case) -> None:
    """vmap over three modules, statistics included, in every mode: outputs, gradients and new statistics of each."""
    xs = torch.stack([case.input(seed=i) for i in range(3)])
    for mode in case.modes():
        modules = [set_mode(case.module(seed=i), mode) for i in range(3)]
        parameters, buffers = stack_module_state(modules)
        template = copy.deepcopy(modules[0]).to("meta")
        leaves = {k: p.detach().requires_grad_() for k, p in parameters.items()}
        ys = vmap(lambda p, b, x, t=template: functional_call(t, (p, b), (x,)))(leaves, buffers, xs)
        ys.square().sum().backward() if ys.requires_grad else None
        for i, module in enumerate(modules):
            y = module(xs[i])
            y.square().sum().backward() if y.requires_grad else None
            close(ys[i].detach(), y.detach(), 1e-12, f"{mode}: output of member {i}")
            for name, parameter in module.named_parameters():
                grad = leaves[name].grad
                assert grad is not None
                assert parameter.grad is not None
                close(grad[i], parameter.grad, 1e-12, f"{mode}: gradient of {name} of member {i}")
            for name, buffer in module.named_buffers():
                close(buffers[name][i], buffer, 1e-12, f"{mode}: {name} of member {i}")


@law
def inputs_stacked_are_inputs_alone(case: Case) -> None:
    """vmap over batches, one module, in the modes that leave statistics alone; per-sample gradients too.

    In the others several batches would enter one set of statistics at once. There is no answer to that, and norms with
    running statistics refuse it: stack the state too.
    """
    xs = torch.stack([case.input(seed=i) for i in range(3)], dim=1)
    for mode, module, state in case.functions():
        outputs = vmap(lambda x, m=module, s=state: call(m, s, x), in_dims=1)
        slopes = vmap(torch.func.grad(lambda x, m=module, s=state: call(m, s, x).square().sum()), in_dims=1)
        if mode in ("train", "track") and state[1]:
            for run in (outputs, slopes) if any(running_norms(module)) else ():
                _refused(run, xs, f"mode {mode}")
            continue
        ys, slope = outputs(xs), slopes(xs)
        for i in range(3):
            x = xs[:, i].clone().requires_grad_()
            y = call(module, state, x)
            close(ys[i], y.detach(), 1e-12, f"{mode}: batch {i}")
            close(slope[i], torch.autograd.grad(y.square().sum(), x)[0], 1e-12, f"{mode}: gradient of batch {i}")


def _refused(run: Callable[[Tensor], Tensor], xs: Tensor, where: str) -> None:
    said = "several batches entered one set of statistics"
    try:
        run(xs)
    except RuntimeError as error:
        said = str(error)
    assert "expected stacked modules" in said, f"{where}: {said}"


@law
def recorded_is_eager(case: Case) -> None:
    """`torch.jit.trace` and `make_fx` record a pass in eval mode that holds for other batches, gradients on or off."""
    module = case.module().eval()
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled), warnings.catch_warnings():
            # The tracer warns of itself as old, and of each check of a shape; values are compared below.
            warnings.simplefilter("ignore")
            try:
                traced, recorded = torch.jit.trace(module, (case.input(),)), make_fx(module)(case.input())
            except Exception as error:
                raise AssertionError(f"gradients {enabled}: cannot be recorded: {error}") from error
            assert isinstance(traced, nn.Module)
            close(recorded(case.input(seed=2)), module(case.input(seed=2)), 1e-12, "make_fx")
            other = case.input(seed=2, batch=5)
            close(traced(other), module(other), 1e-12, "torch.jit.trace")


@law
def compiled_is_eager(case: Case) -> None:
    """`torch.compile(fullgraph=True)` gives the same outputs, gradients and statistics.

    In every mode at the norm's fewest spatial dimensions, in training at the others; without code generation, which
    takes seconds for each: `assert_compiled_is_eager` does it with.
    """
    assert_compiled_is_eager(case, case.modes() if case.first else ("train",), "aot_eager")


def assert_compiled_is_eager(case: Case, modes: Sequence[Mode], backend: str) -> None:
    """Compiled by `backend` ("inductor" is torch's own, "aot_eager" the same without its code generation) and eager.

    All modes in one compilation, since each costs more than its contents; each mode with a module and an input.
    """
    eager, traced = ([set_mode(case.module(), mode) for mode in modes] for _ in range(2))
    torch.compiler.reset()
    compiled = torch.compile(_each, fullgraph=True, backend=backend, dynamic=False)
    results = []
    for function, modules in ((_each, eager), (compiled, traced)):
        xs = [case.input().requires_grad_() for _ in modes]
        ys = function(modules, xs)
        results.append((ys, torch.autograd.grad([y.square().sum() for y in ys], xs)))
    for i, mode in enumerate(modes):
        for what, expected, got in zip(("output", "gradient"), *results, strict=True):
            close(got[i].detach(), expected[i].detach(), 1e-12, f"{mode}: {what}")
        for name, buffer in traced[i].named_buffers():
            close(buffer, dict(eager[i].named_buffers())[name], 1e-12, f"{mode}: {name}")


def _each(modules: Sequence[nn.Module], xs: Sequence[Tensor]) -> list[Tensor]:
    return [module(x) for module, x in zip(modules, xs, strict=True)]


@law
def copies_are_equal(case: Case) -> None:
    """Pickle, deepcopy and state dict give a module that does the same; a meta copy gives the shape."""
    module = case.module().eval()
    expected = module(case.input())
    fresh = case.module(seed=5).eval()
    fresh.load_state_dict(module.state_dict())
    stored = io.BytesIO()
    torch.save(module.state_dict(), stored)
    stored.seek(0)
    case.module(seed=6).load_state_dict(torch.load(stored, weights_only=True))
    for what, other in (
        ("pickle", pickle.loads(pickle.dumps(module))),
        ("deepcopy", copy.deepcopy(module)),
        ("state dict", fresh),
    ):
        close(other(case.input()).detach(), expected.detach(), 0, what)
    assert copy.deepcopy(module).to("meta")(case.input().to("meta")).shape == expected.shape
