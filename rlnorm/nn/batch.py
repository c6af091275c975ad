r"""Batch normalization: each channel standardized over the batch (and over pixels), then scaled and shifted.

    y = gamma xhat + beta,    xhat = (x - mu) (var + eps)^(-1/2),    mu, var over all axes but the channel's

Training keeps running statistics, with m the share of the new batch and n the number of values per channel:

    running_mean <- (1-m) running_mean + m mu
    running_var  <- (1-m) running_var  + m var n/(n-1)

The variance that normalizes is biased (1/n), the one that enters the running variance is unbiased (1/(n-1)), as in the
paper's algorithm 2. `momentum=None` is the cumulative average, m = 1 / (number of batches so far).

Backward, normalizing with the batch. With g = dL/dy and sums over the batch and pixels: dL/dgamma = sum g xhat,
dL/dbeta = sum g, dL/dxhat = gamma g =: g', and dL/dx from g' by `rlnorm.nn._standardize` with axes = all but the
channel's: dx = r (g' - <g'> - xhat <g' xhat>).

Backward, normalizing with running statistics. These are constants: dx = gamma (running_var + eps)^(-1/2) g, and torch
derives that from the one line that computes it.

Source: Ioffe & Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2, sec. 3.2 for images.
"""

from typing import Any

import torch
from torch import Tensor, nn

from rlnorm.nn import _require as require
from rlnorm.nn._standardize import along, scale_shift, standardize, working
from rlnorm.nn.modes import Moded
from rlnorm.nn.norm import Norm


def normalize_with_batch(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """x (N, C, ...) -> y of the same shape, and the batch's mean and biased variance, (C,) each, without gradient."""
    xhat, mu, var = standardize(working(x), channel_axes(x.ndim), eps)
    return scale_shift(xhat, weight, bias, 1 - x.ndim).to(x.dtype), mu.detach().flatten(), var.detach().flatten()


def normalize_with_running(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """x (N, C, ...) -> y of the same shape. The mean is taken off first: a x + b would cancel where it is large."""
    work, axis = working(x), 1 - x.ndim
    r = (var.to(work.dtype) + eps).rsqrt()
    scale = r if weight is None else r * weight.to(work.dtype)
    return scale_shift(work - along(mean.to(work.dtype), axis), scale, bias, axis).to(x.dtype)


@torch.no_grad()
def update_running(
    running_mean: Tensor, running_var: Tensor, mu: Tensor, var: Tensor, n: int, share: float | Tensor
) -> None:
    """Let a batch of n > 1 values per channel, with mean `mu` and biased variance `var`, enter the statistics in place.

    All (C,); `share` of the new, a number or a tensor of one element. In place and without `lerp_`, which
    `torch.vmap` cannot batch.
    """
    running_mean.mul_(1 - share).add_((mu * share).to(running_mean.dtype))
    running_var.mul_(1 - share).add_((var * (n / (n - 1)) * share).to(running_var.dtype))


def before_update(running: Tensor) -> Tensor:
    """The values of a statistic, for a pass that uses them and then updates them in place.

    A compiled backward pass recomputes cheap values from the buffers it was given, by then updated: gradients would be
    silently wrong. It does not recompute a flip.
    """
    return running.flip(-1).flip(-1) if torch.compiler.is_compiling() else running


def channel_axes(ndim: int) -> tuple[int, ...]:
    """All axes but the channel's (the second), counted from the end."""
    return tuple(axis for axis in range(-ndim, 0) if axis != 1 - ndim)


class BatchNorm(Moded):
    """What the batch norms of any number of spatial dimensions share. Constructor and state dict are torch's."""

    _version = 2
    ranks: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        name = type(self).__name__
        require.width(num_features, name)
        require.epsilon(eps, name, zero=False)
        require.share(momentum, name)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        ones = torch.ones(num_features, device=device, dtype=dtype)
        self.weight = nn.Parameter(ones) if affine else None
        self.bias = nn.Parameter(torch.zeros_like(ones)) if affine and bias else None
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        counter = torch.zeros((), dtype=torch.long, device=device)
        self.register_buffer("running_mean", torch.zeros_like(ones) if track_running_stats else None)
        self.register_buffer("running_var", torch.ones_like(ones) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", counter if track_running_stats else None)

    def reset_running_stats(self) -> None:
        """Forget: running mean 0, running variance 1, no batch seen."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget the statistics; gamma = 1, beta = 0."""
        self.reset_running_stats()
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) -> same shape. Without running statistics every mode normalizes with the batch's."""
        self.check_input(x)
        mean, var = self.running_mean, self.running_var
        if mean is None or var is None:
            self._check_several(x)
            return normalize_with_batch(x, self.weight, self.bias, self.eps)[0]
        if self.uses_batch:
            self._check_several(x)
            y, mu, batch_var = normalize_with_batch(x, self.weight, self.bias, self.eps)
            if self.updates_running:
                self.update(x, mu, batch_var)
            return y
        if self.updates_running:
            self._check_several(x)
            mean, var = before_update(mean), before_update(var)
        y = normalize_with_running(x, mean, var, self.weight, self.bias, self.eps)
        if self.updates_running:
            _, mu, batch_var = normalize_with_batch(x.detach(), None, None, self.eps)
            self.update(x, mu, batch_var)
        return y

    def update(self, x: Tensor, mu: Tensor, var: Tensor) -> None:
        """Let the batch x with mean and biased variance (C,) enter the running statistics; an empty one does not."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        if x.numel():
            share = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked.to(mu.dtype)
            update_running(self.running_mean, self.running_var, mu, var, x.numel() // self.num_features, share)

    def check_input(self, x: Tensor) -> None:
        """Refuse a wrong rank, width, dtype or device, before any state changes."""
        name = type(self).__name__
        require.rank(x, self.ranks, name)
        require.floating(x, name)
        if x.shape[1] != self.num_features:
            raise RuntimeError(
                f"{name}: expected {self.num_features} channels (axis 1), got {x.shape[1]} in {tuple(x.shape)}"
            )
        for what, vector in (("weight", self.weight), ("running_mean", self.running_mean)):
            if vector is not None:
                require.alike(x, vector, name, what)

    def _check_several(self, x: Tensor) -> None:
        require.several_values(x, x.shape[0] * x.shape[2:].numel(), type(self).__name__)

    def extra_repr(self) -> str:
        """What the constructor was given."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # Version 1 of torch's state dicts had no counter.
        version = local_metadata.get("version")
        if (version is None or version < 2) and self.num_batches_tracked is not None:
            counter = self.num_batches_tracked
            known = torch.zeros((), dtype=torch.long) if counter.is_meta else counter
            state_dict.setdefault(f"{prefix}num_batches_tracked", known)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class BatchNorm1d(BatchNorm):
    """Batch normalization of (N, C) or (N, C, L)."""

    ranks = (2, 3)


NORM = Norm(
    "batch",
    {0: BatchNorm1d, 1: BatchNorm1d},
    invariant_to=frozenset({"channel shift", "channel scale"}),
    couples_batch=True,
    reference={0: nn.BatchNorm1d, 1: nn.BatchNorm1d},
    source="Ioffe & Szegedy 2015, arXiv:1502.03167",
)
