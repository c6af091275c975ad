"""Normalization as functions of tensors, with the signatures of `torch.nn.functional`."""

from torch import Tensor

from rlnorm.nn import _require as require
from rlnorm.nn._affine import to_compute_dtype
from rlnorm.nn._averages import normalize_with_running, unbiased, update_running
from rlnorm.nn.batch import standardize_batch
from rlnorm.nn.dropout import alpha_dropout, dropout
from rlnorm.nn.group import group_norm
from rlnorm.nn.instance import several_pixels, standardize_instance
from rlnorm.nn.layer import layer_norm
from rlnorm.nn.rms import rms_norm
from rlnorm.nn.selu import selu

__all__ = [
    "alpha_dropout",
    "batch_norm",
    "dropout",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "rms_norm",
    "selu",
]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalization of (N, C, ...); running statistics (C,) are updated in place if `training`.

    Raises ValueError for an eps that is not positive, one value per channel in training and one statistic without the
    other, RuntimeError for widths, dtypes and devices that do not fit, and for statistics missing where needed.
    Source: `rlnorm.nn.batch`.
    """
    eps = require.epsilon(eps, "batch_norm", zero=False)
    require.floating(input, "batch_norm")
    if input.ndim < 2:
        raise RuntimeError(f"batch_norm expected input of shape (N, C, ...), got {tuple(input.shape)}")
    statistics = {"running_mean": running_mean, "running_var": running_var}
    require.vectors(input, input.shape[1], "batch_norm", **statistics, weight=weight, bias=bias)
    require.all_or_none(statistics, "batch_norm")
    x = to_compute_dtype(input)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm expected running_mean and running_var in evaluation mode, got None")
        return _with_running(x, running_mean, running_var, weight, bias, eps).to(input.dtype)
    n = input.shape[0] * input.shape[2:].numel()
    require.several_values(input, n, "batch_norm")
    y, mean, var = standardize_batch(x, weight, bias, eps)
    if running_mean is not None and running_var is not None and n:
        update_running(running_mean, mean, momentum)
        update_running(running_var, unbiased(var, n), momentum)
    return y.to(input.dtype)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Instance normalization of (N, C, ...); running statistics (C,) are updated in place where input stats are used.

    Raises ValueError for a negative eps, a single pixel and one statistic without the other, RuntimeError
    for widths, dtypes and devices that do not fit, and for statistics missing where needed. Source:
    `rlnorm.nn.instance`.
    """
    eps = require.epsilon(eps, "instance_norm")
    require.floating(input, "instance_norm")
    if input.ndim < 3:
        raise ValueError(f"instance_norm expected input of shape (N, C, pixels, ...), got {tuple(input.shape)}")
    statistics = {"running_mean": running_mean, "running_var": running_var}
    require.vectors(input, input.shape[1], "instance_norm", **statistics, weight=weight, bias=bias)
    require.all_or_none(statistics, "instance_norm")
    x = to_compute_dtype(input)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError("instance_norm expected running_mean and running_var without input stats, got None")
        return _with_running(x, running_mean, running_var, weight, bias, eps).to(input.dtype)
    several_pixels(input, "instance_norm")
    y, mean, var = standardize_instance(x, weight, bias, eps)
    if running_mean is not None and running_var is not None and input.numel():
        update_running(running_mean, mean, momentum)
        update_running(running_var, unbiased(var, input.shape[2:].numel()), momentum)
    return y.to(input.dtype)


def _with_running(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    mean, r = mean.to(x.dtype), (var.to(x.dtype) + eps).rsqrt()
    return normalize_with_running(x, mean, r, weight, bias)
