"""One definition of a network, for every engine: Linear layers with a norm and an activation between them.

    hidden layer, place="before":  Linear -> norm -> activation          (Ioffe & Szegedy 2015, sec. 3.2)
    hidden layer, place="after":   Linear -> activation -> norm

The output layer is a bare Linear. Sub-modules are named `linear1, norm1, activation1, ..., output`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from rlnorm.errors import unknown
from rlnorm.nn import NORMS

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "identity": nn.Identity,
}
PLACES = ("before", "after")


def _torch_default(weight: Tensor, generator: torch.Generator) -> None:
    nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)


def _lecun(weight: Tensor, generator: torch.Generator) -> None:
    nn.init.kaiming_normal_(weight, nonlinearity="linear", generator=generator)


def _he(weight: Tensor, generator: torch.Generator) -> None:
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def _xavier(weight: Tensor, generator: torch.Generator) -> None:
    nn.init.xavier_normal_(weight, generator=generator)


INITS: dict[str, Callable[[Tensor, torch.Generator], None]] = {
    "torch": _torch_default,
    "lecun": _lecun,
    "he": _he,
    "xavier": _xavier,
}


def mlp(
    inputs: int,
    outputs: int,
    *,
    hidden: Sequence[int] = (64, 64),
    norm: str = "none",
    place: str = "before",
    activation: str = "relu",
    bias: bool = True,
) -> nn.Sequential:
    """A multilayer perceptron, (..., inputs) -> (..., outputs).

    `bias` is that of the hidden Linear layers (the output layer always has one). Names are checked by `network_errors`.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (fan_in, width) in enumerate(zip([inputs, *hidden], hidden), start=1):
        normalize, activate = (f"norm{i}", NORMS[norm].make(width)), (f"activation{i}", ACTIVATIONS[activation]())
        layers[f"linear{i}"] = NORMS[norm].wrap(nn.Linear(fan_in, width, bias=bias))
        layers.update([normalize, activate] if place == "before" else [activate, normalize])
    layers["output"] = nn.Linear(hidden[-1] if hidden else inputs, outputs)
    return nn.Sequential(layers)


@torch.no_grad()
def initialize(network: nn.Module, generator: torch.Generator, init: str = "torch", scale: float = 1.0) -> None:
    """Draw every weight matrix anew, in place: `init` times `scale`.

    Biases are uniform in +-1/sqrt(fan_in) for "torch", as torch draws them, and zero otherwise. Norms keep their start.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            INITS[init](module.weight, generator)
            module.weight.mul_(scale)
            if module.bias is not None:
                bound = module.in_features**-0.5 if init == "torch" else 0.0
                module.bias.uniform_(-bound, bound, generator=generator)


def network_errors(
    *, hidden: Sequence[int], norm: str, place: str, activation: str, init: str, **_: object
) -> Iterator[str]:
    """One sentence for each setting of `mlp` and `initialize` that cannot be used."""
    for kind, got, valid in (
        ("norm", norm, NORMS),
        ("place", place, PLACES),
        ("activation", activation, ACTIVATIONS),
        ("init", init, INITS),
    ):
        if got not in valid:
            yield unknown(kind, got, valid)
    if any(width < 1 for width in hidden):
        yield f"hidden layers need at least one unit each, got {tuple(hidden)}."
