"""LayerNorm in DQN."""

from rlnorm.study.claim import Claim
from rlnorm.study.claim.dqn_setting import BUDGETS, headline
from rlnorm.study.claim.second_setting import STEPS, in_second_setting

ARMS = {"none": {}, "layer": {"norm": "layer"}}

CLAIM = Claim(
    title="LayerNorm is useless in DQN",
    statement="LayerNorm is useless in DQN: with it before every hidden activation, agents score no better than "
    "without, by a margin of 0.05 of the normalized area under the training-return curve, in any of the environments, "
    "at a common rate and each at its best of eight. On Acrobot a rule shows all agents alike what the goal is, so "
    "that the score says who learns and not who meets the goal first. Beside it: Acrobot without that, agents that "
    "learn from a fixed set of transitions, and on CartPole a second setting, with an update per 4 "
    "steps.",
    source="note N0; layer normalization: Ba et al. 2016, arXiv:1607.06450",
    notes=("N0",),
    kind="effect",
    parts={
        **{name: part for env in BUDGETS for name, part in headline(env, ARMS, "layer").items()},
        **{name: part for env in STEPS for name, part in in_second_setting(env, ARMS, "layer").items()},
    },
    literature="Gallici et al. 2024 (arXiv:2407.04811) find LayerNorm enough to do without a target network and a "
    "replay buffer. CleanRL's implementation of their PQN (LN, no target network, no replay, parallel environments, "
    "lambda-returns) scores 495.13 on CartPole-v1.",
)
