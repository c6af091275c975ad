"""What norms with statistics per channel share: constructor, state dict and refusals of torch's, running statistics."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from rlnorm.nn import _require as require
from rlnorm.nn._standardize import along, multiply_add, scale_shift, working
from rlnorm.nn.modes import Moded


def normalize_with_running(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """x (N, C, ...) -> y of the same shape.

    Without gradients one multiply-add; with them the mean is taken off first, so that gamma's gradient sums centred
    values and does not cancel.
    """
    work, axis = working(x), 1 - x.ndim
    mean, var = mean.to(work.dtype), var.to(work.dtype)
    if not torch.is_grad_enabled():
        scale, shift = inference_terms(mean, (var + eps).rsqrt(), weight, bias)
        return multiply_add(work, scale, shift, axis).to(x.dtype)
    r = (var + eps).rsqrt()
    scale = r if weight is None else r * weight.to(work.dtype)
    return scale_shift(work - along(mean, axis), scale, bias, axis).to(x.dtype)


def inference_terms(mean: Tensor, r: Tensor, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """(C,) each -> a = gamma r and c = beta - a mean, with which gamma (x - mean) r + beta = a x + c."""
    scale = r if weight is None else r * weight.to(r.dtype)
    return scale, torch.addcmul(torch.zeros_like(mean) if bias is None else bias.to(r.dtype), scale, mean, value=-1)


def update_running(running: Tensor, new: Tensor, share: float | Tensor) -> None:
    """running <- (1 - share) running + share new, both (C,), in place; `share` a number or a tensor of one element.

    No gradient may flow into `new`. Without `lerp_`, which `torch.vmap` cannot batch.
    """
    running.mul_(1 - share)
    running.add_(new * share) if isinstance(share, Tensor) else running.add_(new, alpha=share)


def before_update(running: Tensor) -> Tensor:
    """A copy of a statistic, for a pass that uses it and then updates it in place.

    A compiled backward pass recomputes cheap values, a copy among them, from the buffers it was given, by then updated:
    gradients would be silently wrong. It does not recompute a flip.
    """
    return running.flip(0).flip(0) if torch.compiler.is_compiling() else running.clone()


def finite(*statistics: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Whether all (C,) are finite, as one bool tensor, and all, or zeros in their place."""
    seen = torch.stack([s.isfinite().all() for s in statistics]).all()
    return seen, tuple(torch.where(seen, s, 0) for s in statistics)


def unbiased(var: Tensor, n: int) -> Tensor:
    """The variance over n values, divided by n, as one divided by n-1."""
    return var * (n / (n - 1))


def channel_axes(ndim: int) -> tuple[int, ...]:
    """All axes but the channel's (the second), counted from the end."""
    return tuple(axis for axis in range(-ndim, 0) if axis != 1 - ndim)


class Averaging(Moded):
    """A norm with parameters per channel that averages statistics: what all of them take and do.

    momentum   share of the new in the running statistics; None is the cumulative average
    guard      a batch whose statistics are not finite leaves the running ones as they are and is counted in
               `skipped_batches` (not part of the state dict); without, as in torch, one such batch poisons them
    """

    ranks: tuple[int, ...]
    skipped_batches: Tensor

    def __init__(
        self,
        num_features: int,
        momentum: float | None,
        affine: bool,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool,
        guard: bool,
    ):
        super().__init__()
        require.width(num_features, type(self).__name__)
        require.share(momentum, type(self).__name__)
        self.num_features, self.momentum, self.guard = num_features, momentum, guard
        ones = torch.ones(num_features, device=device, dtype=dtype)
        self.weight = nn.Parameter(ones) if affine else None
        self.bias = nn.Parameter(torch.zeros_like(ones)) if bias else None
        if guard:
            self.register_buffer("skipped_batches", torch.zeros((), dtype=torch.long, device=device), persistent=False)

    def average(self, count: Tensor, **new: Tensor) -> None:
        """Count a batch, and let its statistics, (C,) each, enter the running ones of that name in place.

        Without gradient: they are detached. Under `no_grad` a compiled call would set every buffer's version anew.
        """
        require.own_batch(self, **new)
        seen: int | Tensor = 1
        # As the buffers will hold them: what is finite in float32 may not be in float16.
        values = [value.detach().to(getattr(self, name).dtype) for name, value in new.items()]
        if self.guard:
            seen, values = finite(*values)
            self.skipped_batches.add_(~seen)
        count.add_(seen)
        for name, value in zip(new, values, strict=True):
            share = self.momentum if self.momentum is not None else 1 / count.clamp(min=1).to(value.dtype)
            update_running(getattr(self, name), value, share * seen)


class ChannelNorm(Averaging):
    """Base of norms whose constructor and state dict are torch's; `guard` is beyond torch's."""

    _version = 2

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
        guard: bool = False,
    ):
        super().__init__(num_features, momentum, affine, device, dtype, bias=affine and bias, guard=guard)
        self.eps = require.epsilon(eps, type(self).__name__, zero=False)
        self.affine, self.track_running_stats = affine, track_running_stats
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        zeros = torch.zeros(num_features, device=device, dtype=dtype)
        counter = torch.zeros((), dtype=torch.long, device=device)
        self.register_buffer("running_mean", zeros if track_running_stats else None)
        self.register_buffer("running_var", torch.ones_like(zeros) if track_running_stats else None)
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

    @staticmethod
    @abstractmethod
    def normalize_with_own(
        x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (N, C, ...) -> y of the same shape; the batch's mean and biased variance, (C,) each, without gradient."""

    @abstractmethod
    def values_per_statistic(self, x: Tensor) -> int:
        """How many values one mean is taken over."""

    @abstractmethod
    def require_several(self, x: Tensor) -> None:
        """Refuse statistics of a single value."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) -> same shape. Without running statistics every mode normalizes with the batch's own."""
        self.check_input(x)
        mean, var = self.running_mean, self.running_var
        updates = self.updates_running and mean is not None
        if self.uses_batch or mean is None or var is None:
            self.require_several(x)
            y, *own = self.normalize_with_own(x, self.weight, self.bias, self.eps)
        elif updates:
            self.require_several(x)
            mean, var = before_update(mean), before_update(var)
            y = normalize_with_running(x, mean, var, self.weight, self.bias, self.eps)
            _, *own = self.normalize_with_own(x.detach(), None, None, self.eps)
        else:
            return normalize_with_running(x, mean, var, self.weight, self.bias, self.eps)
        if updates and x.numel():
            self.update(own[0], unbiased(own[1], self.values_per_statistic(x)))
        return y

    def update(self, mean: Tensor, var: Tensor) -> None:
        """Let a batch's mean and (unbiased) variance, (C,) each, enter the running statistics in place."""
        if self.num_batches_tracked is not None:
            self.average(self.num_batches_tracked, running_mean=mean, running_var=var)

    def check_input(self, x: Tensor) -> None:
        """Refuse a wrong rank, width, dtype or device, before any state changes."""
        require.mapped(
            x,
            self.ranks,
            self.num_features,
            type(self).__name__,
            weight=self.weight,
            bias=self.bias,
            running_mean=self.running_mean,
            running_var=self.running_var,
        )

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
