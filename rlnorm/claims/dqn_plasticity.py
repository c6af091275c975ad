"""What keeps a Q-network able to learn, probed with and without a norm."""

from collections.abc import Iterator
from typing import NamedTuple

from rlnorm.study.claim import Claim, Part, Question, Settings
from rlnorm.study.claim.dqn_setting import effect, study

ENVIRONMENTS = ("CartPole-v1", "Acrobot-v1")
NORMS = ("batch", "layer")

# Negative controls, all without a norm: what makes each worse in the probe that it is for.
FAST: Settings = {"lr": 0.03}  # units that large steps pushed below zero for all inputs; weights that grew with them
SIGMOID: Settings = {"activation": "sigmoid"}  # derivatives of at most 1/4 a layer, and units that hardly vary
RANDOM: Settings = {"epsilon": (1.0, 1.0, 1.0)}  # Q is what the best actions bring, and these are never taken


class Probe(NamedTuple):
    """A metric, the negative control that it must tell apart, and its margin: a difference, or (lengths) a ratio."""

    metric: str
    control: tuple[str, Settings]
    margin: float


# Fractions of units and of the largest return: 0.05, as of the normalized area. Lengths: a quarter, as of costs.
PROBES = {
    "dormant units": Probe("dormant", ("fast", FAST), 0.05),
    "gradients": Probe("gradient_evenness", ("sigmoid", SIGMOID), 1.25),
    "rank": Probe("rank", ("sigmoid", SIGMOID), 0.05),
    "weights": Probe("weight_norm", ("fast", FAST), 1.25),
    "overestimation": Probe("overestimation", ("random", RANDOM), 0.05),
}
FROM_THE_NOTE = ("dormant units", "gradients")


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """Each norm against none in each probe."""
    experiment = study(env, quick=40_000, probes=20)  # as many in short runs, too
    for norm in NORMS:
        for what, (metric, (name, control), margin) in PROBES.items():
            arms = {"none": {}, norm: {"norm": norm}, name: control}
            scale = "ratio" if margin > 1 else "difference"
            question = Question(
                asks="superior", treatment=norm, reference="none", margin=margin, scale=scale, negative_control=name
            )
            yield (
                f"{env}, {norm}, {what}",
                effect(experiment, arms, question, metric=metric, decisive=norm == "batch" and what in FROM_THE_NOTE),
            )


PARTS = {name: part for env in ENVIRONMENTS for name, part in parts(env)}

CLAIM = Claim(
    title="BatchNorm keeps Q-networks able to learn",
    statement="BatchNorm keeps Q-networks able to learn. Note N1 says that units, ReLUs too, saturate and so lose "
    "their gradient, and that BN cures vanishing and exploding gradients; made precise for DQN, as means over "
    "training: with BN before every hidden ReLU, fewer units are dormant (active at most 0.025 times as much as their "
    "layer on average), by 0.05 of all, and gradients are more even (the smallest norm of a layer's gradient over the "
    "largest), by a quarter, in every environment. Beside it, not from the notes: effective rank of the last hidden "
    "layer (by 0.05 of its width), length of the weights (by a quarter), overestimation (by 0.05 of the largest "
    "return), and all five with LN.",
    source="study note N1; Sokar et al. 2023, arXiv:2302.12902; Kumar et al. 2021, arXiv:2010.14498",
    notes=("N1",),
    kind="effect",
    parts=PARTS,
    literature="Sokar et al. 2023 find ever more dormant units in DQN on Atari games without a norm. Lyle et al. 2024 "
    "(arXiv:2402.18762) find that LN with weight decay keeps networks plastic, and (arXiv:2407.01800) that weights "
    "which grow before a norm lower the effective learning rate.",
)
