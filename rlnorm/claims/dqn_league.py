"""Every norm of the library in DQN, in every environment."""

from collections.abc import Iterator

from rlnorm.nn import NORMS
from rlnorm.study.claim import Arm, Claim, Part
from rlnorm.study.judge import Question
from rlnorm.study.settings import BUDGETS, PLANTED, QUICK, effect, study

# "none" is the reference; a norm without a form for vectors (instance) cannot stand in these networks.
ENTRANTS = tuple(name for name, norm in NORMS.items() if name != "none" and (0 in norm.modules or norm.wrap_layer))
AT_QUICK = ("batch", "batch_renorm", "layer")


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """Each norm against none."""
    for name in ENTRANTS:
        arms = {"none": Arm(), name: Arm(norm=name), "planted": PLANTED}
        question = Question("superior", name, "none", margin=0.05, planted="planted")
        quick = env == QUICK and name in AT_QUICK
        yield f"{env}, {name}", effect(study(env), arms, question, presets=None if quick else ("full",))


CLAIM = Claim(
    statement="Some norm helps in DQN: before every hidden activation, with batch statistics in updates and running "
    "ones elsewhere, at least one of the library's norms scores better than none in at least one environment, by 0.05 "
    "of the normalized area under the training-return curve. (With this many comparisons one may stand out by chance; "
    "the table of all of them is the point.)",
    source="asked by users: numeric tables of norm by environment with intervals",
    notes=("N4",),
    parts={name: part for env in BUDGETS for name, part in parts(env)},
    overall="any",
)
