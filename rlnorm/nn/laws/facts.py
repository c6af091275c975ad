"""Facts: a norm has the properties that it declares, and no others."""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.func import functional_call

from rlnorm.nn.laws.case import BATCH, WIDTH, Case, call, close, law, state_of
from rlnorm.nn.running import RunningNorm
from rlnorm.nn.state import running_norms

Change = Callable[[Tensor, torch.Generator], Tensor]


def _constant_over(*kept: int) -> Callable[[Tensor, torch.Generator], Tensor]:
    """Positive numbers that differ along the axes `kept` of x (0 samples, 1 channels, 2 pixels), constant elsewhere."""

    def draw(x: Tensor, rng: torch.Generator) -> Tensor:
        shape = [size if min(axis, 2) in kept else 1 for axis, size in enumerate(x.shape)]
        return 0.5 + 2 * torch.rand(shape, generator=rng, dtype=x.dtype)

    return draw


_VARIES = {"sample": (0,), "channel": (1,), "map": (0, 1), "pixel": (0, 2)}
INVARIANCES: Mapping[str, Change] = {
    **{f"{k} shift": lambda x, rng, v=v: x + 300 * _constant_over(*v)(x, rng) for k, v in _VARIES.items()},
    **{f"{k} scale": lambda x, rng, v=v: x * _constant_over(*v)(x, rng) for k, v in _VARIES.items()},
}
"""Name -> a change of x. "sample": another number for each sample; "channel": for each channel; "map": for each channel
of each sample; "pixel": for each pixel of each sample. "weight scale" is the scale of the wrapped layer's weight."""


@law
def invariant_as_declared(case: Case) -> None:
    """Training output keeps under the declared changes of x and under no other (of those that have a meaning)."""
    module = case.module()
    state = state_of(module)
    x = 100 * case.input()
    y = call(module, state, x)
    for name, change in INVARIANCES.items():
        if case.ndim == 0 and name.startswith(("map", "pixel")):
            continue
        other = call(module, state, change(x, torch.Generator().manual_seed(3)))
        same = bool((other - y).abs().max() <= 1e-5 * y.abs().max())
        declared = name in case.norm.invariant_to
        assert same == declared, f"{name}: declared {declared}, found {same}"


@law
def invariant_to_the_weights_scale_as_declared(case: Case) -> None:
    """For a norm that wraps a layer: whether its output keeps when the layer's weights are multiplied by 3."""
    if case.norm.wrap_layer is None:
        assert "weight scale" not in case.norm.invariant_to, "declared, but there is no layer to scale"
        return
    module = case.module().eval()
    parameters, buffers = state_of(module)
    y = call(module, (parameters, buffers), case.input())
    largest = max(parameters, key=lambda name: parameters[name].ndim)
    other = call(module, ({**parameters, largest: 3 * parameters[largest]}, buffers), case.input())
    same = bool((other - y).abs().max() <= 1e-5 * y.abs().max())
    assert same == ("weight scale" in case.norm.invariant_to), f"found {same}"


@law
def couples_the_batch_as_declared(case: Case) -> None:
    """dy_i/dx_j for i != j is zero unless the norm says that it couples the batch; in eval mode always."""
    for mode, module, state in case.functions():
        x = case.input().requires_grad_()
        y = call(module, state, x)
        slope = torch.autograd.grad(y[0].square().sum(), x)[0]
        coupled = bool(slope[1:].abs().max() > 1e-9)
        declared = case.norm.couples_batch and mode in ("train", "batch")
        assert coupled == declared, f"mode {mode}: declared {declared}, found {coupled}"


@law
def statistics_are_updated_in_place(case: Case) -> None:
    """Buffers `running_*` are floats and stay the same tensors; they change in the modes that say so, in no other."""
    for mode, module, _ in case.functions():
        before = {k: (b, b.data_ptr(), b.clone()) for k, b in module.named_buffers()}
        module(case.input())
        changed = False
        for name, buffer in module.named_buffers():
            same, address, old = before[name]
            assert buffer is same, f"mode {mode}: {name} was re-bound"
            assert buffer.data_ptr() == address, f"mode {mode}: {name} moved"
            changed |= not torch.equal(buffer, old)
            if name.rpartition(".")[2].startswith("running_"):
                assert buffer.is_floating_point(), f"{name} is {buffer.dtype}"
        if before:
            assert changed == (mode in ("train", "track")), f"mode {mode}: statistics changed: {changed}"


@law
def attributes_are_read_at_each_call(case: Case) -> None:
    """As in torch: statistics that do not track stay, and without a counter they still follow."""
    for mode, module, _ in case.functions():
        norms = [norm for _, norm in running_norms(module)]
        for norm in norms:
            vars(norm)["track_running_stats"] = False
        before = {k: b.clone() for _, norm in running_norms(module) for k, b in norm.named_buffers()}
        module(case.input())
        for norm in norms:
            for name, buffer in norm.named_buffers():
                assert torch.equal(buffer, before[name]), f"mode {mode}: {name} moved without tracking"
    for mode, module, _ in case.functions():
        counted, uncounted = (copy.deepcopy(module) for _ in range(2))
        for _, norm in running_norms(uncounted):
            if isinstance(norm, RunningNorm) and not norm.schedules:
                setattr(norm, norm.COUNTER, None)
        y, other = counted(case.input()), uncounted(case.input())
        close(other.detach(), y.detach(), 0, f"mode {mode}: output without a counter")
        for name, buffer in uncounted.named_buffers():
            close(buffer, counted.get_buffer(name), 0, f"mode {mode}: {name} without a counter")


@law
def modes_are_two_switches(case: Case) -> None:
    """`batch` gives the output of `train`, `track` that of `eval`.

    Not for a norm whose constants in `train` alone are fresh from the pass.
    """
    y = {mode: module(case.input()).detach() for mode, module, _ in case.functions()}
    if len(y) > 1 and ("train" in case.norm.constants_in) == ("batch" in case.norm.constants_in):
        close(y["batch"], y["train"], 1e-12, "batch against train")
        close(y["track"], y["eval"], 1e-12, "track against eval")


@law
def layouts_give_the_same(case: Case) -> None:
    """Non-contiguous inputs and gradients change nothing; channels_last in is channels_last out."""
    for mode, module, state in case.functions():
        x = case.input()
        grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(4), dtype=x.dtype)
        strided = torch.stack([x, x], dim=-1)[..., 0]
        layouts = [(strided, torch.stack([grad, grad], dim=-1)[..., 0])]
        memory = {2: torch.channels_last, 3: torch.channels_last_3d}.get(case.ndim)
        if memory is not None:
            layouts.append((x.contiguous(memory_format=memory), grad.contiguous(memory_format=memory)))
        x.requires_grad_()
        y = call(module, state, x)
        slope = torch.autograd.grad(y, x, grad)[0]
        for other, g in layouts:
            leaf = other.detach().requires_grad_()
            got = call(module, state, leaf)
            close(got.detach(), y.detach(), 1e-12, f"mode {mode}: output")
            close(torch.autograd.grad(got, leaf, g)[0], slope, 1e-12, f"mode {mode}: gradient")
            if memory is not None and g is layouts[-1][1]:
                assert got.is_contiguous(memory_format=memory), f"mode {mode}: channels_last in, not out"


@law
def an_empty_batch_passes(case: Case) -> None:
    """No samples in, none out; gradients of parameters are zero; statistics keep their values."""
    for mode, module, _ in case.functions():
        running = {k: b.clone() for k, b in module.named_buffers() if k.rpartition(".")[2].startswith("running_")}
        x = case.input(batch=BATCH)[:0].requires_grad_()
        y = module(x)
        assert y.shape == x.shape, f"mode {mode}: {tuple(y.shape)}"
        y.sum().backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is None or not parameter.grad.any(), f"mode {mode}: {name} has a gradient"
        if case.norm.couples_batch or case.norm.wrap_layer is None:
            for name, old in running.items():
                assert torch.equal(dict(module.named_buffers())[name], old), f"mode {mode}: {name} changed"


@law
def bad_input_is_refused_before_anything_changes(case: Case) -> None:
    """Integers, bools, another width or dtype: an error that names the input, and no state changed."""
    if case.norm.name == "none":
        return
    x = case.input()
    bad = {"int64": x.long(), "bool": x.bool(), f"{WIDTH + 1}": torch.cat([x, x[:, :1]], dim=1)}
    if case.module().state_dict():
        bad["float32"] = x.float()
    for mode, module, _ in case.functions():
        before = {k: v.clone() for k, v in module.state_dict().items()}
        for what, value in bad.items():
            said = ""
            try:
                module(value)
            except (RuntimeError, ValueError, TypeError) as error:
                said = str(error).lower()
            assert said, f"mode {mode}: {what} was accepted"
            known = what in said or {"int64": "long", "float32": "float"}.get(what, what) in said
            assert known, f"mode {mode}: the error does not say {what}: {said}"
            after = module.state_dict()
            assert all(torch.equal(after[k], v) for k, v in before.items()), f"mode {mode}: {what} changed the state"


@law
def equals_its_reference(case: Case) -> None:
    """Where torch has the same: state dicts load both ways, and outputs, gradients and statistics agree."""
    make = case.norm.reference.get(case.ndim)
    if make is None:
        return
    ours = case.module()
    theirs = make(WIDTH).double()
    assert list(ours.state_dict()) == list(theirs.state_dict()), "names in the state dicts differ"
    theirs.load_state_dict(ours.state_dict())
    case.module(seed=9).load_state_dict(theirs.state_dict())
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        for step in range(3):
            results = []
            for module in (ours, theirs):
                x = case.input(seed=step).requires_grad_()
                y = module(x)
                leaves = [x, *module.parameters()]
                results.append([y.detach(), *torch.autograd.grad(y.pow(3).sum(), leaves)])
            for got, expected in zip(*results, strict=True):
                close(got, expected, 1e-12, f"training {training}, step {step}")
            for name, buffer in theirs.named_buffers():
                close(dict(ours.named_buffers())[name], buffer, 1e-12, name)
    functional_call(theirs, dict(ours.named_parameters()), (case.input(),))
