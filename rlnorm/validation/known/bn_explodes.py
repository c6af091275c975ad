"""Gradients of plain networks with BatchNorm explode with depth as training starts, by about 1.21 a layer with ReLU."""

import numpy as np
import torch

from rlnorm.study.claim import Claim, Effect, Exact, Question
from rlnorm.textbook.random_cases import Case
from rlnorm.validation.known._started import started
from rlnorm.validation.known._trained import trained

DEPTH, WIDTH, BATCH = 24, 256, 256
SKIPPED = 4
"""Layers at either end that the growth is not taken over: there the inputs, or the loss, still show."""
GROWTH = (np.pi / (np.pi - 1)) ** 0.5
"""Of the gradient's length per layer, 1.21: Yang et al. prove pi / (pi - 1) for its square."""


def start(rng: np.random.Generator) -> Case:
    """A seed for the weights and the batch."""
    return {"seed": int(rng.integers(1 << 31))}


def growth(case: Case, norm: str = "batch") -> float:
    """How much longer a weight gradient is than that of the layer above: geometric mean over the middle layers."""
    made, generator = started(case["seed"], "he", WIDTH, 10, hidden=(WIDTH,) * DEPTH, norm=norm, activation="relu")
    x = torch.randn(BATCH, WIDTH, generator=generator)
    labels = torch.randint(10, (BATCH,), generator=generator)
    torch.nn.functional.cross_entropy(made(x), labels).backward()
    first, last = (made.get_parameter(f"linear{number}.weight").grad for number in (SKIPPED, DEPTH - SKIPPED))
    assert first is not None
    assert last is not None
    return float(first.norm() / last.norm()) ** (1 / (DEPTH - 2 * SKIPPED))


CLAIM = Claim(
    title="Gradients of deep BatchNorm networks explode",
    statement="As training starts, the gradients of plain ReLU networks with BatchNorm grow exponentially on their way "
    "back, by the published 1.21 a layer (to 5 %, at a width and batch of 256), so that on digits those of the first "
    "and the last hidden layer lie farther apart the deeper the network is; with He's initialization and no norm they "
    "part less.",
    source="Yang et al. 2019, arXiv:1902.08129",
    kind="effect",
    parts={
        "part with depth": Effect(
            experiment=trained(1, activation="relu", init="he", batch=64, probes=1, lr=0.01),
            arms={"batch": {"norm": "batch"}, "none": {"norm": "none"}},
            metric="gradient_fading_at_start",
            question=Question(asks="superior", treatment="none", reference="batch", margin=0.0),
            points=tuple({"hidden": (64,) * depth} for depth in (5, 10, 15, 20)),
            summary="slope",
        ),
        "1.21 a layer": Exact(
            statement="|dL/dW| grows by (pi / (pi - 1))^(1/2) = 1.21 from one layer to the one below it",
            formula=growth,
            truth=lambda case: GROWTH,
            draw=start,
            scale=lambda case: GROWTH,
            tolerance=0.05,
            rationale="the published rate is a limit of wide layers and large batches; an effect of 5 % a layer is "
            "well below the distance of 1.21 to 1, at which nothing would explode",
            cases=12,
        ),
    },
    literature="Gradients explode by (pi / (pi - 1))^(1/2), about 1.21, a layer in the limit of large width and batch "
    "with ReLU, whatever the initial variance; networks of more than about 50 layers do not train.",
)
