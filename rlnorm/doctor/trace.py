"""One pass through a copy of a network, watched: what reaches each norm, from where, and what leaves the network."""

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer

from rlnorm.errors import ConfigError
from rlnorm.nn import Moded, Reparametrized

Args = tuple[Any, ...]
Forward = Callable[[nn.Module], Sequence[Tensor]]
PRODUCT = re.compile("mm|conv|linear", re.IGNORECASE)


@dataclass(frozen=True)
class Trace:
    """What one pass showed; modules by their paths.

    inputs   what each norm, and each module with buffers of its own, was called with first
    biased   norm -> the layer with a bias that stands right before it
    outputs  norms behind which no weight stands any more
    error    why the pass failed; empty where it did not
    """

    inputs: dict[str, Args] = field(default_factory=dict)
    biased: dict[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    error: str = ""


def norms(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every norm in `root` with its path: ours, torch's, and others that look like one.

    Others: modules without children whose class is named after a norm or that keep `running_*` buffers.
    """
    for path, module in root.named_modules():
        leaf = next(module.children(), None) is None
        named = "norm" in type(module).__name__.lower() and not isinstance(module, nn.Linear | _ConvNd)
        keeps = any(name.startswith("running_") for name in module._buffers)
        if isinstance(module, Moded | _NormBase) or (leaf and (named or keeps)):
            yield path, module


def on_weights(path: str, module: nn.Module) -> bool:
    """Whether a norm acts on weights and not on what passes through the network."""
    return isinstance(module, Reparametrized) or ".parametrizations." in f".{path}"


def duplicate(network: nn.Module) -> nn.Module:
    """A deep copy without optimizers. Tensors that stand in a graph, which torch does not copy, are cut out of it.

    Raises ConfigError for what cannot be copied.
    """
    memo: dict[int, Any] = {}
    for module in network.modules():
        for held in _held(module):
            if isinstance(held, Optimizer):
                memo[id(held)] = None
            elif isinstance(held, Tensor) and not held.is_leaf:
                memo[id(held)] = held.detach().clone()
    try:
        return copy.deepcopy(network, memo)
    except Exception as error:
        raise ConfigError(f"{type(network).__name__} cannot be copied: {type(error).__name__}: {error}.") from error


def _held(module: nn.Module) -> Iterator[object]:
    """What a module keeps as plain attributes, and the objects in those (a distribution's tensors)."""
    for value in list(vars(module).values()):
        yield value
        if hasattr(value, "__dict__") and not isinstance(value, nn.Module | Tensor | type | Optimizer):
            for inner in list(vars(value).values()):
                yield inner
                if isinstance(inner, torch.distributions.Distribution):
                    yield from vars(inner).values()


def optimizers(network: nn.Module) -> Iterator[tuple[str, Optimizer]]:
    """Optimizers that modules keep as attributes, with their paths."""
    for path, module in network.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, Optimizer):
                yield f"{path}.{name}".lstrip("."), value


def watch(network: nn.Module, forward: Forward) -> Trace:
    """Run `forward` over `network`, a copy that may change, and say what was seen up to its end or failure."""
    found = dict(norms(network))
    seen = Trace()
    weights: dict[Any, str] = {}
    leaving: dict[Any, str] = {}
    into: dict[str, Any] = {}

    def hook(path: str) -> Callable[..., None]:
        def saw(module: nn.Module, args: Args, out: object) -> None:
            node = getattr(out, "grad_fn", None)
            if node is not None and isinstance(module, nn.Linear | _ConvNd | Reparametrized):
                weights[node] = path
            if node is not None and path in found and not on_weights(path, module):
                leaving[node] = path
                into.setdefault(path, getattr(args[0], "grad_fn", None) if args else None)
            kept = tuple(arg.detach().clone() if isinstance(arg, Tensor) else arg for arg in args)
            seen.inputs.setdefault(path, kept)

        return saw

    watched = [
        (path, module)
        for path, module in network.named_modules()
        if path in found or module._buffers or isinstance(module, nn.Linear | _ConvNd | Reparametrized)
    ]
    handles = [module.register_forward_hook(hook(path)) for path, module in watched]
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    error = ""
    outputs: Sequence[Tensor] = ()
    try:
        with torch.enable_grad():
            outputs = forward(network)
    except Exception as failure:
        error = f"{type(failure).__name__}: {' '.join(str(failure).split())[:160]}"
    finally:
        for handle in handles:
            handle.remove()
    biased = {path: weights[node] for path, node in into.items() if node in weights}
    biased = {path: layer for path, layer in biased.items() if _has_bias(network.get_submodule(layer))}
    # A norm by itself is no network with one on its output.
    last = tuple(_last(outputs, weights, leaving)) if weights else ()
    return Trace(seen.inputs, biased, last, error)


def _has_bias(layer: nn.Module) -> bool:
    return getattr(layer.layer if isinstance(layer, Reparametrized) else layer, "bias", None) is not None


def _last(outputs: Sequence[Tensor], weights: dict[Any, str], leaving: dict[Any, str]) -> Iterator[str]:
    """Norms met on the way back from the outputs before any product with weights."""
    open_ = [out.grad_fn for out in outputs]
    met: set[Any] = set()
    while open_:
        node = open_.pop()
        if node is None or node in met:
            continue
        met.add(node)
        if node in leaving:
            yield leaving[node]
        elif node not in weights and not PRODUCT.search(node.name()):
            open_ += [before for before, _ in node.next_functions]
