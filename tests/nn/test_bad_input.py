"""Bad input: the error says what was got and what was expected, and no state has changed."""

import inspect
from collections import OrderedDict
from math import inf, nan

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp

import rlnorm.nn
from rlnorm.nn import (
    NORMS,
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm1d,
    LayerNorm,
    ObservationNorm,
    RecurrentCell,
    RMSNorm,
    functional,
    set_mode,
)

ONE_VALUE = [(name, mode) for name in ("batch", "batch_renorm", "mean_only") for mode in ("train", "batch", "track")]


@pytest.mark.parametrize(("name", "mode"), ONE_VALUE)
def test_one_value_per_channel(name, mode, rng):
    norm = set_mode(NORMS[name].make(3), mode)
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    with pytest.raises(ValueError, match=r"more than 1 value per channel when training, got input size \(1, 3\)"):
        norm(torch.randn(1, 3, generator=rng))
    assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())
    assert norm.eval()(torch.randn(1, 3, generator=rng)).shape == (1, 3)
    assert set_mode(norm, mode)(torch.randn(1, 3, 5, generator=rng)).shape == (1, 3, 5)


@pytest.mark.parametrize(
    ("make", "shape", "said"),
    [
        (lambda: BatchNorm1d(3), (3,), r"expected 2D or 3D input \(got 1D"),
        (lambda: BatchNorm2d(3), (2, 3), r"expected 4D input \(got 2D"),
        (lambda: BatchNorm1d(3), (2, 4), r"expected 3 channels \(axis 1\), got 4 in \(2, 4\)"),
        (lambda: InstanceNorm1d(3), (2, 4, 5), r"expected 3 channels \(axis 1\), got 4"),
        (
            lambda: InstanceNorm1d(3),
            (2, 3, 1),
            r"more than 1 spatial element when training, got input size \(2, 3, 1\)",
        ),
        (lambda: GroupNorm(1, 3), (2, 4), r"expected 3 channels \(axis 1\), got 4"),
        (lambda: LayerNorm(3), (2, 4), r"expected input of shape \(\*, 3,\), but got \(2, 4\)"),
        (lambda: LayerNorm((2, 3)), (3,), r"expected input of shape \(\*, 2, 3\), but got \(3,\)"),
        (lambda: RMSNorm(3), (2, 4), r"expected input of shape \(\*, 3,\), but got \(2, 4\)"),
    ],
)
def test_ranks_and_widths(make, shape, said):
    with pytest.raises((ValueError, RuntimeError), match=said):
        make()(torch.zeros(shape))


@pytest.mark.parametrize("name", [name for name in NORMS if name != "none"])
def test_another_device_is_refused(name):
    norm = NORMS[name]
    ndim = min(norm.modules, default=0)
    module = nn.Sequential(norm.wrap(nn.Linear(4, 4)), norm.make(4, ndim)) if norm.wrap_layer else norm.make(4, ndim)
    if not module.state_dict():
        return
    with pytest.raises(RuntimeError, match=r"input is on meta and \w+ on cpu"):
        module(torch.zeros(2, 4, *(3,) * ndim, device="meta"))


@pytest.mark.parametrize("eps", [-1e-5, nan, inf, -inf])
@pytest.mark.parametrize(
    "name",
    [
        "BatchNorm1d",
        "LayerNorm",
        "RMSNorm",
        "InstanceNorm2d",
        "BatchRenorm1d",
        "ChannelLayerNorm",
        "MapRMSNorm",
        "MapLayerNorm",
    ],
)
def test_eps(name, eps):
    with pytest.raises(
        ValueError,
        match=rf"{'GroupNorm' if name == 'MapLayerNorm' else name}: eps must be a finite number >=? 0, but got {eps}",
    ):
        getattr(rlnorm.nn, name)(3, eps=eps)


@pytest.mark.parametrize("momentum", [-0.1, 1.1, nan])
@pytest.mark.parametrize("name", ["BatchNorm1d", "InstanceNorm2d", "BatchRenorm1d", "MeanOnlyBatchNorm1d"])
def test_momentum(name, momentum):
    with pytest.raises(ValueError, match=rf"{name}: momentum must lie in \[0, 1\] or be None, but got {momentum}"):
        getattr(rlnorm.nn, name)(3, momentum=momentum)


def test_groups_that_do_not_divide():
    with pytest.raises(ValueError, match=r"num_channels \(10\) must be divisible by num_groups \(3\)"):
        GroupNorm(3, 10)
    with pytest.raises(RuntimeError, match="10 channels of input cannot be divided into 3 groups"):
        functional.group_norm(torch.zeros(2, 10), 3)


def test_statistics_where_they_are_needed():
    with pytest.raises(RuntimeError, match="in evaluation mode, got None"):
        functional.batch_norm(torch.zeros(2, 3), None, None)
    with pytest.raises(RuntimeError, match="without input stats, got None"):
        functional.instance_norm(torch.zeros(2, 3, 4), use_input_stats=False)


def test_version_1_state_dicts_load():
    """Before version 2 torch's had no counter; strict loading still takes those (here: without any version)."""
    old = OrderedDict(nn.BatchNorm1d(3).state_dict())
    del old["num_batches_tracked"]
    norm = BatchNorm1d(3)
    norm.load_state_dict(old)
    assert norm.num_batches_tracked == 0


def test_mixed_precision_takes_float32_parameters(rng):
    x = torch.randn(4, 3, generator=rng)
    for ours, theirs in ((BatchNorm1d(3), nn.BatchNorm1d(3)), (LayerNorm(3), nn.LayerNorm(3))):
        y = ours(x.bfloat16())
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y, theirs(x.bfloat16()))


FUNCTIONS = {
    "batch_norm": lambda eps: functional.batch_norm(torch.zeros(2, 3), None, None, training=True, eps=eps),
    "instance_norm": lambda eps: functional.instance_norm(torch.zeros(2, 3, 4), eps=eps),
    "layer_norm": lambda eps: functional.layer_norm(torch.zeros(2, 3), (3,), eps=eps),
    "group_norm": lambda eps: functional.group_norm(torch.zeros(2, 3), 1, eps=eps),
    "rms_norm": lambda eps: functional.rms_norm(torch.zeros(2, 3), (3,), eps=eps),
}


def test_no_function_with_an_eps_is_missing():
    with_eps = {name for name in functional.__all__ if "eps" in inspect.signature(getattr(functional, name)).parameters}
    assert set(FUNCTIONS) == with_eps


@pytest.mark.parametrize("eps", [-1.0, nan, inf])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_eps_of_a_function(name, eps):
    with pytest.raises(ValueError, match=rf"{name}: eps must be a finite number >=? 0, but got {eps}"):
        FUNCTIONS[name](eps)


@pytest.mark.parametrize(("mean", "var"), [(torch.zeros(3), None), (None, torch.zeros(3))])
def test_one_statistic_without_the_other(mean, var):
    for run in (
        lambda: functional.batch_norm(torch.zeros(2, 3), mean, var, training=True),
        lambda: functional.instance_norm(torch.zeros(2, 3, 4), mean, var),
    ):
        with pytest.raises(
            ValueError, match=r"expected all of running_mean, running_var or none, but got running_\w+=None"
        ):
            run()


@pytest.mark.parametrize("name", [name for name in NORMS if name != "none"])
@pytest.mark.parametrize("change", [lambda t: t.double(), lambda t: t.to("meta")], ids=["dtype", "device"])
def test_every_parameter_and_statistic_must_fit_the_input_before_any_state_changes(name, change, rng):
    norm = NORMS[name]
    ndim = min(norm.modules, default=0)

    def made() -> nn.Module:
        return norm.wrap(nn.Linear(4, 4)) if norm.wrap_layer else norm.make(4, ndim)

    x = torch.randn(3, 4, *(3,) * ndim, generator=rng)
    state = [key for key, value in made().state_dict().items() if value.is_floating_point()]
    if norm.wrap_layer:
        state = [key for key in state if key.startswith("layer.")]
    for key in state:
        module = made()
        *path, last = key.split(".")
        owner = module.get_submodule(".".join(path))
        value = getattr(owner, last)
        changed = change(value.detach())
        if isinstance(value, nn.Parameter):
            setattr(owner, last, nn.Parameter(changed))
        else:
            setattr(owner, last, changed)
        before = {k: v.clone() for k, v in module.state_dict().items() if not v.is_meta}
        with pytest.raises(RuntimeError, match=rf"input is .* and {last} "):
            module(x)
        assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items() if k in before), key


def test_a_wrapped_layers_input_has_its_rank_before_any_state_changes():
    norm = NORMS["spectral"].wrap(nn.Conv2d(2, 3, 3))
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    for shape in ((2,), (2, 9), (1, 2, 2, 9, 9)):
        with pytest.raises(RuntimeError, match="expected 2 input features on axis -3, got shape"):
            norm(torch.zeros(shape))
    with pytest.raises(RuntimeError, match="expected the same dtype"):
        norm(torch.zeros(1, 2, 9, 9, dtype=torch.bfloat16))
    assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())


def test_a_recurrent_state_must_fit():
    cell = RecurrentCell(2, 3, norm=NORMS["batch"])
    before = {k: v.clone() for k, v in cell.state_dict().items()}
    with pytest.raises(RuntimeError, match="RecurrentCell's state: input is on meta and weight_hh on cpu"):
        cell(torch.zeros(4, 2), torch.zeros(4, 3, device="meta"))
    with pytest.raises(RuntimeError, match="expected the same dtype"):
        cell(torch.zeros(4, 2).double(), torch.zeros(4, 3))
    assert all(torch.equal(v, before[k]) for k, v in cell.state_dict().items())


def test_a_guard_sees_statistics_as_the_buffers_would_hold_them(rng):
    norm = BatchNorm1d(4, guard=True).half()
    norm((2000 * torch.randn(50, 4, generator=rng)).half())  # a variance of 4e6, where float16 ends at 65504
    assert norm.skipped_batches == 1
    assert all(buffer.isfinite().all() for buffer in norm.buffers())


UPDATED = {
    "batch": lambda: BatchNorm1d(4, guard=True),
    "batch_renorm": lambda: NORMS["batch_renorm"].make(4),
    "mean_only": lambda: NORMS["mean_only"].make(4),
    "observation": lambda: ObservationNorm(4, guard=True),
    "spectral": lambda: NORMS["spectral"].wrap(nn.Linear(4, 4)),
}
UNDER = {
    "vmap": torch.vmap,
    "per sample": lambda f: torch.vmap(grad(lambda x: f(x).sum())),
    "grad": lambda f: grad(lambda x: f(x).sum()),
    "grad of vmap": lambda f: grad(lambda x: torch.vmap(f)(x).sum()),
    "jvp": lambda f: lambda x: jvp(f, (x,), (x,))[1],
}
"""Transforms of (batches, rows, features)."""


@pytest.mark.parametrize("under", UNDER)
@pytest.mark.parametrize("name", UPDATED)
def test_statistics_that_a_transform_keeps_from_moving_are_named_before_any_does(name, under, rng):
    norm, x = UPDATED[name](), torch.randn(3, 5, 4, generator=rng)
    if under in ("grad", "jvp"):
        x = x[0]
    before = {k: v.clone() for k, v in norm.named_buffers()}
    run = UNDER[under](norm)
    if (name, under) == ("spectral", "vmap"):  # its vectors follow the weight, which has no batches
        assert run(x).shape == x.shape
    else:
        with pytest.raises(
            RuntimeError, match=r"running_\w+ (of one module cannot follow|cannot be updated under) .*; exp"
        ):
            run(x)
        assert all(torch.equal(v, before[k]) for k, v in norm.named_buffers())
    set_mode(norm, "batch")
    assert run(x).shape == x.shape


@pytest.mark.parametrize("name", UPDATED)
def test_statistics_that_a_derivative_was_given_move(name, rng):
    norm, x = UPDATED[name](), torch.randn(5, 4, generator=rng)

    def loss(x: torch.Tensor, buffers: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return functional_call(norm, buffers, x).sum(), buffers

    before = {k: v.clone() for k, v in norm.named_buffers()}
    _, moved = grad(loss, has_aux=True)(x, {k: v.clone() for k, v in before.items()})
    torch.testing.assert_close(dict(norm.named_buffers()), before)
    norm(x)
    torch.testing.assert_close(moved, dict(norm.named_buffers()))
