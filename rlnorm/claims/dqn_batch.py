"""Batch size and batch statistics in DQN."""

from collections.abc import Iterator

from rlnorm.study.claim import Arm, Claim, Part, Settings
from rlnorm.study.judge import Question
from rlnorm.study.settings import PLANTED, QUICK, effect, study

ENVIRONMENTS = ("CartPole-v1", "Acrobot-v1")
BATCHES = (8, 16, 32, 128, 512)
SMALL = 8
RIVALS: dict[str, Settings] = {
    "no norm": Arm(),
    "batch_renorm": Arm(norm="batch_renorm"),
    "layer": Arm(norm="layer"),
}
BATCH: Settings = Arm(norm="batch")


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """Every rival against BN at every batch size."""
    for batch in BATCHES:
        for name, rival in RIVALS.items():
            arms = {name: rival, "batch": BATCH, "planted": {**BATCH, **PLANTED}}
            question = Question("superior", name, "batch", margin=0.05, planted="planted")
            quick = env == QUICK and batch == SMALL and name == "no norm"
            yield (
                f"{env}, batch {batch}, {name} over BN",
                effect(study(env, batch=batch), arms, question, presets=None if quick else ("full",)),
            )


PARTS = {name: part for env in ENVIRONMENTS for name, part in parts(env)}

CLAIM = Claim(
    statement="Small batches break BatchNorm in DQN: in updates of 8 transitions, agents with BN score worse than "
    "agents without a norm, by 0.05 of the normalized area under the training-return curve, in every environment. "
    "Beside it: batches up to 512, and batch renormalization and LN over BN.",
    source="study notes N3 and N4; Wu & He 2018, arXiv:1803.08494",
    notes=("N3", "N4"),
    parts=PARTS,
    decisive=tuple(name for name in PARTS if f"batch {SMALL}, no norm" in name),
    literature="Wu & He 2018 on ImageNet (ResNet-50): error with BN 23.6, 23.7, 24.8, 27.3 and 34.7 % at batches of "
    "32, 16, 8, 4 and 2; with group normalization 24.1 to 24.2 %.",
)
