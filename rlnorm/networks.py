"""One definition of a network, for every engine: Linear layers with a norm and an activation between them.

    hidden layer, place="before":  Linear -> norm -> activation          (Ioffe & Szegedy 2015, sec. 3.2)
    hidden layer, place="after":   Linear -> activation -> norm
    hidden layer, place="split":   Linear -> normalize -> activation -> scale and shift      (study note N0, steps 3, 4)

The output layer is a bare Linear. Sub-modules are named `linear1, norm1, activation1, ..., output`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from rlnorm.errors import ConfigError, unknown
from rlnorm.nn import Reparametrized, get_norm

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "identity": nn.Identity,
}
PLACES = ("before", "after", "split")


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


class ScaleShift(nn.Module):
    """y = gamma x + beta per feature, with torch's names `weight` and `bias`; (..., width) -> (..., width)."""

    def __init__(self, width: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    @classmethod
    def taken_from(cls, norm: nn.Module, width: int) -> "ScaleShift":
        """A scale and shift of its own, for a norm that loses the one it had."""
        for name in ("weight", "bias"):
            if isinstance(getattr(norm, name, None), nn.Parameter):
                norm.register_parameter(name, None)
        return cls(width)

    def forward(self, x: Tensor) -> Tensor:
        """x -> gamma x + beta."""
        return self.weight * x + self.bias


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

    `norm` is a short name, or the path of a file with a norm of one's own. `bias` is that of the hidden Linear layers
    (the output layer always has one). Names are checked by `network_errors`.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    chosen = get_norm(norm)
    for i, (fan_in, width) in enumerate(zip([inputs, *hidden], hidden), start=1):
        normalize, activate = (f"norm{i}", chosen.make(width)), (f"activation{i}", ACTIVATIONS[activation]())
        layers[f"linear{i}"] = chosen.wrap(nn.Linear(fan_in, width, bias=bias))
        layers.update([activate, normalize] if place == "after" else [normalize, activate])
        if place == "split":
            layers[f"affine{i}"] = ScaleShift.taken_from(normalize[1], width)
    layers["output"] = nn.Linear(hidden[-1] if hidden else inputs, outputs)
    return nn.Sequential(layers)


@torch.no_grad()
def initialize(network: nn.Module, generator: torch.Generator, init: str = "torch", scale: float = 1.0) -> None:
    """Draw every weight matrix anew, in place: `init` times `scale`.

    Biases are uniform in +-1/sqrt(fan_in) for "torch", as torch draws them, and zero otherwise. Norms keep their start,
    but what a norm around a layer takes from its weight (length, singular vectors) it takes from the new one.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            INITS[init](module.weight, generator)
            module.weight.mul_(scale)
            if module.bias is not None:
                bound = module.in_features**-0.5 if init == "torch" else 0.0
                module.bias.uniform_(-bound, bound, generator=generator)
    for module in network.modules():
        if isinstance(module, Reparametrized):
            module.load_state_dict(type(module)(module.layer).state_dict())


def network_errors(
    *,
    hidden: Sequence[int],
    norm: str,
    place: str,
    activation: str,
    init: str,
    init_scale: float,
    batch: int,
    **_: object,
) -> Iterator[str]:
    """One sentence for each setting of `mlp` and `initialize` that cannot be used, trained on batches of `batch`."""
    for kind, got, valid in (
        ("place", place, PLACES),
        ("activation", activation, ACTIVATIONS),
        ("init", init, INITS),
    ):
        if got not in valid:
            yield unknown(kind, got, valid)
    try:
        chosen = get_norm(norm)
        chosen.make(1)
    except ConfigError as error:
        yield from error.sentences
    else:
        if chosen.couples_batch and batch == 1:
            yield f"norm {norm!r} takes statistics over the batch and needs at least 2 examples, got a batch of 1."
    if not 0 < init_scale < float("inf"):
        yield f"init_scale must be positive and finite, got {init_scale}."
    if any(width < 1 for width in hidden):
        yield f"hidden layers need at least one unit each, got {tuple(hidden)}."
