r"""What is drawn anew at every training step: dropout, alpha dropout, and noise after a norm.

    y = scale x + shift        while training, y = x otherwise

    dropout   scale and shift per example and unit, such that y is `rlnorm.nn.dropout`'s
    noise     scale and shift per unit, shared by the batch: with s the strength, scale uniform in [1, 1 + s/2], shift
              in [-s, s]. It moves the distribution that a norm has just fixed. Santurkar et al. 2018, arXiv:1805.11604,
              sec. 2.2 and app. A; s = 0.5 has their bounds, their further noise per example is left out.

Scale and shift are buffers. The engine fills them before each step from a generator per member, so that a member's
draws depend on its seed alone and a compiled update holds no random numbers.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from re import fullmatch

import numpy as np
import torch
from torch import Generator, Tensor, nn

from rlnorm.nn import Moded
from rlnorm.nn.dropout import alpha_dropout, dropout
from rlnorm.population import Population


class Perturbation(Moded):
    """y = scale x + shift in the mode "train", else y = x; `shape` is that of both buffers and broadcasts to x's."""

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", torch.ones(tuple(shape)))
        self.register_buffer("shift", torch.zeros(tuple(shape)))

    def forward(self, x: Tensor) -> Tensor:
        """x -> same shape."""
        # Autograd saves the scale, whose version counter all buffers share: an update of running statistics moves it.
        return x if self.mode != "train" else torch.addcmul(self.shift, self.scale.clone(), x)


Draw = Callable[[tuple[int, ...], float, Generator], tuple[Tensor, Tensor]]


def _noise(shape: tuple[int, ...], strength: float, generator: Generator) -> tuple[Tensor, Tensor]:
    scale, shift = torch.rand(2, *shape, generator=generator)
    return 1 + strength / 2 * scale, strength * (2 * shift - 1)


def _dropout(shape: tuple[int, ...], p: float, generator: Generator) -> tuple[Tensor, Tensor]:
    return dropout(torch.ones(shape), p, generator=generator), torch.zeros(shape)


def _alpha_dropout(shape: tuple[int, ...], p: float, generator: Generator) -> tuple[Tensor, Tensor]:
    # With the same mask twice, 0 goes to the shift and 1 to scale + shift.
    state = generator.get_state()
    shift = alpha_dropout(torch.zeros(shape), p, True, generator=generator)
    generator.set_state(state)
    return alpha_dropout(torch.ones(shape), p, True, generator=generator) - shift, shift


DRAWS: Mapping[str, Draw] = {"noise": _noise, "dropout": _dropout, "alpha_dropout": _alpha_dropout}


def perturbed(network: nn.Sequential, shape: Sequence[int], batch: int, kinds: Sequence[str]) -> nn.Sequential:
    """`network` for inputs (batch, *shape) with perturbations of the `kinds` named in `DRAWS` in each hidden layer.

    noise1 stands behind norm1; dropout1 and alpha_dropout1 stand at the end of the first hidden layer.
    """
    children = list(network.named_children())
    ends = {match[1]: name for name, _ in children if (match := fullmatch(r"[a-z]+(\d+)", name))}
    named: OrderedDict[str, nn.Module] = OrderedDict()
    x = torch.zeros(batch, *shape)
    for name, module in children:
        with torch.no_grad():
            x = module.eval()(x)
        named[name] = module.train()
        number = name.removeprefix("norm")
        if "noise" in kinds and number in ends:
            named[f"noise{number}"] = Perturbation((x.shape[1], *(1,) * (x.ndim - 2)))
        for number in [number for number, last in ends.items() if last == name]:
            for kind in kinds:
                if kind != "noise":
                    named[f"{kind}{number}"] = Perturbation(x.shape)
    return nn.Sequential(named)


class Draws:
    """Fills every perturbation of a population anew, each member's from a generator of its seed.

    strengths  kind -> strength of each member: the probability of dropout, the strength of noise
    """

    def __init__(self, population: Population, strengths: Mapping[str, Sequence[float]]):
        views = population.buffers.views
        names = [name.removesuffix(".scale") for name in views if name.endswith(".scale")]
        kinds = {name: kind for name in names if (kind := name.rstrip("0123456789")) in DRAWS}
        self._targets = [
            (DRAWS[kind], strengths[kind], views[f"{name}.scale"], views[f"{name}.shift"])
            for name, kind in kinds.items()
        ]
        seeds = [int(np.random.default_rng([seed, 1]).integers(2**62)) for seed in population.seeds]
        self._generators = [Generator().manual_seed(seed) for seed in seeds]

    def renew(self) -> None:
        """Draw scale and shift of every perturbation."""
        for i, generator in enumerate(self._generators):
            for draw, strength, scale, shift in self._targets:
                for own, new in zip((scale, shift), draw(tuple(scale.shape[1:]), strength[i], generator)):
                    own[i].copy_(new)
