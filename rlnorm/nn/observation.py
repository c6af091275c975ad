r"""Observations standardized with running mean and variance, and clipped.

    y = clip((x - M) / sqrt(V + eps), -clip, clip)

M and V are mean and (biased) variance of all observations so far, kept exactly by merging a batch of n with mean m and
variance v into count c:

    delta = m - M,  total = c + n
    M <- M + delta n / total
    V <- (c V + n v + delta^2 c n / total) / total

In the modes `train` and `track` observations enter the statistics, which then normalize them; in `batch` and `eval`
they do not. The batch's own statistics never normalize.

Backward. M and V are constants: dx = g (V + eps)^(-1/2) where y is inside the clip, 0 beyond it.

Source: Chan, Golub & LeVeque 1979, STAN-CS-79-773 (the mean and variance of two samples together); as in OpenAI
baselines' RunningMeanStd and stable-baselines3's VecNormalize, which start from a count of 1e-4 and so does this.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rlnorm.nn import _require as require
from rlnorm.nn._channels import before_update, finite
from rlnorm.nn.modes import Moded


class ObservationNorm(Moded):
    """Running standardization of observations (..., *shape), clipped to [-clip, clip]; no parameters.

    With `guard`, as in `BatchNorm1d`, observations whose statistics are not finite leave the running ones as they are.
    """

    def __init__(self, shape: int | Sequence[int], clip: float = 10.0, eps: float = 1e-8, *, guard: bool = False):
        super().__init__()
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.eps = require.epsilon(eps, "ObservationNorm")
        if not clip > 0:
            raise ValueError(f"ObservationNorm: clip must be > 0, but got {clip}")
        self.clip, self.guard = clip, guard
        self.running_mean: Tensor
        self.running_var: Tensor
        self.running_count: Tensor
        self.register_buffer("running_mean", torch.zeros(self.shape))
        self.register_buffer("running_var", torch.ones(self.shape))
        # Shape (1,), as in `rlnorm.nn.batch_renorm`.
        self.register_buffer("running_count", torch.full((1,), 1e-4))
        if guard:
            self.skipped_batches: Tensor
            self.register_buffer("skipped_batches", torch.zeros((), dtype=torch.long), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., *shape) -> same shape."""
        require.trailing(x, self.shape, "ObservationNorm")
        require.alike(x, self.running_mean, "ObservationNorm", "running_mean")
        mean, var = self.running_mean, self.running_var
        if self.updates_running and x.numel():
            mean, var = self._update(x.detach())
        return ((x - mean) * (var + self.eps).rsqrt()).clamp(-self.clip, self.clip)

    @torch.no_grad()
    def _update(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x.reshape(-1, *self.shape)
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
        """What the constructor was given."""
        return f"{self.shape}, clip={self.clip}, eps={self.eps}"
