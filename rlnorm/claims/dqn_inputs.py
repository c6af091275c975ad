"""Raw, standardized and batch-normalized observations."""

from collections.abc import Iterator

from rlnorm.study.claim import Claim, Part, Question, Settings
from rlnorm.study.claim.dqn_setting import BUDGETS, NEGATIVE_CONTROL, effect, study

WAYS: dict[str, Settings] = {
    "standardized": {"normalize_observations": True},
    "BN at the input": {"norm": "batch", "sites": ("input",)},
}


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """Each way against raw observations."""
    for name, way in WAYS.items():
        arms = {"raw": {}, name: way, "negative control": NEGATIVE_CONTROL}
        question = Question(
            asks="superior", treatment=name, reference="raw", margin=0.05, negative_control="negative control"
        )
        yield f"{env}, {name}", effect(study(env), arms, question)


CLAIM = Claim(
    title="Scaling observations speeds DQN",
    statement="Scaling observations speeds DQN: with running mean and variance taken out of them, and with BatchNorm "
    "at the input, agents score better than on raw observations, by 0.05 of the normalized area under the "
    "training-return curve, in every environment.",
    source="note N2 on standardized inputs",
    notes=("N2",),
    kind="effect",
    parts={name: part for env in BUDGETS for name, part in parts(env)},
)
