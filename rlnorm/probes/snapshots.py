r"""How the values in a network are distributed, layer by layer: histograms of one network, small enough to keep.

A norm stands at a site, a module named `norm...` as `rlnorm.networks` names it; the identity stands there in a network
without norms, and where a norm wraps the layer before. A histogram is data:

    min, max   of its values
    counts     how many values lie in each of so many bins of one width from min to max

so that the limits of its bins are linspace(min, max, len(counts) + 1); where all values are one, they are one bin
without width. What is not finite is left out.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rlnorm.nn import Identity
from rlnorm.nn.state import running_norms
from rlnorm.probes import formulas
from rlnorm.probes.measure import State, Tensors, moments_of_both, run_with, weights_of

BINS = 30
"""Of a histogram: as many as TensorBoard draws."""
DIGITS = 9  # those of a float32
SNAPSHOTS = 5
"""Most of a run."""

Histogram = dict[str, Any]
Snapshot = dict[str, dict[str, Histogram]]
"""Layer -> what is distributed -> its histogram."""

DISTRIBUTED = {
    "before": "activations before a norm, or where one would stand",
    "after": "activations after a norm",
    "gamma": "scales of a norm",
    "beta": "shifts of a norm",
    "mean_offset": "distance of the batch's mean from the running one, of each unit, in running standard deviations",
    "spread_offset": "logarithm of the batch's standard deviation over the running one, of each unit",
    "gradient": "gradient of a layer's weights, as the optimizer was given it",
}
"""What a snapshot holds, by name."""


class Times:
    """When the probes and snapshots of a run of `steps` steps are due.

    A probe is due at the first step in each of `times` equal parts that is asked about. A snapshot is due with the
    first probe, with the last, and evenly between; none in a run of one step, which has no course to show.
    """

    def __init__(self, times: int, steps: int):
        self._times, self._steps = times, steps
        self._next, self._next_snapshot = 0, 0 if steps > 1 else SNAPSHOTS

    def due(self, step: int) -> tuple[bool, bool]:
        """Whether a probe is due at `step`, counted from 1, and whether a snapshot is."""
        part = (step - 1) * self._times // self._steps
        if not self._times or part < self._next:
            return False, False
        self._next = part + 1
        number = part * (SNAPSHOTS - 1) // max(self._times - 1, 1)
        if number < self._next_snapshot:
            return True, False
        self._next_snapshot = number + 1
        return True, True


@torch.no_grad()
def snapshot(network: nn.Module, state: State, *inputs: Any, gradients: Tensors) -> Snapshot:
    """Histograms of `network` with the values in `state`, of everything in `DISTRIBUTED`; the network stays as it is.

    inputs     what the network is called with: at least 2 examples where norms take batch statistics
    gradients  of parameters, by name

    Activations are those under running statistics, whatever the network learns with.
    """
    found: Snapshot = {}
    for layer, what, values in _distributed(network, state, inputs, gradients):
        own = histogram(values)
        if own is not None:
            found.setdefault(layer, {})[what] = own
    return found


def histogram(values: Tensor) -> Histogram | None:
    """The histogram of the finite ones of `values`, of any shape; None where there is none."""
    x = values[values.isfinite()].double().numpy()
    if not len(x):
        return None
    low, high = x.min(), x.max()
    counts = np.histogram(x, BINS, (low, high))[0].tolist() if low < high else [len(x)]
    return {"min": float(f"{low:.{DIGITS}g}"), "max": float(f"{high:.{DIGITS}g}"), "counts": counts}


def _distributed(
    network: nn.Module, state: State, inputs: tuple[Any, ...], gradients: Tensors
) -> Iterator[tuple[str, str, Tensor]]:
    sites = {name: module for name, module in network.named_modules() if _leaf(name).startswith("norm")}
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def look_at(site: str) -> Any:
        def look(_: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any], output: Tensor) -> None:
            seen[site] = args[0].clone(), output.clone()

        return look

    run_with(network, state, inputs, "eval", {module: look_at(name) for name, module in sites.items()})
    for site, (x, y) in seen.items():
        yield site, "before", x
        if not isinstance(sites[site], Identity):
            yield site, "after", y
    for name, parameter in state.parameters.items():
        layer, _, kind = name.rpartition(".")
        if _leaf(layer).startswith(("norm", "affine")) and kind in ("weight", "bias"):
            yield layer, "gamma" if kind == "weight" else "beta", parameter
    norms = {name: norm for name, norm in running_norms(network) if name in seen}
    if norms:
        _, batch = run_with(network, state, inputs, "train", {})
        offsets = {"mean": formulas.mean_offset, "spread": formulas.spread_offset}
        for name, norm in norms.items():
            var = formulas.moments(formulas.by_unit(seen[name][0], 1)).var
            for which, now, then in moments_of_both(name, norm, state.buffers, batch, var):
                yield name, f"{which}_offset", offsets[which](now, then)
    for layer, names in weights_of(network).items():
        if all(name in gradients for name in names):
            yield layer, "gradient", torch.cat([gradients[name].flatten() for name in names])


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]
