r"""Probes of a supervised run, taken of every layer at a throttled rate, in the groups that `Settings.measure` names.

    layers     `rlnorm.probes` of the batch that is learned from; moments of each layer's inputs and how they drift;
               scales and shifts of norms; with some of the probes, a snapshot of the first member
               (`rlnorm.probes.snapshots`)
    below      how the gradient of a layer changes when the layers below it take this step (Santurkar et al. 2018,
               definition 2.1: their internal covariate shift)
    line       loss and gradient along the gradient     } `rlnorm.supervised.landscape`
    hessian    extreme eigenvalues of the Hessian       }
    batches    how statistics and outputs vary from batch to batch
    linearity  how close activations and the network are to linear maps

Gradients, `below`, `line` and `hessian` are of the loss in training mode on the batch that is learned from, with its
dropout and noise, before the optimizer's clipping and weight decay. Moments and their drift are those in training mode,
with noise, over fixed training examples in batches of the training size: parameters alone make them move.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from rlnorm.nn import Identity, Mode, set_mode
from rlnorm.population import Tensors
from rlnorm.probes import NETWORK, Moments, Probe, State, Times, plain, probe, snapshot
from rlnorm.probes.formulas import EPS, by_unit, distance, length, mean_gap, moments, spread_gap
from rlnorm.supervised.data import Data
from rlnorm.supervised.landscape import along_gradient, gradient_of, hessian_ends
from rlnorm.supervised.learners import Learners

DIGITS = 4  # of a probe in a record
EXAMPLES, MOST_BATCHES = 512, 32  # fixed examples that moments are taken of, in at most so many batches
FITTED = 1024  # examples that linear maps are fitted to
SHARED = 8  # examples that are put into every batch, one at a time

_SANTURKAR = "Santurkar et al. 2018, arXiv:1805.11604"
OWN_PROBES: Mapping[str, Probe] = {
    "input_mean": Probe(
        "mean of a layer's inputs, RMS over units", "1", ("layer", "activation"), "Ioffe & Szegedy 2015"
    ),
    "input_std": Probe(
        "standard deviation of a layer's inputs, RMS over units", "1", ("layer", "activation"), "Ioffe & Szegedy 2015"
    ),
    "mean_drift": Probe(
        "how far the mean of a layer's inputs moved since the last probe, RMS over units",
        "earlier standard deviations", ("layer", "activation"), "Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 4.1",
    ),
    "spread_drift": Probe(
        "how far the standard deviation of a layer's inputs moved since the last probe, RMS over units", "nats",
        ("layer", "activation"), "Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 4.1",
    ),
    "gamma_norm": Probe("length of a norm's scales", "1", ("norm",), "Ioffe & Szegedy 2015, sec. 3"),
    "beta_norm": Probe("length of a norm's shifts", "1", ("norm",), "Ioffe & Szegedy 2015, sec. 3"),
    "gamma_change": Probe("distance of a norm's scales from 1, RMS over units", "1", ("norm",), "study note N2"),
    "identity_distance": Probe(
        "distance of a norm's outputs from its inputs", "fraction of the inputs' length", ("norm",), "study note N3"
    ),
    "gradient_change": Probe(
        "distance of the gradient from that after the layers below took their step", "fraction of its length",
        ("layer",), f"{_SANTURKAR}, definition 2.1",
    ),
    "gradient_cosine": Probe(
        "cosine between the gradient and that after the layers below took their step", "1", ("layer",),
        f"{_SANTURKAR}, definition 2.1",
    ),
    "loss_low": Probe("least change of the loss along the gradient", "loss", ("network",), f"{_SANTURKAR}, sec. 3.1"),
    "loss_high": Probe(
        "largest change of the loss along the gradient", "loss", ("network",), f"{_SANTURKAR}, sec. 3.1"
    ),
    "gradient_turn": Probe(
        "largest change of the gradient along the gradient", "fraction of its length", ("network",),
        f"{_SANTURKAR}, sec. 3.1",
    ),
    "smoothness": Probe(
        "largest change of the gradient along the gradient, per distance", "loss per squared weight", ("network",),
        f"{_SANTURKAR}, sec. 3.1",
    ),
    "hessian_top": Probe(
        "largest eigenvalue of the loss's Hessian", "loss per squared weight", ("network",),
        "Ghorbani et al. 2019, arXiv:1901.10159",
    ),
    "hessian_bottom": Probe(
        "smallest eigenvalue of the loss's Hessian", "loss per squared weight", ("network",),
        "Ghorbani et al. 2019, arXiv:1901.10159",
    ),
    "mean_spread": Probe(
        "standard deviation over batches of the batch mean of a layer's inputs, RMS over units",
        "standard deviations of all inputs", ("layer", "activation", "norm"), "study note N2",
    ),
    "std_spread": Probe(
        "standard deviation over batches of the logarithm of the batch standard deviation, RMS over units", "nats",
        ("layer", "activation", "norm"), "study note N2",
    ),
    "output_spread": Probe(
        "standard deviation of one example's outputs over the batches that it may stand in",
        "standard deviations of all outputs", ("network",), "study note N0",
    ),
    "linearity": Probe(
        "squared correlation of an activation's outputs with its inputs, mean over units; for the network, variance of "
        "its outputs that a linear map of its inputs explains", "fraction of the variance", ("activation", "network"),
        "study notes N2, N3",
    ),
}  # fmt: skip
"""Probes beside those of `rlnorm.probes`. Drift has the same names there, measured with running statistics."""


class Probing:
    """Probes of `learners`, at the first update in each of `times` equal parts of a run of `updates` updates.

    groups  names from `rlnorm.supervised.settings.MEASURES`
    batch   examples per update
    """

    def __init__(self, learners: Learners, data: Data, groups: list[str], *, times: int, updates: int, batch: int):
        self._learners, self._groups, self._times = learners, groups, Times(times, updates)
        self._network = learners.population.member(0)
        self._earlier, self._taken = dict[str, Moments](), dict[str, Any]()
        count = min(max(EXAMPLES // batch, 2), MOST_BATCHES, data.rows.shape[1] // batch)
        self._batches = data.train(torch.from_numpy(data.rows[:, : count * batch]))[0].unflatten(1, (count, batch))
        self._fitted = data.train(torch.from_numpy(data.rows[:, :FITTED]))[0]
        self._layers = [name for name, _ in self._network.named_children()]

    def update(self, step: int, inputs: Tensor, targets: Tensor) -> Tensor:
        """`Learners.update` number `step`, counted from 1; measured before it where it is time to."""
        due, snapshot_due = self._times.due(step)
        if not due:
            return self._learners.update(inputs, targets)
        population = self._learners.population
        before = State(population.parameters.views, population.buffers.views).copy()
        gradients = self._learners.gradients(inputs, targets)
        loss = self._learners.update(inputs, targets)
        if values := self._measure(before, inputs, targets, gradients):
            self._taken["probes"] = values
        if snapshot_due and "layers" in self._groups:
            own = {name: gradient[0] for name, gradient in gradients.items()}
            self._taken["snapshot"] = snapshot(self._network, before.member(0), inputs[0], gradients=own)
        return loss

    def take(self) -> dict[str, Any]:
        """What was measured since the last call, as part of a record.

        "probes" is layer -> probe -> a number per member, and "snapshot" layer -> what -> histogram.
        """
        taken, self._taken = self._taken, {}
        return taken

    def _measure(self, before: State, inputs: Tensor, targets: Tensor, gradients: Tensors) -> dict[str, Any]:
        values: dict[str, dict[str, Tensor]] = {}

        def note(layer: str, **probes: Tensor) -> None:
            values.setdefault(layer, {}).update({name: value.detach() for name, value in probes.items()})

        def loss(parameters: Tensor) -> Tensor:
            named, buffers = self._named(parameters), {name: b.clone() for name, b in before.buffers.items()}
            return self._learners.losses(named, buffers, inputs, targets, "train")

        flat = torch.cat([view.flatten(1) for view in before.parameters.values()], 1)
        if "layers" in self._groups:
            given = {"gradients": gradients, "after": self._learners.population.parameters.views}
            found = vmap(lambda state, x, given: probe(self._network, state, x, **given))(before, inputs, given)
            for layer, probes in found.values.items():
                note(layer, **probes)
        if {"layers", "batches"} & set(self._groups):
            seen = self._look(before, self._batches, "train")
            if "layers" in self._groups:
                self._note_layers(before, seen, note)
            if "batches" in self._groups and self._batches.shape[1] > 1:
                self._note_batches(before, seen, note)
        if "below" in self._groups:
            self._note_below(before, loss, flat, note)
        if "line" in self._groups:
            note(NETWORK, **along_gradient(loss, flat, self._learners.rates))
        if "hessian" in self._groups:
            low, high = hessian_ends(loss, flat)
            note(NETWORK, hessian_bottom=low, hessian_top=high)
        if "linearity" in self._groups:
            self._note_linearity(before, note)
        return {layer: {n: _short(v) for n, v in probes.items()} for layer, probes in plain(values).items()}

    def _named(self, parameters: Tensor) -> Tensors:
        """(N, P) -> parameters by name, (N, *shape) each."""
        views = self._learners.population.parameters.views
        parts = parameters.split([view[0].numel() for view in views.values()], 1)
        return {name: part.view(view.shape) for (name, view), part in zip(views.items(), parts)}

    def _look(self, state: State, batches: Tensor, mode: Mode) -> dict[str, tuple[Tensor, Tensor]]:
        """Inputs and outputs of every layer, norm and activation: batches (N, K, B, ...) -> (N, K, n, units) each."""
        network = set_mode(deepcopy(self._network), mode)

        def one(parameters: Tensors, buffers: Tensors, x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
            seen: dict[str, tuple[Tensor, Tensor]] = {}

            def hook(layer: str) -> Any:
                def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
                    y = output if isinstance(output, Tensor) else output[0]
                    seen[layer] = by_unit(inputs[0], _axis(inputs[0])), by_unit(y, _axis(y))

                return keep

            children = dict(network.named_children()).items()
            handles = [m.register_forward_hook(hook(n)) for n, m in children if _watched(n, m)]
            try:
                output = functional_call(network, (parameters, buffers), (x,))
            finally:
                for handle in handles:
                    handle.remove()
            seen[NETWORK] = x.flatten(1), output
            return seen

        found = []
        with torch.no_grad():
            for x in batches.unbind(1):
                buffers = {name: buffer.clone() for name, buffer in state.buffers.items()}
                found.append(vmap(one)(dict(state.parameters), buffers, x))
        return {
            n: (torch.stack([f[n][0] for f in found], 1), torch.stack([f[n][1] for f in found], 1)) for n in found[0]
        }

    def _note_layers(self, state: State, seen: Mapping[str, tuple[Tensor, Tensor]], note: Any) -> None:
        own: dict[str, Moments] = {}
        for layer, (x, y) in seen.items():
            if layer.startswith("norm"):
                note(layer, identity_distance=vmap(lambda y, x: distance([y], [x]))(y, x))
            elif layer != NETWORK:
                own[layer] = vmap(moments)(x.flatten(1, 2))
                mean, var = own[layer]
                note(layer, input_mean=mean.square().mean(1).sqrt(), input_std=var.mean(1).sqrt())
                if layer in self._earlier:
                    then = self._earlier[layer]
                    note(layer, mean_drift=vmap(mean_gap)(own[layer], then))
                    note(layer, spread_drift=vmap(spread_gap)(own[layer], then))
        self._earlier = own
        for name, view in state.parameters.items():
            layer, _, kind = name.rpartition(".")
            if layer.startswith(("norm", "affine")):
                size = view.square().sum(1).sqrt()
                if kind == "weight":
                    note(layer, gamma_norm=size, gamma_change=(view - 1).square().mean(1).sqrt())
                elif kind == "bias":
                    note(layer, beta_norm=size)

    def _note_batches(self, state: State, seen: Mapping[str, tuple[Tensor, Tensor]], note: Any) -> None:
        for layer, (x, _) in seen.items():
            if layer != NETWORK:
                mean, var = x.mean(2), x.var(2, correction=0)
                whole = x.flatten(1, 2).var(1, correction=0) + EPS
                note(layer, mean_spread=(mean.var(1) / whole).mean(1).sqrt())
                note(layer, std_spread=(0.5 * (var + EPS).log()).var(1).mean(1).sqrt())
        # One example at a time takes the first place of every batch.
        shared = self._fitted[:, :SHARED]
        x = self._batches.unsqueeze(1).repeat_interleave(shared.shape[1], 1)
        x[:, :, :, 0] = shared.unsqueeze(2)
        given = dict(state.parameters), dict(state.buffers)
        outputs = self._learners.population.in_batches(x.flatten(1, 2), "batch", *given).unflatten(1, x.shape[1:3])
        spread = outputs[:, :, :, 0].var(2).mean((1, 2))
        whole = outputs.flatten(1, 3).var(1, correction=0).mean(1)
        note(NETWORK, output_spread=(spread / (whole + EPS)).sqrt())

    def _note_below(self, before: State, loss: Any, flat: Tensor, note: Any) -> None:
        _, gradient, _ = gradient_of(loss, flat)
        of, after = self._named(gradient), self._learners.population.parameters.views
        mixed = {name: view.clone() for name, view in before.parameters.items()}
        for number, layer in enumerate(self._layers):
            names = [name for name in mixed if name.startswith(f"{layer}.")]
            weights = [name for name in names if mixed[name].ndim > 2]
            if weights and number:
                _, moved, _ = gradient_of(loss, torch.cat([view.flatten(1) for view in mixed.values()], 1))
                there = self._named(moved)
                new, old = (torch.cat([g[name].flatten(1) for name in weights], 1) for g in (there, of))
                note(layer, gradient_change=vmap(lambda a, b: distance([a], [b]))(new, old))
                sizes = vmap(lambda a, b: length([a]) * length([b]))(new, old)
                note(layer, gradient_cosine=(new * old).sum(1) / sizes)
            for name in names:
                mixed[name] = after[name]

    def _note_linearity(self, state: State, note: Any) -> None:
        for layer, (x, y) in self._look(state, self._fitted.unsqueeze(1), "eval").items():
            x, y = x.squeeze(1).double(), y.squeeze(1).double()
            x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
            if layer == NETWORK:
                note(layer, linearity=vmap(explained)(x, y).float())
            elif layer.startswith("activation"):
                both = (x * y).sum(1).square() / (x.square().sum(1) * y.square().sum(1)).clamp(min=1e-30)
                note(layer, linearity=both.mean(1).float())


def explained(x: Tensor, y: Tensor) -> Tensor:
    """Share of the variance of y (n, outputs) that a linear map of x (n, inputs) explains; both have mean 0.

    A ridge of 1e-6 of the mean variance of inputs makes constant inputs harmless.
    """
    gram = x.mT @ x
    ridge = 1e-6 * gram.diagonal().mean() * torch.eye(gram.shape[0], dtype=x.dtype)
    fitted = x @ torch.linalg.solve(gram + ridge, x.mT @ y)
    return 1 - (y - fitted).square().sum() / y.square().sum()


def _watched(name: str, module: nn.Module) -> bool:
    """Whether a child is a layer, an activation, or a norm that does something."""
    kinds = ("linear", "conv", "recurrent", "output", "norm", "activation")
    return name.startswith(kinds) and not isinstance(module, Identity)


def _axis(x: Tensor) -> int:
    """The axis of units: a map's channels, else the last."""
    return 1 if x.ndim == 4 else -1


def _short(values: list[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
