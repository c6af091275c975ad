"""A case of a law (one norm, one number of spatial dimensions), and the collection of laws."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from rlnorm.nn.modes import MODES, Mode, Moded, set_mode
from rlnorm.nn.norm import Norm
from rlnorm.nn.state import running_norms, statistics_of

WIDTH, BATCH = 4, 3
PIXELS = {0: (), 1: (5,), 2: (3, 2), 3: (2, 1, 3)}
CONVS: Mapping[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
State = tuple[dict[str, Tensor], dict[str, Tensor]]


@dataclass(frozen=True)
class Case:
    """One norm at one number of spatial dimensions."""

    norm: Norm
    ndim: int

    def __str__(self) -> str:
        return f"{self.norm.name}-{self.ndim}d"

    @property
    def first(self) -> bool:
        """Whether this is the norm's fewest spatial dimensions, where the slow laws are run in full."""
        return self.ndim == min(self.norm.modules, default=0)

    def module(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Module:
        """The norm, with parameters and statistics that are not its initial ones; a wrapping norm on its layer."""
        rng = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            module = self.norm.make(WIDTH, self.ndim)
            if self.norm.wrap_layer is not None:
                layer = nn.Linear(WIDTH, WIDTH) if self.ndim == 0 else CONVS[self.ndim](WIDTH, WIDTH, 1)
                module = nn.Sequential(self.norm.wrap(layer), module)
        module = module.to(dtype)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=rng, dtype=dtype))
            for _, norm in running_norms(module):
                for statistic in statistics_of(norm).values():
                    statistic.mul_(1.3).add_(0.2 * torch.rand(statistic.shape, generator=rng, dtype=dtype))
        return module

    def input(self, dtype: torch.dtype = torch.float64, seed: int = 1, batch: int = BATCH) -> Tensor:
        """x (batch, WIDTH, ...)."""
        rng = torch.Generator().manual_seed(seed)
        return torch.randn(batch, WIDTH, *PIXELS[self.ndim], generator=rng, dtype=dtype)

    def modes(self) -> tuple[Mode, ...]:
        """The modes in which this norm's passes differ: all four, or one for a norm without statistics."""
        return MODES if any(isinstance(m, Moded) for m in self.module().modules()) else ("train",)

    def functions(self) -> Iterator[tuple[Mode, nn.Module, State]]:
        """For each mode: the mode, the module in it, and its parameters and buffers."""
        for mode in self.modes():
            module = set_mode(self.module(), mode)
            yield mode, module, state_of(module)


Law = Callable[[Case], None]
LAWS: dict[str, Law] = {}


def law(function: Law) -> Law:
    """Add a law to `LAWS` under its name."""
    LAWS[function.__name__] = function
    return function


def state_of(module: nn.Module) -> State:
    """Parameters and buffers by name, parameters detached."""
    return {k: p.detach() for k, p in module.named_parameters()}, dict(module.named_buffers())


def call(module: nn.Module, state: State, x: Tensor) -> Tensor:
    """One pass that leaves `state` as it is."""
    return functional_call(module, (state[0], {k: b.clone() for k, b in state[1].items()}), (x,))


def close(got: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Assert |got - expected| <= tolerance (1 + max |expected|)."""
    assert got.shape == expected.shape, f"{what}: shape {tuple(got.shape)}, expected {tuple(expected.shape)}"
    if not expected.numel():
        return
    error = (got.double() - expected.double()).abs().max().item()
    bound = tolerance * (1 + expected.double().abs().max().item())
    assert error <= bound, f"{what}: off by {error:.3g}, allowed {bound:.3g}"
