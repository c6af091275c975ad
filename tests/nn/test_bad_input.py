"""Bad input: the error says what was got and what was expected, and no state has changed."""

from collections import OrderedDict
from math import inf, nan

import pytest
import torch
from torch import nn

import rlnorm.nn
from rlnorm.nn import (
    NORMS,
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm1d,
    LayerNorm,
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
    with pytest.raises(RuntimeError, match="expected running_var to be given in evaluation mode, got None"):
        functional.batch_norm(torch.zeros(2, 3), torch.zeros(3), None)
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
