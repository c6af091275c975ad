"""What normalization costs: a training step and inference with BN, LN and WN, and with BN folded away.

The layers are torch's own, the fastest at hand, so that not an implementation is judged but the norm.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.nn.utils.parametrizations import weight_norm

from rlnorm.claims._supervised import NOT_QUICK
from rlnorm.study.claim import PRESETS, Claim, Cost, Question, Work

MARGIN = 1.25
SHAPES = {"MLP": (64,), "conv": (3, 16, 16)}
BATCHES = {"MLP": (32, 256), "conv": (8, 64)}
AT_QUICK = (("MLP", 32), ("conv", 8))  # timing units run one at a time
CHUNK = 0.1  # seconds a turn: a disturbance that lasts as long is rare, and the fastest call of a turn counts

Layers = list[nn.Module]


def linear(inputs: int, outputs: int, norm: str) -> Layers:
    """A Linear layer with its norm behind it, in it (WN), or folded into it."""
    layer = nn.Linear(inputs, outputs)
    if norm == "folded":
        return [fuse_linear_bn_eval(layer.eval(), nn.BatchNorm1d(outputs).eval())]
    norms = {"none": [], "weight": [], "batch": [nn.BatchNorm1d(outputs)], "layer": [nn.LayerNorm(outputs)]}
    return [weight_norm(layer) if norm == "weight" else layer, *norms[norm]]


def conv(inputs: int, outputs: int, norm: str) -> Layers:
    """The same for a 3 x 3 convolution; LN over channels and pixels, which is one group."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    if norm == "folded":
        return [fuse_conv_bn_eval(layer.eval(), nn.BatchNorm2d(outputs).eval())]
    norms = {"none": [], "weight": [], "batch": [nn.BatchNorm2d(outputs)], "layer": [nn.GroupNorm(1, outputs)]}
    return [weight_norm(layer) if norm == "weight" else layer, *norms[norm]]


def network(name: str, norm: str) -> nn.Sequential:
    """Three hidden layers with ReLU, of 256 units or of 16 channels, and ten outputs."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        if name == "MLP":
            hidden = [linear(64, 256, norm), linear(256, 256, norm), linear(256, 256, norm)]
            last: Layers = [nn.Linear(256, 10)]
        else:
            hidden = [conv(3, 16, norm), conv(16, 16, norm), conv(16, 16, norm)]
            last = [nn.Flatten(), nn.Linear(16 * 16 * 16, 10)]
    return nn.Sequential(*(module for layers in hidden for module in (*layers, nn.ReLU())), *last)


def data(name: str, batch: int) -> tuple[Tensor, Tensor]:
    """Random inputs and classes."""
    draws = torch.Generator().manual_seed(0)
    return torch.randn(batch, *SHAPES[name], generator=draws), torch.randint(0, 10, (batch,), generator=draws)


def training_step(name: str, batch: int, norm: str) -> Work:
    """Forward, loss, backward and an SGD step."""
    model, (x, t) = network(name, norm).train(), data(name, batch)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model(x), t).backward()
        optimizer.step()

    return step


def inference(name: str, batch: int, norm: str) -> Work:
    """Forward with running statistics, without gradients."""
    model, (x, _) = network(name, norm).eval(), data(name, batch)

    def forward() -> None:
        with torch.no_grad():
            model(x)

    return forward


def costs(what: str, name: str, batch: int, norm: str) -> Cost:
    """Does the work take longer with a norm than without, by the margin?"""
    return Cost(
        group=f"{NAMES[norm]} {what}",
        presets=PRESETS if norm == "batch" and (name, batch) in AT_QUICK else NOT_QUICK,
        decisive=norm == "batch",
        statement=f"{WORKS[what][0]} with {NAMES[norm]} takes at least {MARGIN} times as long as without",
        arms={arm: partial(WORKS[what][1], name, batch, arm) for arm in ("none", norm)},
        question=Question(asks="superior", treatment="none", reference=norm, margin=MARGIN, scale="ratio"),
        chunk=CHUNK,
    )


def free(name: str, batch: int) -> Cost:
    """Is inference with BN folded away no slower than without BN, within the margin?"""
    return Cost(
        group="folded BN inference",
        presets=PRESETS if (name, batch) in AT_QUICK else NOT_QUICK,
        statement=f"inference with folded BN takes at most {MARGIN} times as long as without",
        arms={arm: partial(inference, name, batch, arm) for arm in ("none", "folded")},
        question=Question(asks="non-inferior", treatment="folded", reference="none", margin=MARGIN, scale="ratio"),
        chunk=CHUNK,
    )


NAMES = {"batch": "BN", "layer": "LN", "weight": "WN"}
WORKS = {"training": ("a training step", training_step), "inference": ("inference", inference)}
SIZES = [(name, batch) for name, batches in BATCHES.items() for batch in batches]

PARTS = {
    f"{NAMES[norm]} {what}, {name}, batches of {batch}": costs(what, name, batch, norm)
    for norm in NAMES
    for what in WORKS
    for name, batch in SIZES
} | {f"folded BN inference, {name}, batches of {batch}": free(name, batch) for name, batch in SIZES}

CLAIM = Claim(
    title="BatchNorm costs compute; folded it is free",
    statement="Batch normalization costs compute, a quarter of the time without it at least, in a training step and at "
    "inference; folded into the layer before it costs nothing at inference (a quarter at most). Timed on this machine "
    "with torch's own layers. (The same is asked of LN and WN, beside.)",
    source="study notes N0 and N4",
    notes=("N0", "N4"),
    kind="cost",
    parts=PARTS,
)
