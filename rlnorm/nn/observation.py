r"""Observations standardized with running mean and variance, and clipped.

    y = clip((x - M) / sqrt(V + eps), -clip, clip)

M and V are mean and (biased) variance of all observations so far, kept exactly by merging a batch of n with mean m and
variance v into count c:

    delta = m - M,  total = c + n
    M <- M + delta n / total
    V <- (c V + n v + delta^2 c n / total) / total

In the modes `train` and `track` observations enter the statistics, which then normalize them; in `batch` and `eval`
they do not. The batch's own statistics never normalize.

They are float64, whatever the inputs are: after many observations one of them moves M by less than the rounding of a
float32, and a float32 counts to 2^24 and no further.

Backward. M and V are constants: dx = g (V + eps)^(-1/2) where y is inside the clip, 0 beyond it.

Source: Chan, Golub & LeVeque 1979, STAN-CS-79-773 (the mean and variance of two samples together); as in OpenAI
baselines' RunningMeanStd and stable-baselines3's VecNormalize, which start from a count of 1e-4 and so does this.
"""

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor

from rlnorm.nn import _require as require
from rlnorm.nn._averages import before_update, finite
from rlnorm.nn.modes import Moded


class ObservationNorm(Moded):
    """Running standardization of observations (..., *shape), clipped to [-clip, clip]; no parameters.

    With `guard`, as in `BatchNorm1d`, observations whose statistics are not finite leave the running ones as they are.
    """

    def __init__(self, shape: int | Sequence[int], clip: float = 10.0, eps: float = 1e-8, *, guard: bool = False):
        super().__init__()
        self.shape = require.shape(shape, "ObservationNorm")
        self.eps = require.epsilon(eps, "ObservationNorm")
        if not clip > 0:
            raise ValueError(f"ObservationNorm: clip must be > 0, but got {clip}")
        self.clip, self.guard = clip, guard
        self.running_mean: Tensor
        self.running_var: Tensor
        self.running_count: Tensor
        self.register_buffer("running_mean", torch.zeros(self.shape, dtype=torch.float64))
        self.register_buffer("running_var", torch.ones(self.shape, dtype=torch.float64))
        # Shape (1,), as in `rlnorm.nn.batch_renorm`.
        self.register_buffer("running_count", torch.full((1,), 1e-4, dtype=torch.float64))
        if guard:
            self.skipped_batches: Tensor
            self.register_buffer("skipped_batches", torch.zeros((), dtype=torch.long), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Statistics follow to another device, not to another precision.
        statistics = [(name, buffer) for name, buffer in self.named_buffers() if name.startswith("running_")]
        super()._apply(fn, recurse)
        for name, before in statistics:
            after = self.get_buffer(name)
            if after.dtype != before.dtype:
                setattr(self, name, before.to(after.device))
        return self

    def forward(self, input: Tensor) -> Tensor:
        """input (..., *shape) -> same shape and dtype."""
        require.trailing(input, self.shape, "ObservationNorm")
        require.same_device(input, self.running_mean, "ObservationNorm", "running_mean")
        mean, var = self.running_mean, self.running_var
        x = input.to(mean.dtype)
        if self.updates_running and input.numel():
            mean, var = self._update(x.detach())
        return ((x - mean) * (var + self.eps).rsqrt()).clamp(-self.clip, self.clip).to(input.dtype)

    @torch.no_grad()
    def _update(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x.reshape(-1, *self.shape)
        require.updatable(self, running_mean=rows)
        n: int | Tensor = rows.shape[0]
        m = rows.mean(0)
        v = (rows - m).square().mean(0)
        seen: Tensor | None = None
        if self.guard:
            seen, (m, v) = finite(m, v)
            n = n * seen
            self.skipped_batches.add_(~seen)
        count = before_update(self.running_count)
        delta = m - self.running_mean
        total = count + n
        mean = self.running_mean + delta * (n / total)
        var = (self.running_var * count + v * n + delta.square() * (count * n / total)) / total
        if seen is not None:
            mean, var = torch.where(seen, mean, self.running_mean), torch.where(seen, var, self.running_var)
        self.running_mean.copy_(mean)
        self.running_var.copy_(var)
        self.running_count.add_(n)
        return mean, var

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.shape}, clip={self.clip}, eps={self.eps}"
