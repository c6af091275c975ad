"""One definition of a network, for every engine: layers with a norm and an activation between them.

    hidden layer, place="before":  layer -> norm -> activation          (Ioffe & Szegedy 2015, sec. 3.2)
    hidden layer, place="after":   layer -> activation -> norm
    hidden layer, place="split":   layer -> normalize -> activation -> scale and shift      (study note N0, steps 3, 4)

Linear layers read a vector. Convolutions (stride 1, no padding) and then Linear layers read an image, channels first,
as in MinAtar's DQN (Young & Tian 2019, arXiv:1903.03176). `sites` says behind which layers norms stand:

    input    on the observation (an image: over its channels)         first, last    on the first, last hidden layer
    hidden   on every hidden layer, convolutions included             output         on the outputs

The output layer is a bare Linear unless "output" is asked for. Sub-modules are named `linear1, norm1, activation1, ...,
output`; hidden layers are numbered through: `conv1, norm1, activation1, flatten, linear2, norm2, activation2, output`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rlnorm.errors import ConfigError, unknown
from rlnorm.nn import NORMS, SELU, Norm, RecurrentCell, Reparametrized
from rlnorm.nn import norm as norms

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

    def forward(self, x: Tensor) -> Tensor:
        """x -> gamma x + beta."""
        return self.weight.view(self._shape) * x + self.bias.view(self._shape)


SCALE_SHIFT = Norm("scale_shift", {ndim: partial(ScaleShift, ndim=ndim) for ndim in range(4)})
"""Scale and shift without normalization: an arm that tells what these two do by themselves."""


def standing(name: str | None) -> Norm:
    """What may stand at a norm's site: a norm by short name or path, or "scale_shift". Raises ConfigError."""
    return norms.get_norm(name, {**NORMS, SCALE_SHIFT.name: SCALE_SHIFT})


def without_affine(norm: nn.Module) -> nn.Module:
    """`norm`, which loses its scale and shift where it has them, in place."""
    for name in ("weight", "bias"):
        if isinstance(getattr(norm, name, None), nn.Parameter):
            norm.register_parameter(name, None)
    return norm


class Pixels(nn.Module):
    """Pixels of any dtype as float32: bytes divided by 255, as in stable-baselines3, others by their value."""

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
    affine: bool = True,
) -> Iterator[tuple[str, nn.Module]]:
    """The modules of one hidden layer with its norm, in their order, named with its number.

    affine  False: the norm loses its scale and shift

    Raises ConfigError where the norm has no form behind such a layer, or takes no such arguments.
    """
    width, ndim = layer.weight.shape[0], layer.weight.ndim - 2
    yield f"{'conv' if ndim else 'linear'}{number}", norm.wrap(layer)
    made = norm.make(width, ndim, **(kwargs or {}))
    if place == "split" or not affine:
        made = without_affine(made)
    normalize, activate = (f"norm{number}", made), (f"activation{number}", activation)
    yield from [activate, normalize] if place == "after" else [normalize, activate]
    if place == "split" and affine:
        yield f"affine{number}", ScaleShift(width, ndim)


def network(
    shape: Sequence[int],
    outputs: int,
    *,
    hidden: Sequence[int] = (64, 64),
    channels: Sequence[int] = (16,),
    kernel: int = 3,
    norm: str | None = "none",
    norm_kwargs: Mapping[str, object] | None = None,
    affine: bool = True,
    place: str = "before",
    sites: Sequence[str] = ("hidden",),
    activation: str = "relu",
    bias: bool = True,
) -> nn.Sequential:
    """A network for observations of `shape`, (B, *shape) -> (B, outputs).

    shape        (features,), or (channels, height, width) of an image, which may have any dtype (see `Pixels`)
    hidden       units of the Linear hidden layers
    channels     channels of the convolutions before them, each with a `kernel` x `kernel` window; for images alone
    norm         a short name, the path of a norm file, or "scale_shift" for scale and shift without normalization;
                 None is "none"
    norm_kwargs  go to each of the norm's modules
    affine       whether norms have a scale and shift (lengths and gains of wrapped layers stay)
    sites        where norms stand, any of `SITES` together; a norm that wraps layers wraps those it would stand behind
    bias         whether hidden layers have one (the output layer always has)

    `network_errors` checks these settings.
    """
    layers = _layers(shape, outputs, hidden, channels, kernel)
    stands = _numbers(sites, len(layers) - 1)
    chosen, none, kwargs = standing(norm), standing("none"), norm_kwargs or {}
    named: OrderedDict[str, nn.Module] = OrderedDict()

    def made(width: int, ndim: int) -> nn.Module:
        module = chosen.make(width, ndim, **kwargs)
        return module if affine else without_affine(module)

    if len(shape) > 1:
        named["pixels"] = Pixels()
    if 0 in stands:
        named["norm_input"] = made(shape[0], len(shape) - 1)
    for i, (inputs, width, pixels) in enumerate(layers, start=1):
        own = chosen if i in stands else none
        if len(shape) > 1 and not pixels:
            named.setdefault("flatten", nn.Flatten(-3))
        if i == len(layers):
            named["output"] = own.wrap(nn.Linear(inputs, width))
            if i in stands:
                named["norm_output"] = made(width, 0)
            break
        layer = nn.Conv2d(inputs, width, kernel, bias=bias) if pixels else nn.Linear(inputs, width, bias=bias)
        where = place if i in stands else "before"
        named.update(hidden_layer(i, layer, ACTIVATIONS[activation](), own, where, kwargs, affine))
    return nn.Sequential(named)


def mlp(
    inputs: int,
    outputs: int,
    *,
    hidden: Sequence[int] = (64, 64),
    norm: str | None = "none",
    place: str = "before",
    activation: str = "relu",
    bias: bool = True,
) -> nn.Sequential:
    """A multilayer perceptron, (..., inputs) -> (..., outputs): `network` of a vector."""
    return network((inputs,), outputs, hidden=hidden, norm=norm, place=place, activation=activation, bias=bias)


@torch.no_grad()
def initialize(network: nn.Module, generator: torch.Generator, init: str = "torch", scale: float = 1.0) -> None:
    """Draw every weight matrix anew, in place: `init` times `scale`.

    Biases are uniform in +-1/sqrt(fan_in) for "torch", as torch draws them, and zero otherwise. A recurrent cell draws
    each gate's matrices by themselves; for "torch" all of it is uniform in +-1/sqrt(hidden), as in torch's cells. Norms
    keep their start, but a norm around a layer takes its length and singular vectors from the new weight.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            INITS[init](module.weight, generator)
            module.weight.mul_(scale)
            if module.bias is not None:
                bound = module.weight[0].numel() ** -0.5 if init == "torch" else 0.0
                module.bias.uniform_(-bound, bound, generator=generator)
        elif isinstance(module, RecurrentCell):
            bound = module.hidden_size**-0.5
            for weight in (module.weight_ih, module.weight_hh):
                for gate in weight.split(module.hidden_size):
                    if init == "torch":
                        gate.uniform_(-bound, bound, generator=generator)
                    else:
                        INITS[init](gate, generator)
                weight.mul_(scale)
            for bias in (module.bias_ih, module.bias_hh):
                own = bound if init == "torch" else 0.0
                bias.uniform_(-own, own, generator=generator)
    renew_wrapped(network)


def renew_wrapped(network: nn.Module) -> None:
    """Restart norms around layers from the layers' present weights, which may be newer than the norm."""
    for module in network.modules():
        if isinstance(module, Reparametrized):
            module.restart()


def network_errors(
    *,
    hidden: Sequence[int],
    norm: str | None,
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
    affine: bool = True,
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
    if norm == SCALE_SHIFT.name and place == "split":
        yield f"norm {norm!r} does not normalize, and cannot be split; place='after' shifts behind the activation."
    if norm == SCALE_SHIFT.name and not affine:
        yield f"norm {norm!r} without scale and shift is norm 'none'; leave affine as it is."
    fits = True
    for sentence in _layout_errors(shape, hidden, channels, kernel):
        fits = False
        yield sentence
    try:
        chosen = standing(norm)
    except ConfigError as error:
        yield from error.sentences
    else:
        if fits and set(sites) <= set(SITES):
            layers = _layers(shape, outputs, hidden, channels, kernel)
            yield from dict.fromkeys(_norm_errors(chosen, shape, layers, sites, norm_kwargs or {}, batch))


def _single(got: object) -> bool:
    """Whether one value stands where a list belongs."""
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
    """Tries the norm at each of its sites, on one batch of zeros, and yields what stops it."""
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
