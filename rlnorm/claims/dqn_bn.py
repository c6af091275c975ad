"""BatchNorm in DQN."""

from rlnorm.study.claim import DQN, Arm, Claim, Effect
from rlnorm.study.judge import Question
from rlnorm.study.settings import DQN_STUDY, RATES

CARTPOLE = DQN(env="CartPole-v1", steps={"smoke": 3_000, "quick": 100_000, "full": 200_000}, **DQN_STUDY)
ARMS = {"none": Arm(), "batch": Arm(norm="batch"), "planted": Arm(train_every=50)}
USELESS = Question("not better", treatment="batch", reference="none", margin=0.05, planted="planted")

CLAIM = Claim(
    statement="BatchNorm is useless in DQN: with it before every hidden activation (batch statistics in updates, "
    "running ones elsewhere), agents score no better than without, by a margin of 0.05 of the normalized area under "
    "the training-return curve.",
    source="note N0; batch normalization: Ioffe & Szegedy 2015, arXiv:1502.03167",
    notes=("N0",),
    parts={
        "CartPole-v1, common rate": Effect(CARTPOLE, ARMS, "return_auc", USELESS),
        "CartPole-v1, own best rate": Effect(CARTPOLE, ARMS, "return_auc", USELESS, rates=RATES, presets=("full",)),
    },
    literature="Bhatt et al. 2024 (CrossQ, arXiv:1902.05605) make batch normalization work in off-policy actor-critic "
    "learning by passing s and s' through one batch; SLM-Lab's discrete CrossQ scores 335 on CartPole-v1, its DQN 240; "
    "they differ in more than the norm (no target network, batch renormalization), so this is no measure of BN alone.",
)
