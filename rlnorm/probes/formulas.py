r"""What normalization is said to change, as formulas on the tensors of one layer, and the table of their names.

Activations are (n, units): `by_unit` makes channels the units of a map and its pixels further examples. Every function
is pure, returns tensors without dimensions and can be run under `vmap`.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

EPS = 1e-5
"""Added to variances that are divided by, as norms do: a unit that never varied does not make a gap infinite."""
TAU = 0.025
"""Below this fraction of its layer's mean activity a unit is dormant."""
DELTA = 0.01
"""Fraction of the singular values' sum that the effective rank leaves out."""


class Moments(NamedTuple):
    """Mean and variance of each unit, (units,) both."""

    mean: Tensor
    var: Tensor


def by_unit(x: Tensor, axis: int) -> Tensor:
    """x with its units on `axis` -> (n, units); n numbers are one unit."""
    if x.ndim == 1:
        return x.unsqueeze(1)
    return x.movedim(axis, -1).flatten(0, -2)


def moments(x: Tensor) -> Moments:
    """x (n, units) -> mean and biased variance over n."""
    mean = x.mean(0)
    return Moments(mean, (x - mean).square().mean(0))


def mean_offset(now: Moments, then: Moments) -> Tensor:
    """(mean_now - mean_then) / sqrt(var_then + EPS) of each unit, (units,)."""
    return (now.mean - then.mean) / (then.var + EPS).sqrt()


def mean_gap(now: Moments, then: Moments) -> Tensor:
    """Root mean square over units of `mean_offset`."""
    # Its square at once: through the root, digits of what was recorded before would change.
    return ((now.mean - then.mean).square() / (then.var + EPS)).mean().sqrt()


def spread_offset(now: Moments, then: Moments) -> Tensor:
    """ln(std_now / std_then) of each unit, EPS added to both variances, (units,): 0.69 is a factor of two."""
    return 0.5 * ((now.var + EPS) / (then.var + EPS)).log()


def spread_gap(now: Moments, then: Moments) -> Tensor:
    """Root mean square over units of `spread_offset`."""
    return spread_offset(now, then).square().mean().sqrt()


def distance(a: Iterable[Tensor], b: Iterable[Tensor]) -> Tensor:
    """|a - b| / |b|, both taken as one vector; 0 where they agree, inf where only b is zero."""
    pairs = list(zip(a, b, strict=True))
    difference = length(x - y for x, y in pairs)
    return torch.where(difference == 0, difference, difference / length(y for _, y in pairs))


def length(tensors: Iterable[Tensor]) -> Tensor:
    """Euclidean norm of all tensors taken as one vector."""
    return torch.stack([x.square().sum() for x in tensors]).sum().sqrt()


def dead(h: Tensor) -> Tensor:
    """Fraction of units that are zero for all examples, h (n, units) behind a ReLU."""
    return (h == 0).all(0).to(h.dtype).mean()


def dormant(h: Tensor) -> Tensor:
    """Fraction of units whose mean |h| is at most TAU times the layer's; all of them where every unit is dead."""
    activity = h.abs().mean(0)
    return (activity <= TAU * activity.mean()).to(h.dtype).mean()


def rank(h: Tensor) -> Tensor:
    """Least k for which the k largest singular values of h (n, units) hold 1 - DELTA of their sum, or NaN."""
    known = h.isfinite().all()
    # From the smaller of h'h and hh', at half the time of an SVD; in float64, so that small singular values stay small.
    exact = torch.where(known, h, 0).to(torch.float64)
    tall = exact if h.shape[0] >= h.shape[1] else exact.mT
    values = torch.linalg.eigvalsh(tall.mT @ tall).clamp(min=0).sqrt().flip(0)
    cumulated = values.cumsum(0)
    needed = (cumulated < (1 - DELTA) * cumulated[-1]).sum() + 1
    return torch.where(known, needed.to(h.dtype), torch.nan)


def overestimation(q: Tensor, discounted_return: Tensor) -> Tensor:
    """Mean of q - discounted_return, both (n,): the expected return of some states less the one that came."""
    return (q - discounted_return).mean()


class Probe(NamedTuple):
    """A probe: what it is, in which unit, where it is taken ("layer", "norm", "activation", "network"), the source."""

    what: str
    unit: str
    at: tuple[str, ...]
    source: str


_OFFSET = "Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 2"
PROBES: Mapping[str, Probe] = {
    "mean_gap": Probe(
        "distance of the batch's mean from the running one, RMS over units", "running standard deviations", ("norm",),
        "Ioffe 2017, arXiv:1702.03275, sec. 3 (its d)",
    ),
    "spread_gap": Probe(
        "distance of the batch's standard deviation from the running one, RMS over units", "nats", ("norm",),
        "Ioffe 2017, arXiv:1702.03275, sec. 3 (the logarithm of its r)",
    ),
    "mode_gap": Probe(
        "distance of the output under batch statistics from that under running ones", "fraction of the latter's length",
        ("norm", "network"), "Ioffe 2017, arXiv:1702.03275, sec. 2",
    ),
    "weight_norm": Probe("length of the weights", "1", ("layer",), "van Laarhoven 2017, arXiv:1706.05350"),
    "gradient_norm": Probe(
        "length of the gradient of the weights, as the optimizer was given it", "loss per unit of weight", ("layer",),
        "Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.3",
    ),
    "effective_rate": Probe(
        "effective learning rate: length of an update over that of the weights", "fraction of the weights' length",
        ("layer",), "van Laarhoven 2017, arXiv:1706.05350; Hoffer et al. 2018, arXiv:1803.01814",
    ),
    "mean_drift": Probe(
        "how far the mean of a layer's inputs moved since the last time, RMS over units", "earlier standard deviations",
        ("layer",), _OFFSET,
    ),
    "spread_drift": Probe(
        "how far the standard deviation of a layer's inputs moved since the last time, RMS over units", "nats",
        ("layer",), _OFFSET,
    ),
    "target_distance": Probe(
        "distance of the weights from the target network's", "fraction of the latter's length", ("layer",),
        "Mnih et al. 2015, doi:10.1038/nature14236",
    ),
    "target_q_gap": Probe(
        "distance of the outputs from the target network's, both with running statistics",
        "fraction of the latter's length", ("network",), "Mnih et al. 2015, doi:10.1038/nature14236",
    ),
    "dead": Probe(
        "ReLU units that are zero for the whole batch", "fraction of units", ("activation",),
        "Lu et al. 2019, arXiv:1903.06733",
    ),
    "dormant": Probe(
        f"units with at most {TAU} of their layer's mean activity", "fraction of units", ("activation",),
        "Sokar et al. 2023, arXiv:2302.12902, definition 3.1",
    ),
    "rank": Probe(
        f"effective rank: singular values of the features that make up {1 - DELTA:.0%} of their sum", "number",
        ("activation",), "Kumar et al. 2021, arXiv:2010.14498, definition 1",
    ),
    "overestimation": Probe(
        "expected return of the states where episodes began, less the discounted return that came", "return",
        ("network",), "van Hasselt et al. 2016, arXiv:1509.06461",
    ),
}  # fmt: skip
"""Every probe by its name: what tests, tags of TensorBoard and documentation are made from."""


def table() -> str:
    """`PROBES` in Markdown: the table of docs/probes.md."""
    head = ["| probe | what it is | unit | taken of each | source |", "|---|---|---|---|---|"]
    rows = (f"| `{n}` | {p.what} | {p.unit} | {', '.join(p.at)} | {p.source} |" for n, p in PROBES.items())
    return "\n".join([*head, *rows])
