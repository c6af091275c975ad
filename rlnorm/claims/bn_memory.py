"""Whether memory forces small batches, link by link: what is saved for the backward pass, and the batch that fits.

Counted is every storage that autograd saves for the backward pass, parameters and buffers apart. Large networks are
built on torch's meta device, which has shapes and no data, so nothing large is ever allocated.
"""

from collections.abc import Callable
from functools import cache, partial
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook.random_cases import Case, log_uniform, size

FLOAT, GIB, GROUPS = 4, 2**30, 8
WHOLE = "bytes are whole numbers and nothing is rounded"
NORMS: dict[str, Callable[[int], list[nn.Module]]] = {
    "none": lambda width: [],
    "batch": lambda width: [nn.BatchNorm1d(width)],
    "layer": lambda width: [nn.LayerNorm(width)],
    "group": lambda width: [nn.GroupNorm(GROUPS, width)],
}


def saved(network: nn.Module, *inputs: Tensor) -> int:
    """Bytes that autograd saves in a forward pass in training."""
    own = {tensor.untyped_storage()._cdata for tensor in chain(network.parameters(), network.buffers())}
    storages: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            storages[storage._cdata] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(*inputs)
    del output
    return sum(storage.nbytes() for storage in storages.values())


def perceptron(rng: np.random.Generator) -> Case:
    """Depth, width (whole groups) and batch of a perceptron."""
    return {"depth": size(rng, 1, 4), "width": GROUPS * size(rng, 1, 16), "m": size(rng)}


@cache
def layers(depth: int, width: int, norm: str) -> nn.Sequential:
    """Linear, norm, ReLU, `depth` times."""
    each = [(nn.Linear(width, width), *NORMS[norm](width), nn.ReLU()) for _ in range(depth)]
    return nn.Sequential(*chain.from_iterable(each))


def saved_by_perceptron(case: Case, norm: str, m: int | None = None) -> int:
    """Bytes saved for a batch of m, or of the case's size."""
    x = torch.zeros(case["m"] if m is None else m, case["width"])
    return saved(layers(case["depth"], case["width"], norm), x)


def added_by(case: Case, norm: str) -> int:
    """Bytes that a norm adds in all layers, by formula: its input, and mean and 1/std of each set it normalizes."""
    m, width = case["m"], case["width"]
    sets = {"batch": width, "layer": m, "group": m * GROUPS}[norm]
    return FLOAT * case["depth"] * (m * width + 2 * sets)


class Bottleneck(nn.Module):
    """ResNet-50's block: 1 x 1, 3 x 3 and 1 x 1 convolutions with BN, and a way past them."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        shapes = ((inputs, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1))
        layers: list[nn.Module] = []
        for i, o, k, s in shapes:
            layers += [nn.Conv2d(i, o, k, s, k // 2, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True)]
        self.block = nn.Sequential(*layers[:-1])
        past = [nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)]
        self.past = nn.Sequential(*past) if stride > 1 or inputs != 4 * width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.block(x) + self.past(x))


def resnet50() -> nn.Sequential:
    """He et al. 2016 (arXiv:1512.03385), table 1."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = 64
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            layers.append(Bottleneck(inputs, width, stride if block == 0 else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


@cache
def resnet_image(height: int, width: int) -> tuple[int, int]:
    """Bytes saved for one image, and bytes of weights, their gradients and momenta."""
    with torch.device("meta"):
        network = resnet50()
        two, one = (saved(network, torch.empty(m, 3, height, width)) for m in (2, 1))
    return two - one, 3 * FLOAT * sum(p.numel() for p in network.parameters())


class Recurrent(nn.Module):
    """One GRU cell, step by step."""

    def __init__(self, units: int):
        super().__init__()
        self.cell = nn.GRUCell(units, units)

    def forward(self, xs: Tensor) -> Tensor:
        state = torch.zeros_like(xs[0])
        for x in xs:
            state = self.cell(x, state)
        return state


@cache
def gru_step(units: int) -> tuple[int, int]:
    """The same for one step of one sequence through a GRU: every step saves as much as the last."""
    with torch.device("meta"):
        network = Recurrent(units)
        three, two = (saved(network, torch.empty(n, 1, units)) for n in (3, 2))
    return three - two, 3 * FLOAT * sum(p.numel() for p in network.parameters())


def gru_sequence(steps: int, units: int) -> tuple[int, int]:
    """The same for one whole sequence."""
    step, weights = gru_step(units)
    return steps * step, weights


def fits(case: Case, need: Callable[[Case], tuple[int, int]]) -> int:
    """The largest batch whose saved activations fit beside the weights into `gib` GiB."""
    each, weights = need(case)
    return int((case["gib"] * GIB - weights) // each)


def card(rng: np.random.Generator) -> Case:
    """Memory of the accelerators of those years, 8 to 16 GiB."""
    return {"gib": log_uniform(rng, 8, 16)}


def detection(rng: np.random.Generator) -> Case:
    """The same, with images for detection: 800 pixels high, up to 1333 wide."""
    return {**card(rng), "width": 800 + 128 * int(rng.integers(5))}


def sequences(rng: np.random.Generator) -> Case:
    """The same, with sequences of 100 to 1000 steps through 512 to 2048 units, by 64."""
    return {**card(rng), "steps": size(rng, 100, 1000), "units": 64 * size(rng, 8, 32)}


def small(
    need: Callable[[Case], tuple[int, int]], draw: Callable[[np.random.Generator], Case], what: str, group: str = ""
) -> Exact:
    """Is the batch that fits 8 or less?"""
    return Exact(
        statement=f"{what}: the batch that fits into 8 to 16 GiB is 8 or less",
        formula=partial(fits, need=need),
        truth=lambda case: 8,
        draw=draw,
        scale=lambda case: 8,
        rationale="batches are whole numbers; at 8 or less BN's published error has begun to rise (Wu & He 2018)",
        relation="<=",
        group=group,
    )


CLAIM = Claim(
    title="Memory forces small batches",
    statement="Memory forces small batches (8 or less, in 8 to 16 GiB) on RNNs and large CNNs, since what is saved for "
    "the backward pass grows with the batch: link by link, from what each norm saves to the batch that fits. (That BN "
    "fails at such batches is a claim of its own.)",
    source="study note N4",
    notes=("N4",),
    kind="cost",
    literature="Wu & He 2018 (arXiv:1803.08494) train ResNet-50 on 224 x 224 images with 32 images a card, and report "
    "BN's error to rise from 23.6 % there to 24.8 % at 8 and 34.7 % at 2.",
    parts={
        "grows with the batch": Exact(
            statement="bytes saved for 2m rows, less those for m, are those for 3m less those for 2m (BN)",
            formula=lambda case: (
                saved_by_perceptron(case, "batch", 3 * case["m"]) - saved_by_perceptron(case, "batch", 2 * case["m"])
            ),
            truth=lambda case: (
                saved_by_perceptron(case, "batch", 2 * case["m"]) - saved_by_perceptron(case, "batch", case["m"])
            ),
            draw=perceptron,
            scale=lambda case: FLOAT * case["m"] * case["width"],
            rationale=WHOLE,
        ),
        **{
            f"per layer, {name}": Exact(
                group="per layer",
                statement=f"{name} adds its input (m d numbers), and a mean and a 1/std for each of its {sets}",
                formula=partial(added_by, norm=norm),
                truth=lambda case, norm=norm: saved_by_perceptron(case, norm) - saved_by_perceptron(case, "none"),
                draw=perceptron,
                scale=lambda case: FLOAT * case["m"] * case["width"],
                rationale=WHOLE,
            )
            for name, norm, sets in (
                ("BN", "batch", "d features"),
                ("LN", "layer", "m rows"),
                ("GN", "group", "groups"),
            )
        },
        "ResNet-50, classification": small(
            lambda case: resnet_image(224, 224), card, "ResNet-50 on images of 224 x 224", "ResNet-50"
        ),
        "ResNet-50, detection": small(
            lambda case: resnet_image(800, case["width"]),
            detection,
            "ResNet-50 on images of 800 x 800 to 800 x 1312",
            "ResNet-50",
        ),
        "RNN": small(
            lambda case: gru_sequence(case["steps"], case["units"]),
            sequences,
            "a GRU of 512 to 2048 units over 100 to 1000 steps",
        ),
    },
)
