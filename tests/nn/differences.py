"""Where we differ from torch on purpose: the one table, read by the tests that run torch's own cases.

Errors are of torch's class, in our own words, but for those listed.
"""

from collections.abc import Callable
from typing import Any

import torch

EARLIER = "a setting without a meaning is refused where it is given: by the constructor, not by the first pass"
NO_BATCH = "an empty batch is no batch: it is not counted, so that a cumulative average is not thinned by it"
COUNTED = "InstanceNorm counts its batches, and momentum=None is the cumulative average there too; torch counts none"
NO_EPS = "an eps below 0 makes NaN of every variance below it"
NO_MOMENTUM = "a share of the new beyond [0, 1] is no average"
NO_CHANNELS = "an input without a channel axis is refused; torch lets it pass if it is empty"

LEFT_OUT = {"inplace": "it overwrites what a backward pass may need, ours or a neighbour's"}
"""Parameter of torch's functions and modules -> why ours have none of that name."""

BATCH_NORMS = ("nn.BatchNorm1d", "nn.BatchNorm2d", "nn.BatchNorm3d")

MODULE_INPUTS: dict[tuple[str, str], str] = {(name, "zero_batch"): NO_BATCH for name in BATCH_NORMS}
"""(module, description of torch's case) -> why the counter differs."""

COUNTERS: dict[str, str] = {f"nn.InstanceNorm{n}d": COUNTED for n in (1, 2, 3)}
"""Module -> why its counter differs."""

MODULE_ERRORS: dict[tuple[str, str], str] = {
    (name, eps): EARLIER for name in BATCH_NORMS for eps in ("eps=-1.0", "eps=0.0")
}
"""(module, keyword arguments of torch's case) -> why it is raised elsewhere."""

FUNCTION_SAMPLES: dict[tuple[str, int], str] = {
    **{("nn.functional.batch_norm", i): NO_CHANNELS for i in (3, 4)},
    **{("nn.functional.group_norm", i): NO_EPS for i in (4, 5, 6, 7)},
    **{(f"nn.functional.{name}", 1): NO_EPS for name in ("layer_norm", "rms_norm")},
}
"""(function, number of torch's sample) -> why it is refused."""

Calls = Callable[[Any], object]
X = torch.ones(4, 3)
ERRORS: dict[str, tuple[Calls, type[Exception] | None, type[Exception], str]] = {
    "BatchNorm of a negative width": (lambda nn: nn.BatchNorm1d(-1), RuntimeError, ValueError, EARLIER),
    "GroupNorm of no groups": (lambda nn: nn.GroupNorm(0, 6), ZeroDivisionError, ValueError, EARLIER),
    "momentum beyond [0, 1]": (lambda nn: nn.BatchNorm1d(3, momentum=2.0), None, ValueError, NO_MOMENTUM),
    "LayerNorm with eps -1": (lambda nn: nn.LayerNorm(3, eps=-1.0), None, ValueError, EARLIER),
    "InstanceNorm of another width without affine": (
        lambda nn: nn.InstanceNorm1d(5)(X[..., None].expand(4, 3, 2)),
        None,
        ValueError,
        "what the constructor was told is not silently ignored; torch warns",
    ),
    "LayerNorm of integers": (
        lambda nn: nn.LayerNorm(3)(X.long()),
        RuntimeError,
        NotImplementedError,
        "one class for integers everywhere, a RuntimeError too; torch has both",
    ),
    "RMSNorm with a weight of less precision": (
        lambda nn: nn.RMSNorm(3)(X.double()),
        None,
        RuntimeError,
        "mixed dtypes are refused everywhere alike; torch promotes in this norm alone",
    ),
}
"""What is done with a module of norms -> torch's error (None: there is none), ours, and why."""
