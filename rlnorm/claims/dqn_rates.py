"""The range of learning rates at which DQN learns."""

from collections.abc import Iterator

from rlnorm.study.claim import Arm, Claim, Part
from rlnorm.study.judge import Question
from rlnorm.study.settings import QUICK, effect, study

ENVIRONMENTS = ("CartPole-v1", "Acrobot-v1")
NORMS = ("layer", "batch", "batch_renorm", "rms", "spectral")
AT_QUICK = ("layer",)
WIDE = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """Each norm against none over five rates a decade apart; half a decade is a tenth of their range."""
    for name in NORMS:
        arms = {"none": Arm(), name: Arm(norm=name)}
        question = Question("superior", name, "none", margin=0.1)
        quick = env == QUICK and name in AT_QUICK
        yield (
            f"{env}, {name}",
            effect(
                study(env, quick=50_000),
                arms,
                question,
                metric="learned",
                presets=None if quick else ("full",),
                rates=WIDE,
                grid=True,
            ),
        )


CLAIM = Claim(
    statement="Normalization widens the range of learning rates at which DQN learns: of five rates from 1e-5 to 1e-1, "
    "a decade apart, agents with a norm reach a quarter of the way from random to solved (in normalized area under "
    "the training-return curve) at more rates than agents without, by half a decade (a share of 0.1).",
    source="study notes N2 and N4",
    notes=("N2", "N4"),
    parts={name: part for env in ENVIRONMENTS for name, part in parts(env)},
    overall="any",
    literature="Ioffe & Szegedy 2015 (arXiv:1502.03167, sec. 3.3) argue that BN makes backward propagation independent "
    "of the scale of the weights and so allows higher rates.",
)
