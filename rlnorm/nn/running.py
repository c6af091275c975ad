r"""Running statistics: the base of every norm that averages statistics in training and normalizes with them later.

    running <- (1 - m) running + m new        m: `momentum`, or 1 / (number of batches so far) where that is None

With running statistics a norm is one multiply-add per channel, where c is subtracted and r multiplies:

    y = gamma (x - c) r + beta = a x + b,    a = gamma r,    b = beta - a c

A norm of one's own derives from `RunningNorm`. It states its statistics and how they normalize, and `update_bn`,
`set_mode`, `fold`, `convert`, the probes and the laws know it:

    class MeanSquareNorm(RunningNorm):
        STATISTICS = {"running_ms": 1.0}
        ranks = (2,)

        def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1):
            super().__init__(num_features, momentum, weight=True, bias=False)
            self.eps = eps

        def normalize_with_batch(self, x):
            ms = x.square().mean(0)
            return self.weight * x * (ms + self.eps).rsqrt(), {"running_ms": ms}

        def inference_factors(self, running):
            return None, (running["running_ms"] + self.eps).rsqrt()
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from rlnorm.nn import _require as require
from rlnorm.nn import _torch
from rlnorm.nn._affine import AffineNorm, to_compute_dtype
from rlnorm.nn._averages import before_update, finite, normalize_with_running, update_running
from rlnorm.nn.modes import Moded

Statistics = dict[str, Tensor]
"""Name of a buffer -> a statistic (C,)."""


class RunningNorm(AffineNorm, Moded, ABC):
    """A norm of (N, C, ...) with parameters and running statistics per channel.

    momentum   weight of the new batch in the running statistics; None is the cumulative average
    guard      a batch whose statistics are not finite leaves the running ones as they are and is counted in
               `skipped_batches` (not part of the state dict); without, as in torch, one such batch poisons them
    track      whether there are running statistics; without, every mode normalizes with the batch's own

    Attributes are read at each call, as in torch: `track_running_stats = False` stops the updates, a counter that is
    None is not counted, and statistics that are None are not used.
    """

    STATISTICS: ClassVar[Mapping[str, float]]
    """Name of each running statistic -> its start value. Names begin with `running_`, so that they reach a target."""
    COUNTER: ClassVar[str] = "num_batches_tracked"
    """The buffer that counts the batches."""
    schedules: ClassVar[bool] = False
    """Whether the counter also times a schedule, which statistics that are estimated anew do not turn back."""
    per_sample: ClassVar[bool] = False
    """Whether each sample has statistics of its own, of which the running ones are averages over the batch."""
    ranks: ClassVar[tuple[int, ...]]
    """The numbers of axes that an input may have."""

    skipped_batches: Tensor

    def __init__(
        self,
        num_features: int,
        momentum: float | None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        weight: bool,
        bias: bool,
        guard: bool = False,
        track: bool = True,
    ):
        name = type(self).__name__
        num_features = require.width(num_features, name)
        require.momentum(momentum, name)
        super().__init__(num_features, weight=weight, bias=bias, device=device, dtype=dtype)
        self.num_features, self.momentum, self.guard, self.track_running_stats = num_features, momentum, guard, track
        for statistic, start in self.STATISTICS.items():
            full = torch.full((num_features,), start, device=device, dtype=dtype or torch.get_default_dtype())
            self.register_buffer(statistic, full if track else None)
        self.register_buffer(self.COUNTER, self.first_count(device, dtype) if track else None)
        if guard:
            self.register_buffer("skipped_batches", torch.zeros((), dtype=torch.long, device=device), persistent=False)

    @staticmethod
    def first_count(device: torch.device | str | None, dtype: torch.dtype | None) -> Tensor:
        """The counter before the first batch."""
        return torch.zeros((), dtype=torch.long, device=device)

    @abstractmethod
    def normalize_with_batch(self, x: Tensor) -> tuple[Tensor, Statistics]:
        """x (N, C, ...) -> y of the same shape, and the batch's statistics by name, (C,) each."""

    @abstractmethod
    def inference_factors(self, running: Statistics) -> tuple[Tensor | None, Tensor | None]:
        """Running statistics by name -> c, subtracted from x, and r, which multiplies that, (C,); None: left out."""

    def batch_statistics(self, x: Tensor) -> Statistics:
        """x (N, C, ...) -> its statistics, as `normalize_with_batch` returns them."""
        return self.normalize_with_batch(x)[1]

    def moments(self, running: Statistics) -> tuple[Tensor | None, Tensor | None]:
        """Statistics by name -> the mean and variance per channel that they stand for; None: not kept."""
        return running.get("running_mean"), running.get("running_var")

    def require_several(self, x: Tensor) -> None:
        """Refuse statistics of a single value."""
        require.several_values(x, x.shape[0] * x.shape[2:].numel(), type(self).__name__)

    @property
    def statistics(self) -> Statistics:
        """The running statistics by name; empty where they are None."""
        return {name: value for name in self.STATISTICS if (value := getattr(self, name)) is not None}

    @property
    def counter(self) -> Tensor | None:
        """The number of batches so far; None where it is not counted."""
        return getattr(self, self.COUNTER)

    @property
    def moves(self) -> bool:
        """Whether a pass counts a batch and changes the running statistics, as far as there are any."""
        return self.updates_running and self.track_running_stats

    def uses_own(self, kept: Statistics) -> bool:
        """Whether a pass normalizes with the batch's own statistics: by its mode, or because none are kept."""
        return self.uses_batch or not kept

    def forward(self, input: Tensor) -> Tensor:
        """input (N, C, ...) -> same shape."""
        kept = self.statistics
        self.check_input(input, kept)
        x, own, moves = to_compute_dtype(input), self.uses_own(kept), self.moves
        if own or moves:
            self.require_several(input)
        # No samples have no statistics: they pass as at inference, and count as no batch.
        empty = _torch.is_empty(input)
        if own and not (empty and kept):
            y, new = self.normalize_with_batch(x)
        else:
            running = {name: (before_update(s) if moves else s).to(x.dtype) for name, s in kept.items()}
            y = normalize_with_running(x, *self.inference_factors(running), self.weight, self.bias)
            new = self.batch_statistics(x.detach()) if moves and not empty else {}
        if moves and not empty:
            self.average(**new)
        return y.to(input.dtype)

    def average(self, **new: Tensor) -> None:
        """Count a batch, and let its statistics, (C,) each, enter the running ones of that name in place.

        Without gradient: they are detached. Under `no_grad` a compiled call would set every buffer's version anew.
        """
        require.updatable(self, **new)
        seen: int | Tensor = 1
        kept = self.statistics
        # As the buffers will hold them: a value that is finite in float32 may not be in float16.
        values = [new[name].detach().to(running.dtype) for name, running in kept.items()]
        if self.guard and kept:
            seen, values = finite(*values)
            self.skipped_batches.add_(~seen)
        count = self.counter
        if count is not None:
            count.add_(seen)
        for running, value in zip(kept.values(), values, strict=True):
            momentum = self.momentum
            if momentum is None:
                # Without a counter there is no cumulative average, and statistics stand still, as in torch.
                momentum = 0.0 if count is None else 1 / count.clamp(min=1).to(value.dtype)
            update_running(running, value, momentum * seen)

    @torch.no_grad()
    def reset_running_stats(self) -> None:
        """Forget: statistics at their start values, no batch seen."""
        for name, value in self.statistics.items():
            value.fill_(self.STATISTICS[name])
        if self.counter is not None:
            self.counter.zero_()

    def reset_parameters(self) -> None:
        """Forget the statistics; gamma = 1, beta = 0."""
        self.reset_running_stats()
        super().reset_parameters()

    def check_input(self, x: Tensor, kept: Statistics) -> None:
        """Refuse a wrong rank, width, dtype or device, before any state changes."""
        name = type(self).__name__
        if kept and len(kept) < len(self.STATISTICS):
            require.all_or_none({key: kept.get(key) for key in self.STATISTICS}, name)
        require.mapped(x, self.ranks, self.num_features, name, weight=self.weight, bias=self.bias, **kept)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return f"{self.num_features}, momentum={self.momentum}, bias={self.bias is not None}"
