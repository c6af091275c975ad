"""Batch size and batch statistics in DQN."""

from collections.abc import Iterator

from rlnorm.study.claim import Claim, Part, Settings
from rlnorm.study.claim.dqn_setting import QUICK, controlled, effect, question, study

ENVIRONMENTS = ("CartPole-v1", "Acrobot-v1")
BATCHES = (8, 16, 32, 128, 512)
SMALL = 8
RIVALS: dict[str, Settings] = {
    "no norm": {},
    "batch_renorm": {"norm": "batch_renorm"},
    "layer": {"norm": "layer"},
}
BATCH: Settings = {"norm": "batch"}


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """Every rival against BN at every batch size."""
    for batch in BATCHES:
        for name, rival in RIVALS.items():
            arms = controlled(env, {name: rival, "batch": BATCH}, BATCH)
            asked = question("superior", name, "batch")
            decisive = batch == SMALL and name == "no norm"
            quick = env == QUICK and decisive
            yield (
                f"{env}, batch {batch}, {name} over BN",
                effect(study(env, batch=batch), arms, asked, presets=None if quick else ("full",), decisive=decisive),
            )


PARTS = {name: part for env in ENVIRONMENTS for name, part in parts(env)}

CLAIM = Claim(
    title="Small batches break BatchNorm in DQN",
    statement="Small batches break BatchNorm in DQN: in updates of 8 transitions, agents with BN score worse than "
    "agents without a norm, by 0.05 of the normalized area under the training-return curve, in every environment. "
    "Beside it: batches up to 512, and batch renormalization and LN over BN.",
    source="study notes N3 and N4; Wu & He 2018, arXiv:1803.08494",
    notes=("N3", "N4"),
    kind="effect",
    parts=PARTS,
    literature="Wu & He 2018 on ImageNet (ResNet-50): error with BN 23.6, 23.7, 24.8, 27.3 and 34.7 % at batches of "
    "32, 16, 8, 4 and 2; with group normalization 24.1 to 24.2 %.",
)
