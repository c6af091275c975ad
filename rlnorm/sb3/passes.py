"""Which statistics a single pass uses where the network's mode does not say it, and whether an update is running."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BaseModel
from torch import Tensor, nn

from rlnorm.nn import Mode, Moded

Held = list[tuple[nn.Module, str, Tensor]]
"""Running statistics: module, name of the buffer, values."""


def update() -> Mapping[str, Any] | None:
    """Local variables of the algorithm's `train` that is running; None outside of one.

    stable-baselines3 puts networks into train mode when `train` begins and does not say when it ends: only the call
    stack knows.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "train" and isinstance(frame.f_locals.get("self"), BaseAlgorithm):
            return frame.f_locals
        frame = frame.f_back
    return None


class Updated(BaseModel):
    """A network that an algorithm puts into train mode for its updates.

    stable-baselines3 leaves it there when an update ends, and so after `learn`. Passes outside of updates use the
    running statistics all the same, unless somebody else has called `train` since.
    """

    _for_updates = False

    def set_training_mode(self, mode: bool) -> None:
        """As in stable-baselines3."""
        super().set_training_mode(mode)
        self._for_updates = mode and update() is not None

    def train(self, mode: bool = True) -> "Updated":
        """As `nn.Module.train`."""
        self._for_updates = False
        return super().train(mode)

    @property
    def after_update(self) -> bool:
        """Whether train mode is left over from an update that has ended."""
        return self._for_updates and update() is None


@contextmanager
def passing(network: nn.Module, mode: Mode, when: bool = True) -> Iterator[None]:
    """Within, if `when`, every norm in `network` is in `mode`; afterwards each has its own mode again."""
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


@contextmanager
def tracking(network: nn.Module) -> Iterator[None]:
    """Within, a pass moves the running statistics of the norms in `network`, and does nothing else.

    Norms are in the mode "track". All other modules are in eval mode: they move no state and draw no random numbers.
    """
    others = [module for module in network.modules() if module.training and not isinstance(module, Moded)]
    for module in others:
        module.training = False
    try:
        with passing(network, "track"):
            yield
    finally:
        for module in others:
            module.training = True


@contextmanager
def counting(network: nn.Module, rows: Tensor | None) -> Iterator[None]:
    """Within, norms in `network` see the rows of a batch that `rows` (B,) marks, and give zeros for the others.

    None marks all.
    """

    def take(_: object, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0][rows], *inputs[1:])

    def spread(_: object, __: object, y: Any) -> Tensor:
        assert rows is not None
        whole = y.new_zeros(len(rows), *y.shape[1:])
        whole[rows] = y
        return whole

    norms = [] if rows is None else [norm for norm in network.modules() if isinstance(norm, Moded)]
    hooks = [hook for n in norms for hook in (n.register_forward_pre_hook(take), n.register_forward_hook(spread))]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


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
    """Within, passes read the statistics in `held` in place of the modules' own, which stay untouched."""
    own = [(norm, name, norm.get_buffer(name)) for norm, name, _ in held]
    for norm, name, values in held:
        norm._buffers[name] = values
    try:
        yield
    finally:
        for norm, name, values in own:
            norm._buffers[name] = values
