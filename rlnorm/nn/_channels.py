"""Batch and instance norms: the constructor, the state dict and the statistics of torch's."""

from abc import abstractmethod
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from rlnorm.nn import _require as require
from rlnorm.nn._averages import unbiased
from rlnorm.nn.running import RunningNorm, Statistics


class ChannelNorm(RunningNorm):
    """Base of norms whose constructor and state dict are torch's; `guard` is beyond torch's."""

    _version = 2
    STATISTICS = MappingProxyType({"running_mean": 0.0, "running_var": 1.0})
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

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
        super().__init__(
            num_features, momentum, device, dtype,
            weight=affine, bias=affine and bias, guard=guard, track=track_running_stats,
        )  # fmt: skip
        # As torch: batch normalization refuses an eps of 0, instance normalization takes it.
        self.eps = require.epsilon(eps, type(self).__name__, zero=self.per_sample)
        self.affine = affine

    @staticmethod
    @abstractmethod
    def standardize(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        """x (N, C, ...) -> y of the same shape; the batch's mean and biased variance, (C,) each, without gradient."""

    @abstractmethod
    def values_per_statistic(self, x: Tensor) -> int:
        """How many values one mean is taken over."""

    def normalize_with_batch(self, x: Tensor) -> tuple[Tensor, Statistics]:
        """x (N, C, ...) -> y of the same shape, and the batch's mean and unbiased variance."""
        y, mean, var = self.standardize(x, self.weight, self.bias, self.eps)
        return y, {"running_mean": mean, "running_var": unbiased(var, self.values_per_statistic(x))}

    def batch_statistics(self, x: Tensor) -> Statistics:
        """The batch's mean and unbiased variance."""
        _, mean, var = self.standardize(x, None, None, self.eps)
        return {"running_mean": mean, "running_var": unbiased(var, self.values_per_statistic(x))}

    def inference_factors(self, running: Statistics) -> tuple[Tensor, Tensor]:
        """The mean, and (var + eps)^(-1/2)."""
        return running["running_mean"], (running["running_var"] + self.eps).rsqrt()

    def extra_repr(self) -> str:
        """The constructor's arguments."""
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
