"""The networks of the supervised engine: `rlnorm.networks` for vectors and images, recurrent ones for sequences."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from torch import Tensor, nn

from rlnorm.networks import network, standing, without_affine
from rlnorm.nn import Norm, Recurrent
from rlnorm.nn.recurrent import Cell
from rlnorm.supervised.perturbation import perturbed
from rlnorm.supervised.settings import Settings


class SequenceNetwork(nn.Module):
    """Recurrent layers, each reading the states of the one below, and a Linear layer on the last state of the top one.

    steps  sets of statistics of each norm: the number of steps, or 1 to share one set
    """

    def __init__(self, features: int, outputs: int, hidden: Sequence[int], cell: Cell, norm: Norm, steps: int):
        super().__init__()
        self.depth, inputs = len(hidden), features
        for number, width in enumerate(hidden, 1):
            self.add_module(f"recurrent{number}", Recurrent(inputs, width, cell, norm, steps))
            inputs = width
        self.output = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, features) -> (B, outputs)."""
        last = x
        for number in range(1, self.depth + 1):
            x, last = self.get_submodule(f"recurrent{number}")(x)
        return self.output(last)


def build(settings: Settings, shape: Sequence[int], outputs: int, batch: int) -> nn.Module:
    """The network that `settings` describe, (B, *shape) -> (B, outputs); B is `batch` where it is perturbed."""
    if len(shape) == 2:
        norm = with_arguments(standing(settings.norm), settings.norm_kwargs or {}, settings.affine)
        steps = shape[0] if settings.per_step else 1
        return SequenceNetwork(shape[1], outputs, settings.hidden, cast(Cell, settings.cell), norm, steps)
    body = network(
        shape,
        outputs,
        hidden=settings.hidden,
        channels=settings.channels,
        kernel=settings.kernel,
        norm=settings.norm,
        norm_kwargs=settings.norm_kwargs,
        affine=settings.affine,
        place=settings.place,
        sites=settings.sites,
        activation=settings.activation,
        bias=settings.bias,
    )
    return perturbed(body, shape, batch, settings.perturbations)


def with_arguments(norm: Norm, kwargs: Mapping[str, object], affine: bool = True) -> Norm:
    """`norm` whose modules are made with `kwargs`, and without scale and shift where `affine` is false."""

    def make(ndim: int, width: int) -> nn.Module:
        module = norm.make(width, ndim, **kwargs)
        return module if affine else without_affine(module)

    return replace(norm, modules={ndim: partial(make, ndim) for ndim in norm.modules})
