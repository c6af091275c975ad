"""s and s' through one batch, as CrossQ does, against two."""

from collections.abc import Iterator

from rlnorm.study.claim import Claim, Part, Settings
from rlnorm.study.claim.dqn_setting import BUDGETS, QUICK, controlled, effect, question, study


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """One batch against two, without and with a target network; modes and all settings are the same.

    The joint batch also changes the running statistics that agents act with; the two effects cannot be separated.
    """
    for what, target in {"without target": {"target_every": None}, "with target": {}}.items():
        apart: Settings = {"norm": "batch", "recipe": "joint", "modes": {"joint": False}, **target}
        arms = controlled(env, {"joint": {"norm": "batch", "recipe": "joint", **target}, "apart": apart}, apart)
        asked = question("superior", "joint", "apart")
        quick = env == QUICK and "without" in what
        yield f"{env}, {what}", effect(study(env), arms, asked, presets=None if quick else ("smoke", "full"))


CLAIM = Claim(
    title="s and s' belong in one batch",
    statement="In DQN with BatchNorm that takes batch statistics for both, it is better to pass s and s' through the "
    "network as one batch than as two: better by 0.05 of the normalized area under the training-return curve, in "
    "every environment, without a target network and with one. The running statistics, with which both act, differ "
    "with it: of one batch they take in s and s' together, of two first s' and then s without a target network (two "
    "steps of their average an update), and s alone with one.",
    source="Bhatt et al. 2024 (CrossQ), arXiv:1902.05605",
    notes=(),
    kind="effect",
    parts={name: part for env in BUDGETS for name, part in parts(env)},
    literature="Bhatt et al. 2024 find the joint batch decisive for BN without a target network in actor-critic "
    "learning: actions of s' come from the current policy, those of s from the replay, and two batches would be "
    "normalized differently.",
)
