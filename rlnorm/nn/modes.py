"""Which statistics a pass normalizes with, and whether it updates the running ones: two switches, four modes.

| mode    | normalizes with | running statistics |
|---------|-----------------|--------------------|
| `train` | batch           | updated            |
| `batch` | batch           | untouched          |
| `eval`  | running         | untouched          |
| `track` | running         | updated            |

`nn.Module.train()` and `.eval()` choose `train` and `eval`, as everywhere in torch. DQN needs the other two: a pass
that must not feed the running statistics, and one that feeds them without using the batch's.
"""

from typing import Literal, TypeVar, get_args

from torch import nn

from rlnorm.errors import unknown
from rlnorm.nn._torch import NormBase

Mode = Literal["train", "batch", "eval", "track"]
MODES: tuple[Mode, ...] = get_args(Mode)
M = TypeVar("M", bound=nn.Module)


class Moded(nn.Module):
    """A module with batch and running statistics. `mode` follows `training` unless it is "batch" or "track".

    Under "track" a batch is normalized with the statistics from before it enters them.
    """

    _override: Literal["batch", "track"] | None = None

    @property
    def mode(self) -> Mode:
        """One of `MODES`. Setting "train" or "eval" sets `training`; `train()` and `eval()` end any other mode."""
        return self._override or ("train" if self.training else "eval")

    @mode.setter
    def mode(self, mode: Mode) -> None:
        _check(mode)
        if mode == "batch" or mode == "track":
            self._override = mode
        else:
            self._override = None
            self.training = mode == "train"

    def train(self, mode: bool = True) -> "Moded":
        """As `nn.Module.train`; ends the modes "batch" and "track"."""
        if self._override is not None:
            self._override = None
        return super().train(mode)

    @property
    def uses_batch(self) -> bool:
        """Whether a pass normalizes with the batch's own statistics."""
        return self.mode in ("train", "batch")

    @property
    def updates_running(self) -> bool:
        """Whether a pass updates the running statistics."""
        return self.mode in ("train", "track")


def set_mode(model: M, mode: Mode) -> M:
    """Set the mode of every norm in `model` and of nothing else; returns `model`.

    Raises ValueError for an unknown mode, and for torch's own batch norms under "batch" and "track", which they lack.
    """
    _check(mode)
    for name, norm in model.named_modules():
        if isinstance(norm, NormBase) and mode in ("batch", "track"):
            raise ValueError(
                f"{name or 'the model'} is torch's {type(norm).__name__} and has no mode {mode!r}; convert it"
            )
    for norm in model.modules():
        if isinstance(norm, Moded):
            norm.mode = mode
        elif isinstance(norm, NormBase):
            norm.training = mode == "train"
    return model


def _check(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(unknown("mode", mode, MODES))
