"""LayerNorm in DQN."""

from rlnorm.study.claim import DQN, Arm, Claim, Effect
from rlnorm.study.judge import Question
from rlnorm.study.settings import DQN_STUDY, RATES

CARTPOLE = DQN(env="CartPole-v1", steps={"smoke": 3_000, "quick": 100_000, "full": 200_000}, **DQN_STUDY)
ARMS = {"none": Arm(), "layer": Arm(norm="layer"), "planted": Arm(train_every=50)}
USELESS = Question("not better", treatment="layer", reference="none", margin=0.05, planted="planted")

CLAIM = Claim(
    statement="LayerNorm is useless in DQN: with it before every hidden activation, agents score no better than "
    "without, by a margin of 0.05 of the normalized area under the training-return curve.",
    source="note N0; layer normalization: Ba et al. 2016, arXiv:1607.06450",
    notes=("N0",),
    parts={
        "CartPole-v1, common rate": Effect(CARTPOLE, ARMS, "return_auc", USELESS),
        "CartPole-v1, own best rate": Effect(CARTPOLE, ARMS, "return_auc", USELESS, rates=RATES, presets=("full",)),
    },
    literature="Gallici et al. 2024 (arXiv:2407.04811) find LayerNorm enough to do without a target network and a "
    "replay buffer. CleanRL's implementation of their PQN (LN, no target network, no replay, parallel environments, "
    "lambda-returns) scores 495.13 on CartPole-v1.",
)
