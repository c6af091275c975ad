"""Every norm of the library in DQN, in every environment."""

from collections.abc import Iterator

from rlnorm.nn import NORMS
from rlnorm.study.claim import Claim, Part, Preset
from rlnorm.study.claim.dqn_setting import BUDGETS, QUICK, controlled, effect, question, study

# "none" is the reference; a norm without a form for vectors (instance) cannot stand in these networks.
ENTRANTS = tuple(name for name, norm in NORMS.items() if name != "none" and (0 in norm.modules or norm.wrap_layer))
AT_QUICK = ("batch", "batch_renorm", "layer")


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """Each norm against none."""
    for name in ENTRANTS:
        arms = controlled(env, {"none": {}, name: {"norm": name}})
        presets: tuple[Preset, ...] | None = None if env == QUICK and name in AT_QUICK else ("full",)
        yield f"{env}, {name}", effect(study(env), arms, question("superior", name), presets=presets)


CLAIM = Claim(
    title="Some norm helps in DQN",
    statement="Some norm helps in DQN: before every hidden activation, with batch statistics in updates and running "
    "ones elsewhere, at least one of the library's norms scores better than none in at least one environment, by 0.05 "
    "of the normalized area under the training-return curve. (With this many comparisons one may stand out by chance; "
    "the table of all of them is the point.)",
    source="asked by users: numeric tables of norm by environment with intervals",
    notes=("N4",),
    kind="effect",
    parts={name: part for env in BUDGETS for name, part in parts(env)},
    overall="any",
)
