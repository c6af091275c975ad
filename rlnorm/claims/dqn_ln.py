"""LayerNorm in DQN."""

from rlnorm.study.claim import Claim, Question
from rlnorm.study.claim.dqn_setting import BUDGETS, NEGATIVE_CONTROL, at_both_rates

ARMS = {"none": {}, "layer": {"norm": "layer"}, "negative control": NEGATIVE_CONTROL}
USELESS = Question(
    asks="not better", treatment="layer", reference="none", margin=0.05, negative_control="negative control"
)

CLAIM = Claim(
    title="LayerNorm is useless in DQN",
    statement="LayerNorm is useless in DQN: with it before every hidden activation, agents score no better than "
    "without, by a margin of 0.05 of the normalized area under the training-return curve, in any of the environments.",
    source="note N0; layer normalization: Ba et al. 2016, arXiv:1607.06450",
    notes=("N0",),
    kind="effect",
    parts={name: part for env in BUDGETS for name, part in at_both_rates(env, ARMS, USELESS).items()},
    literature="Gallici et al. 2024 (arXiv:2407.04811) find LayerNorm enough to do without a target network and a "
    "replay buffer. CleanRL's implementation of their PQN (LN, no target network, no replay, parallel environments, "
    "lambda-returns) scores 495.13 on CartPole-v1.",
)
