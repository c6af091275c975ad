"""BatchNorm's scale and shift under four optimizers: learned as torch.nn's are, and what is gained by it."""

import numpy as np
import torch
from torch import nn

from rlnorm.claims._supervised import quick_is_full
from rlnorm.nn import batch as rlnorm_batch
from rlnorm.study.claim import Claim, Effect, Exact, Part, Question, supervised_experiment
from rlnorm.study.claim.declare import Settings
from rlnorm.textbook.random_cases import Array, Case, size, values

OPTIMIZERS = (
    lambda of: torch.optim.SGD(of, lr=0.1),
    lambda of: torch.optim.SGD(of, lr=0.05, momentum=0.9),
    lambda of: torch.optim.RMSprop(of, lr=0.01, centered=True),
    lambda of: torch.optim.Adam(of, lr=0.01),
)
STEPS = 10


def learning(rng: np.random.Generator) -> Case:
    """Ten batches with targets, and one of four optimizers."""
    x = values(rng, STEPS, size(rng), size(rng, 1, 8))
    return {"x": x, "t": rng.normal(size=x.shape), "optimizer": int(rng.integers(len(OPTIMIZERS)))}


def learned(case: Case, norm: nn.Module) -> Array:
    """Scale, shift and the loss before each step, all after ten steps on the mean squared error."""
    norm = norm.double()
    optimizer, losses = OPTIMIZERS[case["optimizer"]](norm.parameters()), []
    for x, t in zip(torch.from_numpy(case["x"]), torch.from_numpy(case["t"])):
        loss = (norm(x) - t).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.cat([*(p.detach() for p in norm.parameters()), torch.stack(losses)]).numpy()


# Name -> settings, and rates with the best ones inside (from pilots).
TRAINED_BY: dict[str, tuple[Settings, tuple[float, ...]]] = {
    "SGD": ({"optimizer": "sgd", "momentum": 0.0}, (0.1, 0.3, 1.0, 3.0, 10.0)),
    "momentum": ({"optimizer": "sgd"}, (0.01, 0.03, 0.1, 0.3, 1.0)),
    "RMSProp": ({"optimizer": "rmsprop"}, (0.01, 0.03, 0.1, 0.3, 1.0)),
    "Adam": ({"optimizer": "adam"}, (0.01, 0.03, 0.1, 0.3, 1.0)),
}


def effect(name: str) -> Effect:
    """A network of sigmoids, which needs scale and shift to be more than linear: with them against without."""
    settings, rates = TRAINED_BY[name]
    return Effect(
        experiment=supervised_experiment(
            steps=quick_is_full(400),
            dataset="signals",
            train_size=1000,
            hidden=(64, 64),
            norm="batch",
            activation="sigmoid",
            init="xavier",
            lr=rates[2],
            batch=32,
            every=200,
            **settings,
        ),
        arms={"fixed": {"affine": False}, "trained": {"affine": True}},
        metric="accuracy",
        question=Question(asks="superior", treatment="trained", reference="fixed", margin=0.01, paired=True),
        rates=rates,
    )


PARTS: dict[str, Part] = {
    "as with torch.nn": Exact(
        statement="gamma, beta and the loss of ten steps are those of torch.nn.BatchNorm1d, by SGD (0), with momentum "
        "(1), RMSProp (2) and Adam (3)",
        formula=lambda case: learned(case, rlnorm_batch.NORM.make(case["x"].shape[2])),
        truth=lambda case: learned(case, nn.BatchNorm1d(case["x"].shape[2])),
        draw=learning,
        scale=lambda case: 1.0,
    ),
    **{f"trained by {name}": effect(name) for name in TRAINED_BY},
}

CLAIM = Claim(
    title="Any optimizer trains BatchNorm's scale and shift",
    statement="Gradient descent, momentum, RMSProp and Adam all train BatchNorm's scale and shift. Each of torch's "
    "optimizers gives rlnorm's BN the same scale, shift and losses as torch.nn's, and with each of ours networks of "
    "sigmoids, which are nearly linear while scale and shift stay fixed, classify signals better when both are "
    "trained, by 1 point of test accuracy, each arm at its own best of five rates.",
    source="note N2; Ioffe & Szegedy 2015, arXiv:1502.03167, alg. 1",
    notes=("N2",),
    kind="effect",
    parts=PARTS,
)
