r"""Probes taken on any torch module: with norms of `rlnorm.nn` or torch's, Linear and convolutions, vectors or images.

Two passes over one batch: one with running statistics, whatever a model acts with, where activities, inputs and outputs
are looked at; and, where there are running statistics, one with the batch's own, as in training. In the second every
norm's momentum is 1, so that its running statistics then are the batch's, as the norm itself takes them. Both passes
work on copies of the inputs and buffers. Modes, hooks and torch's random numbers are put back: a model is afterwards
what it was, to the bit.

Measure before the batch is learned from: afterwards running statistics hold a fraction `momentum` of it, and gaps would
be smaller by that fraction, a tenth for batch normalization and a hundredth for batch renormalization.

The effective learning rate is the measured |w' - w| / |w| of an update from w to w', of any optimizer. Weights before a
norm are scale invariant: their gradient at w is that at w/|w| divided by |w|, so a step of gradient descent turns them
by (lr / |w|^2) |dL/d(w/|w|)|, and lr / |w|^2 is the rate on the unit sphere (van Laarhoven 2017, eq. 8 ff.; Hoffer et
al. 2018, sec. 2).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd

from rlnorm.nn import SELU, Mode, Moded, Reparametrized, set_mode
from rlnorm.nn.state import moments_of, running_norms, start_values
from rlnorm.nn.statistics import observing
from rlnorm.probes import formulas
from rlnorm.probes.formulas import Moments
from rlnorm.probes.nested import copied, tensors

Tensors = Mapping[str, Tensor]
Values = dict[str, dict[str, Tensor]]
"""Layer -> probe -> its value, a tensor without dimensions."""

NETWORK = "network"
"""The name under which probes of the whole network are filed."""

WEIGHTED = (nn.Linear, _ConvNd, Reparametrized)
RECTIFIERS = (nn.ReLU, nn.ReLU6)
ACTIVATIONS = (
    *RECTIFIERS, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Sigmoid,
    nn.Tanh, nn.Hardtanh, SELU,
)  # fmt: skip


class State(NamedTuple):
    """Parameters and buffers of a network by name."""

    parameters: Tensors
    buffers: Tensors

    @classmethod
    def of(cls, network: nn.Module) -> "State":
        """The network's own, without gradients; in memory that is the network's."""
        return cls({n: p.detach() for n, p in network.named_parameters()}, dict(network.named_buffers()))

    def copy(self) -> "State":
        """The same values, which later updates do not change."""
        return State(*({name: x.clone() for name, x in tensors.items()} for tensors in self))

    def member(self, i: int) -> "State":
        """Row i of tensors (N, *shape) of N networks."""
        return State(*({name: x[i] for name, x in tensors.items()} for tensors in self))


class Probed(NamedTuple):
    """Measurements, and the input moments of each layer, from which a later measurement computes their drift."""

    values: Values
    inputs: dict[str, Moments]


def measure(
    network: nn.Module,
    *inputs: Any,
    target: nn.Module | None = None,
    gradients: Tensors | None = None,
    after: Tensors | None = None,
    earlier: Mapping[str, Moments] | None = None,
) -> dict[str, dict[str, float]]:
    """Every probe that the arguments suffice for -> layer -> probe -> value. `PROBES` says what they are.

    inputs     what the network is called with: at least 2 examples where norms take batch statistics. Outputs may be
               nested in tuples, lists, dicts, dataclasses and distributions
    target     a network of the same architecture
    gradients  of parameters, by name
    after      parameters after the next update, by name
    earlier    moments of the layers' inputs at an earlier time, from `probe`

    Layers have their names in `network.named_modules()`; a layer used several times shows its last use. Raises
    ValueError where the network returns no floating-point tensor.
    """
    targets = None if target is None else State.of(target)
    found = probe(
        network, State.of(network), *inputs, target=targets, gradients=gradients, after=after, earlier=earlier
    )
    return plain(found.values)


def plain(values: Values) -> dict[str, dict[str, Any]]:
    """The same with numbers in place of tensors, or lists of them in place of tensors with a member axis."""
    rows = [value for probes in values.values() for value in probes.values()]
    numbers = iter(torch.stack(rows).tolist() if rows else ())
    return {layer: {name: next(numbers) for name in probes} for layer, probes in values.items()}


@torch.no_grad()
def probe(
    network: nn.Module,
    state: State,
    *inputs: Any,
    target: State | None = None,
    gradients: Tensors | None = None,
    after: Tensors | None = None,
    earlier: Mapping[str, Moments] | None = None,
) -> Probed:
    """As `measure`, of `network` with the values in `state` in place of its own; can be run under `vmap`."""
    values: Values = {}

    def note(layer: str, **probes: Tensor) -> None:
        values.setdefault(layer or NETWORK, {}).update(probes)

    norms = dict(running_norms(network))
    seen = _Seen(network, norms)
    outputs, _ = run_with(network, state, inputs, "eval", seen.hooks())
    for layer, x in seen.inputs.items():
        if earlier is not None and layer not in norms:
            now, then = x, earlier[layer]
            note(layer, mean_drift=formulas.mean_gap(now, then), spread_drift=formulas.spread_gap(now, then))
    for layer, h in seen.activities.items():
        if isinstance(network.get_submodule(layer), RECTIFIERS):
            note(layer, dead=formulas.dead(h))
        note(layer, dormant=formulas.dormant(h), rank=formulas.rank(h))

    if norms:
        own = _Seen(network, norms)
        own_outputs, buffers = run_with(network, state, inputs, "train", own.hooks())
        note("", mode_gap=formulas.distance(own_outputs, outputs))
        for layer in seen.outputs:
            note(layer, mode_gap=formulas.distance([own.outputs[layer]], [seen.outputs[layer]]))
            note(layer, **_gaps(layer, norms[layer], state.buffers, buffers, seen.inputs[layer].var))
    for layer, names in weights_of(network).items():
        weights = [state.parameters[name] for name in names]
        note(layer, weight_norm=formulas.length(weights))
        if gradients is not None and all(name in gradients for name in names):
            note(layer, gradient_norm=formulas.length(gradients[name] for name in names))
        if after is not None:
            note(layer, effective_rate=formulas.distance([after[name] for name in names], weights))
        if target is not None:
            note(layer, target_distance=formulas.distance(weights, [target.parameters[name] for name in names]))
    if target is not None:
        note("", target_q_gap=formulas.distance(outputs, run_with(network, target, inputs, "eval", {})[0]))
    return Probed(values, {layer: x for layer, x in seen.inputs.items() if layer not in norms})


def _gaps(layer: str, norm: nn.Module, running: Tensors, batch: Tensors, var: Tensor) -> dict[str, Tensor]:
    """Gaps of one norm in what it keeps; arguments as for `moments_of_both`."""
    gap = {"mean": formulas.mean_gap, "spread": formulas.spread_gap}
    both = moments_of_both(layer, norm, running, batch, var)
    return {f"{which}_gap": gap[which](now, then) for which, now, then in both}


def moments_of_both(
    layer: str, norm: nn.Module, running: Tensors, batch: Tensors, var: Tensor
) -> Iterator[tuple[str, Moments, Moments]]:
    """What a norm keeps, of "mean" and "spread", each with the batch's moments and the running ones.

    running, batch   buffers of the network by name: as they are, and after a pass whose statistics took their place
    var              variances of the batch, which stand in where a norm keeps means alone
    """

    def of(buffers: Tensors) -> tuple[Tensor | None, Tensor | None]:
        return moments_of(norm, {name: buffers[_join(layer, name)] for name in start_values(norm)})

    (mean, own_var), (then_mean, then_var) = of(batch), of(running)
    if mean is not None and then_mean is not None:
        yield "mean", Moments(mean, var), Moments(then_mean, var if then_var is None else then_var)
    if own_var is not None and then_var is not None:
        yield "spread", Moments(var, own_var), Moments(var, then_var)


def weights_of(network: nn.Module) -> dict[str, list[str]]:
    """Layer -> names of its parameters of two dimensions or more; gains, biases, gamma and beta are left out."""
    inner = {id(m.layer) for m in network.modules() if isinstance(m, Reparametrized)}
    return {
        layer: [_join(layer, name) for name, parameter in module.named_parameters() if parameter.ndim > 1]
        for layer, module in network.named_modules()
        if isinstance(module, WEIGHTED) and id(module) not in inner
    }


class _Seen:
    """What hooks see in a pass: moments of the inputs of layers and norms, outputs of norms, (n, units) of activations.

    Units of an activation are on the axis where the layer before it has its own: last for a Linear, second for a map.
    """

    def __init__(self, network: nn.Module, norms: Mapping[str, nn.Module]):
        self.inputs: dict[str, Moments] = {}
        self.outputs: dict[str, Tensor] = {}
        self.activities: dict[str, Tensor] = {}
        self._network, self._norms, self._axis = network, norms, -1

    def hooks(self) -> dict[nn.Module, Callable[..., None]]:
        """A forward hook for every module of interest."""

        def hook(layer: str, module: nn.Module) -> Callable[..., None]:
            def look(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
                # Layers may be called by keyword, and what they return may be changed in place afterwards.
                self._look(layer, module, next(tensors((args, kwargs))), output.clone())

            return look

        kinds = (*WEIGHTED, *ACTIVATIONS)
        found = self._network.named_modules()
        return {m: hook(name, m) for name, m in found if isinstance(m, kinds) or name in self._norms}

    def _look(self, layer: str, module: nn.Module, x: Tensor, output: Tensor) -> None:
        if isinstance(module, ACTIVATIONS):
            self.activities[layer] = formulas.by_unit(output, self._axis)
        elif layer in self._norms:
            self.inputs[layer] = formulas.moments(formulas.by_unit(x, 1))
            self.outputs[layer] = output
        else:
            own = module.layer if isinstance(module, Reparametrized) else module
            self._axis = -1 if isinstance(own, nn.Linear) else 1
            self.inputs[layer] = formulas.moments(formulas.by_unit(x, self._axis))


def run_with(
    network: nn.Module,
    state: State,
    inputs: tuple[Any, ...],
    mode: Mode,
    hooks: Mapping[nn.Module, Callable[..., None]],
) -> tuple[list[Tensor], Tensors]:
    """One pass in a mode -> every floating-point tensor in its output, and the buffers after it, which are copies."""
    buffers = {name: buffer.clone() for name, buffer in state.buffers.items()}
    devices = {p.device for p in state.parameters.values() if p.is_cuda}
    with torch.random.fork_rng(devices), _posing(network, mode):
        handles = [module.register_forward_hook(hook, with_kwargs=True) for module, hook in hooks.items()]
        try:
            # A network may change its inputs in place, and they are needed again.
            output = functional_call(network, (dict(state.parameters), buffers), copied(inputs))
        finally:
            for handle in handles:
                handle.remove()
    outputs = [x for x in tensors(output) if x.is_floating_point()]
    if not outputs:
        raise ValueError(f"{type(network).__name__} returns no floating-point tensor to measure, got: {output!r:.80}")
    return outputs, buffers


@contextmanager
def _posing(network: nn.Module, mode: Mode) -> Iterator[None]:
    """Within, norms are in `mode` and take all of a batch for their running statistics; the rest is in eval mode."""
    modes = [(module, module.training) for module in network.modules()]
    own: list[tuple[Moded, Mode]] = [(norm, norm.mode) for norm in network.modules() if isinstance(norm, Moded)]
    try:
        for module, _ in modes:
            module.training = False
        set_mode(network, mode)
        with observing(network):
            yield
    finally:
        for module, training in modes:
            module.training = training
        for norm, before in own:
            norm.mode = before


def _join(layer: str, name: str) -> str:
    return f"{layer}.{name}" if layer else name
