"""Normalization as functions of tensors, with the signatures of `torch.nn.functional`."""

from torch import Tensor

from rlnorm.nn import _require as require
from rlnorm.nn.batch import normalize_with_batch, normalize_with_running, update_running
from rlnorm.nn.layer import layer_norm

__all__ = ["batch_norm", "layer_norm"]


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

    Raises ValueError for an eps that is not positive and for one value per channel in training, RuntimeError for
    widths, dtypes and devices that do not fit, and for statistics missing where needed. Source: `rlnorm.nn.batch`.
    """
    require.epsilon(eps, "batch_norm", zero=False)
    require.floating(input, "batch_norm")
    if input.ndim < 2:
        raise RuntimeError(f"batch_norm expected input of shape (N, C, ...), got {tuple(input.shape)}")
    statistics = {"running_mean": running_mean, "running_var": running_var}
    require.vectors(input, input.shape[1], "batch_norm", **statistics, weight=weight, bias=bias)
    if not training:
        if running_mean is None or running_var is None:
            missing = " and ".join(name for name, vector in statistics.items() if vector is None)
            raise RuntimeError(f"batch_norm expected {missing} to be given in evaluation mode, got None")
        return normalize_with_running(input, running_mean, running_var, weight, bias, eps)
    n = input.shape[0] * input.shape[2:].numel()
    require.several_values(input, n, "batch_norm")
    y, mu, var = normalize_with_batch(input, weight, bias, eps)
    if running_mean is not None and running_var is not None and n:
        update_running(running_mean, running_var, mu, var, n, momentum)
    return y
