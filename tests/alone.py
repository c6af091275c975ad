"""Networks trained alone, one by one, with torch's optimizers: what a population is held against."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rlnorm.networks import initialize, mlp
from rlnorm.nn import NORMS
from rlnorm.population import Population

MLP_NORMS = tuple(name for name, norm in NORMS.items() if norm.wrap_layer or 0 in norm.modules)
INPUTS, OUTPUTS = 4, 3


def build(norm: str, place: str = "before") -> nn.Sequential:
    """A small network. Where the norm takes off the batch mean there is no bias: its gradient would be rounding alone,
    which Adam blows up to full steps, and no two orders of summation would agree."""
    bias = not NORMS[norm].couples_batch
    return mlp(INPUTS, OUTPUTS, hidden=(16, 16), norm=norm, place=place, bias=bias)


def alone(norm: str, seeds: Sequence[int], scales: Sequence[float], place: str = "before") -> list[nn.Sequential]:
    """The networks that a population of `build(norm)` starts from."""
    networks = [build(norm, place) for _ in seeds]
    for network, seed, scale in zip(networks, seeds, scales, strict=True):
        initialize(network, torch.Generator().manual_seed(seed), scale=scale)
    return networks


def torch_optimizer(name: str, network: nn.Module, rate: float) -> torch.optim.Optimizer:
    """torch's optimizer of that name."""
    if name == "adam":
        return torch.optim.Adam(network.parameters(), lr=rate)
    if name == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), lr=rate, alpha=0.95, eps=0.01, centered=True)
    return torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)


def flat_gradient(loss: Tensor, leaves: dict[str, Tensor]) -> Tensor:
    """Gradient of the members' losses (N,) by their leaves, (N, P)."""
    return torch.cat([g.flatten(1) for g in torch.autograd.grad(loss.sum(), list(leaves.values()))], dim=1)


def assert_members_are(population: Population, networks: Sequence[nn.Module]) -> None:
    """Each member has the parameters, running statistics and counters of the network in its place."""
    for i, network in enumerate(networks):
        state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        rows = {**population.parameters.views, **population.buffers.views}
        assert rows.keys() == state.keys()
        for name, tensor in state.items():
            torch.testing.assert_close(
                rows[name][i], tensor.detach(), rtol=1e-3, atol=1e-4, msg=lambda m, name=name: f"{name}: {m}"
            )
