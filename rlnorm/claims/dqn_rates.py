"""The range of learning rates at which DQN learns."""

from collections.abc import Iterator

from rlnorm.study.claim import Claim, Part, Question
from rlnorm.study.claim.dqn_setting import QUICK, effect, study

ENVIRONMENTS = ("CartPole-v1", "Acrobot-v1")
NORMS = ("layer", "batch", "batch_renorm", "rms", "spectral")
AT_QUICK = ("layer",)
WIDE = tuple({"lr": rate} for rate in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1))


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """Each norm against none over five rates a decade apart; half a decade is a tenth of their range."""
    for name in NORMS:
        arms = {"none": {}, name: {"norm": name}}
        question = Question(asks="superior", treatment=name, reference="none", margin=0.1)
        quick = env == QUICK and name in AT_QUICK
        yield (
            f"{env}, {name}",
            effect(
                study(env, quick=30_000),
                arms,
                question,
                metric="learned",
                presets=None if quick else ("full",),
                points=WIDE,
                seeds=8,
            ),
        )


CLAIM = Claim(
    title="Norms widen the usable rates in DQN",
    statement="Normalization widens the range of learning rates at which DQN learns: of five rates from 1e-5 to 1e-1, "
    "a decade apart, agents with a norm reach a quarter of the way from random to solved (in normalized area under "
    "the training-return curve) at more rates than agents without, by half a decade (a fraction of 0.1).",
    source="study notes N2 and N4",
    notes=("N2", "N4"),
    kind="effect",
    parts={name: part for env in ENVIRONMENTS for name, part in parts(env)},
    overall="any",
    literature="Ioffe & Szegedy 2015 (arXiv:1502.03167, sec. 3.3) argue that BN makes backward propagation independent "
    "of the scale of the weights and so allows higher rates.",
)
