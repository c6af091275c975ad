"""DQN without a target network."""

from collections.abc import Iterator

from rlnorm.study.claim import Claim, Part, Question
from rlnorm.study.claim.dqn_setting import BUDGETS, NEGATIVE_CONTROL, at_both_rates, effect, study

BESIDE = {"no norm": {"target_every": None}, "batch": {"norm": "batch", "target_every": None}}


def needless(treatment: str) -> Question:
    """Is an arm without a target network no worse than plain DQN with one?"""
    return Question(
        asks="non-inferior", treatment=treatment, reference="plain", margin=0.05, negative_control="negative control"
    )


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """LN at both rates; no norm and BN without a target network beside it at the common rate."""
    arms = {"plain": {}, "layer": {"norm": "layer", "target_every": None}, "negative control": NEGATIVE_CONTROL}
    yield from at_both_rates(env, arms, needless("layer"), "layer").items()
    for name, arm in BESIDE.items():
        arms = {"plain": {}, name: arm, "negative control": NEGATIVE_CONTROL}
        yield f"{env}, {name}", effect(study(env), arms, needless(name), presets=("full",), decisive=False)


PARTS = {name: part for env in BUDGETS for name, part in parts(env)}

CLAIM = Claim(
    title="LayerNorm lets the target network go",
    statement="LayerNorm lets the target network go: DQN with LN before every hidden activation that bootstraps from "
    "its own current network scores no worse than plain DQN with a target network (copied every 500 steps), by a "
    "margin of 0.05 of the normalized area under the training-return curve, in every environment. Beside it: the same "
    "without a norm, which shows whether there is anything to let go, and with BN.",
    source="Gallici et al. 2024, arXiv:2407.04811",
    notes=(),
    kind="effect",
    parts=PARTS,
    literature="Gallici et al. 2024 prove that LN with l2 regularization stabilizes off-policy TD learning and train "
    "without target network and replay; CrossQ (arXiv:1902.05605) leaves the target network out with BN.",
)
