"""LayerNorm in DQN."""

from rlnorm.study.claim import Arm, Claim
from rlnorm.study.judge import Question
from rlnorm.study.settings import BUDGETS, PLANTED, at_both_rates

ARMS = {"none": Arm(), "layer": Arm(norm="layer"), "planted": PLANTED}
USELESS = Question("not better", treatment="layer", reference="none", margin=0.05, planted="planted")

CLAIM = Claim(
    statement="LayerNorm is useless in DQN: with it before every hidden activation, agents score no better than "
    "without, by a margin of 0.05 of the normalized area under the training-return curve, in any of the environments.",
    source="note N0; layer normalization: Ba et al. 2016, arXiv:1607.06450",
    notes=("N0",),
    parts={name: part for env in BUDGETS for name, part in at_both_rates(env, ARMS, USELESS).items()},
    literature="Gallici et al. 2024 (arXiv:2407.04811) find LayerNorm enough to do without a target network and a "
    "replay buffer. CleanRL's implementation of their PQN (LN, no target network, no replay, parallel environments, "
    "lambda-returns) scores 495.13 on CartPole-v1.",
)
