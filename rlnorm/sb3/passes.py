"""Which statistics a single pass uses, where that is not what the network's mode says."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from rlnorm.nn import Mode, Moded

Held = list[tuple[nn.Module, str, Tensor]]
"""Running statistics: module, name of the buffer, values."""


@contextmanager
def passing(network: nn.Module, mode: Mode, when: bool = True) -> Iterator[None]:
    """Within, `when` it is asked for, every norm in `network` is in `mode`; afterwards each is in its own again."""
    modes: list[tuple[Moded, Mode]] = []
    if when:
        modes = [(norm, norm.mode) for norm in network.modules() if isinstance(norm, Moded)]
    for norm, _ in modes:
        norm.mode = mode
    try:
        yield
    finally:
        for norm, before in modes:
            norm.mode = before


def running_statistics(network: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """The running statistics in `network`: path, module, name of the buffer there."""
    for path, module in network.named_modules():
        for name, buffer in module._buffers.items():
            if name.startswith("running_") and buffer is not None:
                yield f"{path}.{name}", module, name


def copy_statistics(network: nn.Module) -> Held:
    """Copies of the running statistics of our norms in `network`."""
    found = running_statistics(network)
    return [(norm, name, norm.get_buffer(name).clone()) for _, norm, name in found if isinstance(norm, Moded)]


@contextmanager
def standing_in(held: Iterable[tuple[nn.Module, str, Tensor]]) -> Iterator[None]:
    """Within, the statistics held are read (not to be updated) in place of the modules' own, which stay untouched."""
    own = [(norm, name, norm.get_buffer(name)) for norm, name, _ in held]
    for norm, name, values in held:
        norm._buffers[name] = values
    try:
        yield
    finally:
        for norm, name, values in own:
            norm._buffers[name] = values
