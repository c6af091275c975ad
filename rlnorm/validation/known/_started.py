"""Networks as they start, for known answers that are algebra."""

from typing import Any

import torch
from torch import Generator, nn

from rlnorm.networks import initialize, network


def started(seed: int, init: str, inputs: int, outputs: int, **settings: Any) -> tuple[nn.Sequential, Generator]:
    """A network whose weights come from the seed, and the generator, from which batches are drawn next."""
    # A counterexample is rounded by numpy, whose integers torch's generator does not take.
    generator = Generator().manual_seed(int(seed))
    # torch's constructors draw from the global generator.
    with torch.random.fork_rng(devices=()):
        made = network((inputs,), outputs, **settings)
    initialize(made, generator, init)
    return made, generator
