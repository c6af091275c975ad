"""One watched pass through a copy of a network: the calls of its modules, and where its norms stand."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from rlnorm.doctor.behaviour import is_norm
from rlnorm.doctor.calls import Call
from rlnorm.doctor.copies import duplicate, of_a_library, state
from rlnorm.doctor.findings import said
from rlnorm.nn import Moded, Reparametrized
from rlnorm.probes.nested import copied, tensors

Forward = Callable[[nn.Module], Sequence[Tensor]]
PRODUCT = re.compile("mm|conv|linear|rnn|lstm|gru", re.IGNORECASE)


@dataclass(frozen=True)
class Trace:
    """A record of one pass; modules by their paths.

    calls    first call of each module
    norms    every norm: those that a class tells, and those that behave like one, as they were at their first call
    biased   norm -> the layer with a bias that stands right before it
    outputs  norms behind which no weight stands any more
    error    why the pass failed; empty where it did not
    """

    calls: dict[str, Call] = field(default_factory=dict)
    norms: dict[str, nn.Module] = field(default_factory=dict)
    biased: dict[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    error: str = ""


def norms(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every norm in `root` that its class tells, with its path: ours, torch's, and others that look like one.

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


def watch(network: nn.Module, forward: Forward) -> Trace:
    """Run `forward` over `network`, a copy that may change, and record it up to its end or failure."""
    named = dict(norms(network))
    calls: dict[str, Call] = {}
    copies: dict[str, nn.Module] = {}
    weights: dict[Any, str] = {}
    leaving: list[tuple[Any, str]] = []
    into: dict[str, Any] = {}
    watching = True

    def before(path: str) -> Callable[..., None]:
        def saw(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = next(tensors((args, kwargs)), None)
            # Copies have these hooks too.
            if not watching or path in calls or x is None:
                return
            calls[path] = Call(copied(args), copied(kwargs))
            if path in named or _may_be_norm(module):
                into[path] = x.grad_fn
                copies[path] = duplicate(module)

        return saw

    def after(path: str) -> Callable[..., None]:
        def saw(module: nn.Module, args: object, out: object) -> None:
            node = getattr(out, "grad_fn", None)
            if node is None or not watching:
                return
            if isinstance(module, nn.Linear | _ConvNd | Reparametrized):
                weights[node] = path
            if path in copies and not on_weights(path, module):
                leaving.append((node, path))

        return saw

    for path, module in network.named_modules():
        module.register_forward_pre_hook(before(path), with_kwargs=True)
        module.register_forward_hook(after(path))
        for parameter in module.parameters(recurse=False):
            # The graph goes through frozen layers too. A frozen parameter of a class of one's own may be a statistic.
            if parameter.is_floating_point() and of_a_library(module):
                parameter.requires_grad_(True)
    error = ""
    outputs: Sequence[Tensor] = ()
    try:
        with torch.enable_grad():
            outputs = forward(network)
    except Exception as failure:
        error = said(failure)
    finally:
        watching = False
    found = {path: norm for path, norm in copies.items() if path in named or is_norm(norm, calls[path])}
    before_norm = {path: weights[into[path]] for path in found if into[path] in weights}
    biased = {path: layer for path, layer in before_norm.items() if _has_bias(network.get_submodule(layer))}
    # A norm by itself is no network with one on its output.
    last = _last(outputs, weights, {node: path for node, path in leaving if path in found}) if weights else ()
    return Trace(calls, found, biased, tuple(last), error)


def _may_be_norm(module: nn.Module) -> bool:
    """Whether only its behaviour can tell: a class of one's own, without children or with state."""
    leaf = next(module.children(), None) is None
    return not of_a_library(module) and (leaf or bool(state(module)))


def _has_bias(layer: nn.Module) -> bool:
    return getattr(layer.layer if isinstance(layer, Reparametrized) else layer, "bias", None) is not None


def _last(outputs: Sequence[Tensor], weights: dict[Any, str], leaving: dict[Any, str]) -> Iterator[str]:
    """Norms on the way back from the outputs, up to the first products with weights."""
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
