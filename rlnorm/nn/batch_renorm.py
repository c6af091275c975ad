r"""Batch renormalization: batch normalization corrected towards the running statistics, which inference uses.

With the batch's mu and sigma = (var + eps)^(1/2), and the running mean M and running sigma S from before this batch:

    y = gamma (xhat r + d) + beta,    xhat = (x - mu) / sigma
    r = clip(sigma / S, 1/r_max, r_max),    d = clip((mu - M) / S, -d_max, d_max)        constants in the backward pass

Where nothing is clipped, xhat r + d = (x - mu)/S + (mu - M)/S = (x - M)/S: the training output is the inference output,
exactly, because sigma and S both contain eps. Implementations that average var and add eps to both sides once more miss
this by up to 0.16 at a variance of 1e-3.

Backward. With g = dL/dy and sums over the batch and pixels: dL/dgamma = sum g (xhat r + d), dL/dbeta = sum g,
dL/dxhat = gamma r g =: g', and dL/dx from g' by `rlnorm.nn._standardize` with axes = all but the channel's:
dx = (g' - <g'> - xhat <g' xhat>) / sigma. r and d depend on x, but no gradient goes through them, by the paper. During
warm-up (r = 1, d = 0) and where both are clipped they are constant, and dx is the derivative of the pass. Elsewhere it
is not: where neither is clipped y = gamma (x - M)/S + beta, whose derivative would give gamma g / S, row by row; but
r/sigma = 1/S, and dx = gamma (g - <g> - xhat <g xhat>) / S still loses its parts along 1 and xhat and couples the rows.

Schedule. With t the number of updates so far, r_max and d_max grow linearly from 1 and 0 (plain batch normalization) at
`warmup` to their values at `r_ramp_end` and `d_ramp_end`. S averages sigma, not sigma^2, and the biased one.

sb3-contrib's BatchRenorm1d (2.9), CrossQ's, differs. No ramps: after more than `warmup_steps` updates the bounds jump
from 1 and 0 to 3 and 5, which no argument changes. It averages over the first axis alone, so it is for (N, C). The
unbiased variance s^2 normalizes the batch and enters the running one, `ra_var`; r and d contain eps as here, and then
it comes in again: y = gamma (r (x - mu) + d s) / (s^2 + r^2 eps)^(1/2) + beta. stable-baselines3 hands a target the
buffers called `running_*` and averages parameters: a target's `ra_mean`, `ra_var` and `steps`, an integer, which could
not be averaged, stay as they were when it was made.

Source: Ioffe 2017, arXiv:1702.03275, algorithm 1 and sec. 4 (schedule); `CROSSQ`: Bhatt et al. 2024, arXiv:1902.05605.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from types import MappingProxyType
from typing import Any, Self

import torch
from torch import Tensor

from rlnorm.nn import _require as require
from rlnorm.nn._affine import scale_shift
from rlnorm.nn._averages import before_update, channel_axes
from rlnorm.nn._standardize_fast import standardize
from rlnorm.nn.norm import Norm
from rlnorm.nn.running import RunningNorm, Statistics

CROSSQ: Mapping[str, Any] = {
    "eps": 1e-3, "momentum": 0.01, "r_max": 3.0, "d_max": 5.0,
    "warmup": 100_000, "r_ramp_end": 100_000, "d_ramp_end": 100_000,
}  # fmt: skip
"""CrossQ's setting, for `BatchRenorm1d(width, **CROSSQ)`: plain batch normalization, then at once the full bounds."""


class BatchRenorm(RunningNorm):
    """Batch renormalization of any number of spatial dimensions; `momentum` and `guard` as in `RunningNorm`.

    warmup     updates with plain batch normalization, after which the bounds grow up to `r_ramp_end` and `d_ramp_end`
    """

    STATISTICS = MappingProxyType({"running_mean": 0.0, "running_std": 1.0})
    COUNTER = "running_updates"
    schedules = True
    running_mean: Tensor
    running_std: Tensor
    running_updates: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.01,
        affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        r_max: float = 3.0,
        d_max: float = 5.0,
        warmup: float = 5_000,
        r_ramp_end: float = 40_000,
        d_ramp_end: float = 25_000,
        guard: bool = False,
    ):
        super().__init__(num_features, momentum, device, dtype, weight=affine, bias=affine and bias, guard=guard)
        name = type(self).__name__
        self.eps = require.epsilon(eps, name, zero=False)
        if not (r_max >= 1 and d_max >= 0):
            raise ValueError(f"{name}: r_max must be >= 1 and d_max >= 0, but got {r_max} and {d_max}")
        if not 0 <= warmup <= min(r_ramp_end, d_ramp_end):
            raise ValueError(f"{name}: expected 0 <= warmup <= ramp ends, got {warmup}, {r_ramp_end}, {d_ramp_end}")
        self.r_max, self.d_max = r_max, d_max
        self.warmup, self.r_ramp_end, self.d_ramp_end = warmup, r_ramp_end, d_ramp_end

    @staticmethod
    def first_count(device: torch.device | str | None, dtype: torch.dtype | None) -> Tensor:
        """The number of updates before the first."""
        # The bounds depend on it, so it must reach a target network as the statistics do: a float named running_*. Of
        # shape (1,): torch.compile (2.13) drops updates of 0-dimensional float64 buffers.
        return torch.zeros(1, device=device, dtype=_counting(dtype or torch.get_default_dtype()))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # A bfloat16 counts to 256 and no further, and the schedule would stand still.
        before = self.running_updates
        super()._apply(fn, recurse)
        after = self.running_updates
        if after.dtype != _counting(after.dtype):
            self.running_updates = before.to(after.device, _counting(after.dtype))
        return self

    def bounds(self) -> tuple[Tensor, Tensor]:
        """r_max and d_max at the present number of updates, (1,) each."""
        since = self.running_updates - self.warmup
        r_fraction = _ramp(since, self.r_ramp_end - self.warmup)
        d_fraction = _ramp(since, self.d_ramp_end - self.warmup)
        # inf is a bound one may ask for: 0 times it must be 0.
        r_max = 1 + torch.where(r_fraction > 0, r_fraction * (self.r_max - 1), 0)
        return r_max, torch.where(d_fraction > 0, d_fraction * self.d_max, 0)

    def check_input(self, x: Tensor, kept: Statistics) -> None:
        """As of all norms with running statistics; the number of updates must fit too."""
        super().check_input(x, kept)
        require.alike(x, self.running_updates, type(self).__name__, "running_updates")

    def normalize_with_batch(self, x: Tensor) -> tuple[Tensor, Statistics]:
        """x (N, C, ...) -> y of the same shape, and the batch's mean and sigma."""
        # Copies, where this pass updates them afterwards.
        read = before_update if self.moves else Tensor.detach
        mean, std = (read(s).to(x.dtype) for s in (self.running_mean, self.running_std))
        xhat, mu, var = standardize(x, channel_axes(x.ndim), self.eps)
        mu, sigma = mu.detach().flatten(), (var.detach() + self.eps).sqrt().flatten()
        r_max, d_max = (bound.to(x.dtype) for bound in self.bounds())
        r = (sigma / std).clamp(1 / r_max, r_max)
        d = ((mu - mean) / std).clamp(-d_max, d_max)
        # gamma (xhat r + d) + beta in one pass over x.
        gamma, beta = (None if p is None else p.to(x.dtype) for p in (self.weight, self.bias))
        scale, shift = (r, d) if gamma is None else (r * gamma, d * gamma)
        y = scale_shift(xhat, scale, shift if beta is None else shift + beta, 1 - x.ndim)
        return y, {"running_mean": mu, "running_std": sigma}

    def batch_statistics(self, x: Tensor) -> Statistics:
        """The batch's mean and sigma."""
        _, mu, var = standardize(x, channel_axes(x.ndim), self.eps)
        return {"running_mean": mu.flatten(), "running_std": (var + self.eps).sqrt().flatten()}

    def inference_factors(self, running: Statistics) -> tuple[Tensor, Tensor]:
        """M and 1/S."""
        return running["running_mean"], 1 / running["running_std"]

    def moments(self, running: Statistics) -> tuple[Tensor, Tensor]:
        """M and S^2, which contains eps."""
        return running["running_mean"], running["running_std"].square()

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, r_max={self.r_max}, d_max={self.d_max}"


def _counting(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the number of updates beside state of `dtype`."""
    return torch.float32 if dtype.itemsize < 4 else dtype


def _ramp(since: Tensor, length: float) -> Tensor:
    """0 until `since` is 0, then linearly to 1 at `length`; a step where there is no length."""
    return (since / length).clamp(0, 1) if length else (since >= 0).to(since.dtype)


class BatchRenorm1d(BatchRenorm):
    """Batch renormalization of (N, C) or (N, C, L)."""

    ranks = (2, 3)


class BatchRenorm2d(BatchRenorm):
    """Batch renormalization of images (N, C, H, W)."""

    ranks = (4,)


class BatchRenorm3d(BatchRenorm):
    """Batch renormalization of volumes (N, C, D, H, W)."""

    ranks = (5,)


_MODULES = {0: BatchRenorm1d, 1: BatchRenorm1d, 2: BatchRenorm2d, 3: BatchRenorm3d}


def _after_warmup(name: str, r_max: float, d_max: float, **facts: Any) -> Norm:
    bounds = {"r_max": r_max, "d_max": d_max, "warmup": 0, "r_ramp_end": 0, "d_ramp_end": 0}
    return Norm(name, {k: partial(m, **bounds) for k, m in _MODULES.items()}, couples_batch=True, **facts)


# The facts are those of warm-up, which is plain batch normalization. Two regimes come after it.
NORM = Norm(
    "batch_renorm",
    _MODULES,
    invariant_to=frozenset({"channel shift", "channel scale"}),
    couples_batch=True,
    source="Ioffe 2017, arXiv:1702.03275",
    regimes=(
        _after_warmup("batch_renorm-open", inf, inf, constants_in=frozenset({"train", "batch"})),
        # So narrow that the laws' inputs have r and d at a bound: a scale leaves both there, a shift may turn d's sign.
        _after_warmup("batch_renorm-clipped", 1.01, 0.005, invariant_to=frozenset({"channel scale"})),
    ),
)
