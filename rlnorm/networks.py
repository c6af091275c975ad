"""One definition of a network, for every engine: layers with a norm and an activation between them.

    hidden layer, place="before":  layer -> norm -> activation          (Ioffe & Szegedy 2015, sec. 3.2)
    hidden layer, place="after":   layer -> activation -> norm
    hidden layer, place="split":   layer -> normalize -> activation -> scale and shift      (study note N0, steps 3, 4)

A vector is read by Linear layers; an image, channels first, by convolutions (stride 1, no padding) and then by Linear
layers, as in MinAtar's own DQN (Young & Tian 2019, arXiv:1903.03176). `sites` says behind which layers norms stand:

    input    on the observation (an image: over its channels)         first, last    on the first, last hidden layer
    hidden   on every hidden layer, convolutions included             output         on the outputs

The output layer is a bare Linear unless "output" is asked for. Sub-modules are named `linear1, norm1, activation1, ...,
output`; hidden layers are numbered through: `conv1, norm1, activation1, flatten, linear2, norm2, activation2, output`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rlnorm.errors import ConfigError, unknown
from rlnorm.nn import SELU, Norm, Reparametrized, get_norm

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "selu": SELU,
    "identity": nn.Identity,
}
PLACES = ("before", "after", "split")
SITES = ("input", "first", "last", "hidden", "output")


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
    """y = gamma x + beta per feature or channel, with torch's names `weight` and `bias`.

    (..., width) -> same shape; with `ndim` spatial dimensions (..., width, *pixels) -> same shape.
    """

    def __init__(self, width: int, ndim: int = 0):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self._shape = (width, *(1,) * ndim)

    @classmethod
    def taken_from(cls, norm: nn.Module, width: int, ndim: int = 0) -> "ScaleShift":
        """A scale and shift of its own, for a norm that loses the one it had."""
        for name in ("weight", "bias"):
            if isinstance(getattr(norm, name, None), nn.Parameter):
                norm.register_parameter(name, None)
        return cls(width, ndim)

    def forward(self, x: Tensor) -> Tensor:
        """x -> gamma x + beta."""
        return self.weight.view(self._shape) * x + self.bias.view(self._shape)


class Pixels(nn.Module):
    """Pixels of any dtype as float32: bytes as shares of 255, as in stable-baselines3, others by their value."""

    def forward(self, x: Tensor) -> Tensor:
        """x -> same shape."""
        return x.float() / 255 if x.dtype == torch.uint8 else x.float()


class _Layer(NamedTuple):
    """A Linear layer of `width` units or, with `pixels` in its output map, a convolution of `width` channels."""

    inputs: int
    width: int
    pixels: tuple[int, ...]


def _layers(
    shape: Sequence[int], outputs: int, hidden: Sequence[int], channels: Sequence[int], kernel: int
) -> list[_Layer]:
    """The hidden layers and, last, the output layer."""
    inputs, *pixels = shape
    layers: list[_Layer] = []
    for width in channels if pixels else ():
        pixels = [side - kernel + 1 for side in pixels]
        layers.append(_Layer(inputs, width, tuple(pixels)))
        inputs = width
    inputs *= prod(pixels)
    for width in (*hidden, outputs):
        layers.append(_Layer(inputs, width, ()))
        inputs = width
    return layers


def _numbers(sites: Sequence[str], depth: int) -> set[int]:
    """The layers, counted from 1, behind which norms stand; 0 is the observation, `depth` + 1 the output layer."""
    hidden = range(1, depth + 1)
    by_name = {"input": [0], "first": hidden[:1], "last": hidden[-1:], "hidden": hidden, "output": [depth + 1]}
    return {number for site in sites for number in by_name[site]}


def hidden_layer(
    number: int,
    layer: nn.Linear | nn.Conv2d,
    activation: nn.Module,
    norm: Norm,
    place: str = "before",
    kwargs: Mapping[str, object] | None = None,
) -> Iterator[tuple[str, nn.Module]]:
    """The modules of one hidden layer with its norm, in their order, named with its number.

    Raises ConfigError where the norm has no form behind such a layer, or takes no such arguments.
    """
    width, ndim = layer.weight.shape[0], layer.weight.ndim - 2
    yield f"{'conv' if ndim else 'linear'}{number}", norm.wrap(layer)
    normalize = (f"norm{number}", norm.make(width, ndim, **(kwargs or {})))
    activate = (f"activation{number}", activation)
    yield from [activate, normalize] if place == "after" else [normalize, activate]
    if place == "split":
        yield f"affine{number}", ScaleShift.taken_from(normalize[1], width, ndim)


def network(
    shape: Sequence[int],
    outputs: int,
    *,
    hidden: Sequence[int] = (64, 64),
    channels: Sequence[int] = (16,),
    kernel: int = 3,
    norm: str = "none",
    norm_kwargs: Mapping[str, object] | None = None,
    place: str = "before",
    sites: Sequence[str] = ("hidden",),
    activation: str = "relu",
    bias: bool = True,
) -> nn.Sequential:
    """A network for observations of `shape`, (B, *shape) -> (B, outputs).

    shape        (features,), or (channels, height, width) of an image, which may have any dtype (see `Pixels`)
    hidden       units of the Linear hidden layers
    channels     channels of the convolutions before them, each with a `kernel` x `kernel` window; for images alone
    norm         a short name, or the path of a file with a norm of one's own; `norm_kwargs` go to each of its modules
    sites        where norms stand, any of `SITES` together; a norm that wraps layers wraps those it would stand behind
    bias         of the hidden layers (the output layer always has one)

    Settings are checked by `network_errors`.
    """
    layers = _layers(shape, outputs, hidden, channels, kernel)
    stands = _numbers(sites, len(layers) - 1)
    chosen, none, kwargs = get_norm(norm), get_norm("none"), norm_kwargs or {}
    named: OrderedDict[str, nn.Module] = OrderedDict()
    if len(shape) > 1:
        named["pixels"] = Pixels()
    if 0 in stands:
        named["norm_input"] = chosen.make(shape[0], len(shape) - 1, **kwargs)
    for i, (inputs, width, pixels) in enumerate(layers, start=1):
        own = chosen if i in stands else none
        if len(shape) > 1 and not pixels:
            named.setdefault("flatten", nn.Flatten(-3))
        if i == len(layers):
            named["output"] = own.wrap(nn.Linear(inputs, width))
            if i in stands:
                named["norm_output"] = own.make(width, 0, **kwargs)
            break
        layer = nn.Conv2d(inputs, width, kernel, bias=bias) if pixels else nn.Linear(inputs, width, bias=bias)
        named.update(hidden_layer(i, layer, ACTIVATIONS[activation](), own, place if i in stands else "before", kwargs))
    return nn.Sequential(named)


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
    """A multilayer perceptron, (..., inputs) -> (..., outputs): `network` of a vector."""
    return network((inputs,), outputs, hidden=hidden, norm=norm, place=place, activation=activation, bias=bias)


@torch.no_grad()
def initialize(network: nn.Module, generator: torch.Generator, init: str = "torch", scale: float = 1.0) -> None:
    """Draw every weight matrix anew, in place: `init` times `scale`.

    Biases are uniform in +-1/sqrt(fan_in) for "torch", as torch draws them, and zero otherwise. Norms keep their start,
    but what a norm around a layer takes from its weight (length, singular vectors) it takes from the new one.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            INITS[init](module.weight, generator)
            module.weight.mul_(scale)
            if module.bias is not None:
                bound = module.weight[0].numel() ** -0.5 if init == "torch" else 0.0
                module.bias.uniform_(-bound, bound, generator=generator)
    renew_wrapped(network)


def renew_wrapped(network: nn.Module) -> None:
    """Let norms around layers start from the weights that these have by now, drawn after the norm was put around."""
    for module in network.modules():
        if isinstance(module, Reparametrized):
            module.restart()


def network_errors(
    *,
    hidden: Sequence[int],
    norm: str,
    place: str,
    activation: str,
    init: str,
    init_scale: float,
    batch: int,
    shape: Sequence[int] = (1,),
    outputs: int = 1,
    channels: Sequence[int] = (16,),
    kernel: int = 3,
    norm_kwargs: Mapping[str, object] | None = None,
    sites: Sequence[str] = ("hidden",),
    **_: object,
) -> Iterator[str]:
    """One sentence for each setting of `network` and `initialize` that cannot be used with batches of `batch`."""
    lists = {"hidden": hidden, "channels": channels, "sites": sites}
    single = [f"{name} is a list, got {got!r}; write ({got!r},)." for name, got in lists.items() if _single(got)]
    if single:
        yield from single
        return
    for kind, got, valid in (
        ("place", place, PLACES),
        ("activation", activation, ACTIVATIONS),
        ("init", init, INITS),
        *(("site", site, SITES) for site in sites),
    ):
        if got not in valid:
            yield unknown(kind, got, valid)
    if not 0 < init_scale < float("inf"):
        yield f"init_scale must be positive and finite, got {init_scale}."
    fits = True
    for sentence in _layout_errors(shape, hidden, channels, kernel):
        fits = False
        yield sentence
    try:
        chosen = get_norm(norm)
    except ConfigError as error:
        yield from error.sentences
    else:
        if fits and set(sites) <= set(SITES):
            layers = _layers(shape, outputs, hidden, channels, kernel)
            yield from dict.fromkeys(_norm_errors(chosen, shape, layers, sites, norm_kwargs or {}, batch))


def _single(got: object) -> bool:
    """Whether one value was given where a list of them belongs."""
    return isinstance(got, str) or not isinstance(got, Iterable)


def _layout_errors(shape: Sequence[int], hidden: Sequence[int], channels: Sequence[int], kernel: int) -> Iterator[str]:
    if len(shape) not in (1, 3):
        yield f"a network reads vectors or images (channels, height, width), got observations of shape {tuple(shape)}."
    if any(width < 1 for width in hidden):
        yield f"hidden layers need at least one unit each, got {tuple(hidden)}."
    if any(width < 1 for width in channels):
        yield f"convolutions need at least one channel each, got {tuple(channels)}."
    least = len(channels) * (kernel - 1) + 1
    if kernel < 1:
        yield f"kernel must be at least 1, got {kernel}."
    elif len(shape) == 3 and min(shape[1:]) < least:
        yield (
            f"{len(channels)} convolutions with a window of {kernel} x {kernel} need images of at least "
            f"{least} x {least} pixels, got {shape[1]} x {shape[2]} (shape {tuple(shape)}, channels first)."
        )


def _norm_errors(
    norm: Norm,
    shape: Sequence[int],
    layers: Sequence[_Layer],
    sites: Sequence[str],
    kwargs: Mapping[str, object],
    batch: int,
) -> Iterator[str]:
    """What hinders the norm wherever it stands, found by making it there and normalizing one batch of zeros."""
    stands = _numbers(sites, len(layers) - 1)
    outputs = [_Layer(0, shape[0], tuple(shape[1:])), *layers]
    if not stands and norm.name != "none":
        yield f"norm {norm.name!r} would stand nowhere: got sites {tuple(sites)} and {len(layers) - 1} hidden layers."
    if 0 in stands and norm.wrap_layer is not None:
        yield f"norm {norm.name!r} wraps a layer, and before the site 'input' there is none."
    for number in sorted(stands):
        _, width, pixels = outputs[number]
        if norm.couples_batch and batch * prod(pixels) == 1:
            yield f"norm {norm.name!r} takes statistics over the batch and needs at least 2 examples, got a batch of 1."
            continue
        try:
            norm.make(width, len(pixels), **kwargs)(torch.zeros(max(batch, 1), width, *pixels))
        except ConfigError as error:
            yield from error.sentences
        except (TypeError, ValueError, RuntimeError) as error:
            where = f"maps of {width} x {' x '.join(map(str, pixels))}" if pixels else f"{width} features"
            yield f"norm {norm.name!r} cannot stand on {where}: {str(error).rstrip('.')}."
