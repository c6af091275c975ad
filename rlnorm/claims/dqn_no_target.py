"""DQN without a target network."""

from collections.abc import Iterator

from rlnorm.study.claim import Claim, Part, Preset, Question, Settings
from rlnorm.study.claim.dqn_setting import BUDGETS, CONTROLS, HEADLINE_SEEDS, NEGATIVE, RATES, effect, study

BESIDE: dict[str, Settings] = {"no norm": {"target_every": None}, "batch": {"norm": "batch", "target_every": None}}


def part(env: str, treatment: str, settings: Settings, *, own_rates: bool = False, decisive: bool = False) -> Part:
    """Is an arm without a target network no worse than plain DQN with one?"""
    asked = Question(
        asks="non-inferior", treatment=treatment, reference="plain", margin=0.05, negative_control=NEGATIVE
    )
    arms = {"plain": {}, treatment: settings, NEGATIVE: CONTROLS[env][NEGATIVE]}
    presets: tuple[Preset, ...] | None = None if decisive and not own_rates else ("full",)
    rates = RATES if own_rates else ()
    return effect(study(env), arms, asked, presets=presets, rates=rates, seeds=HEADLINE_SEEDS, decisive=decisive)


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """LN at both rates; no norm and BN without a target network beside it at the common rate."""
    layer: Settings = {"norm": "layer", "target_every": None}
    yield f"{env}, layer, common rate", part(env, "layer", layer, decisive=True)
    yield f"{env}, layer, own best rate", part(env, "layer", layer, own_rates=True, decisive=True)
    for name, arm in BESIDE.items():
        yield f"{env}, {name}", part(env, name, arm)


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
