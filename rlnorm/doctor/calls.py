"""Calls of modules: what reached one, to be repeated with other rows or values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from rlnorm.probes.nested import copied, first_rows, tensors


@dataclass(frozen=True)
class Call:
    """The arguments of a call, at least one of them a tensor."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def x(self) -> Tensor:
        """The first tensor; its first axis is the batch."""
        return next(tensors((self.args, dict(self.kwargs))))

    @property
    def rows(self) -> int:
        """The size of the batch."""
        return self.x.shape[0] if self.x.ndim else 1

    def first(self, keep: int) -> "Call":
        """The same call with the first `keep` rows."""
        return Call(first_rows(self.args, self.rows, keep), first_rows(dict(self.kwargs), self.rows, keep))

    def replace(self, x: Tensor) -> "Call":
        """The same call with another first tensor."""
        old = self.x
        args = tuple(x if arg is old else arg for arg in self.args)
        return Call(args, {name: x if arg is old else arg for name, arg in self.kwargs.items()})

    def on(self, module: nn.Module) -> list[Tensor]:
        """Every tensor that `module` returns. It gets copies of the arguments, which it may change in place."""
        return list(tensors(module(*copied(self.args), **copied(dict(self.kwargs)))))
