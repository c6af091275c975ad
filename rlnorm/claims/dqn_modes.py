"""Train and eval mode in DQN: which statistics each forward pass should normalize with."""

from collections.abc import Iterator

from rlnorm.study.claim import Arm, Claim, Part, Preset, Settings
from rlnorm.study.judge import Question
from rlnorm.study.settings import PLANTED, QUICK, at_both_rates, effect, study

ENVIRONMENTS = ("CartPole-v1", "Acrobot-v1")
OTHERS = ("joint", "naive", "own-statistics", "sb3")
SUPERVISED: Settings = Arm(norm="batch")

# One change to the supervised recipe each; the passes over s' by the online network exist with double Q-learning.
CHANGES: dict[str, Settings] = {
    **{f"{name} {mode}": {name: mode} for name in ("acting", "target") for mode in ("train", "batch", "track")},
    **{f"online {mode}": {"online": mode} for mode in ("batch", "eval", "track")},
    "target forgets": {"statistics": "forgotten"},
}
DOUBLE: dict[str, Settings] = {f"double, successor {mode}": {"successor": mode} for mode in ("train", "batch", "track")}


def question(treatment: str) -> Question:
    """Is another way no better than the supervised one?"""
    return Question("not better", treatment, "supervised", margin=0.05, planted="planted")


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """Every recipe at both rates; every single change at the common rate."""
    planted = {**SUPERVISED, **PLANTED}
    for recipe in OTHERS:
        arms = {"supervised": SUPERVISED, recipe: Arm(norm="batch", recipe=recipe), "planted": planted}
        presets: tuple[Preset, ...] | None = ("full",) if recipe not in ("joint", "naive") and env == QUICK else None
        yield from at_both_rates(env, arms, question(recipe), f"recipe {recipe}", presets).items()
    for name, modes in {**CHANGES, **DOUBLE}.items():
        double = {"double": True} if name in DOUBLE else {}
        arms = {
            "supervised": {**SUPERVISED, **double},
            name: {**SUPERVISED, **double, "modes": modes},
            "planted": {**planted, **double},
        }
        yield f"{env}, {name}", effect(study(env), arms, question(name), presets=("full",))


PARTS = {name: part for env in ENVIRONMENTS for name, part in parts(env)}

CLAIM = Claim(
    statement="Batch statistics when training and running ones at inference, as in supervised learning, is the right "
    "way in DQN: with BatchNorm before every hidden activation, no other recipe (one batch of s and s'; batch "
    "statistics everywhere; a target with statistics of its own; stable-baselines3's loop) scores better, by a margin "
    "of 0.05 of the normalized area under the training-return curve, at a common rate and each at its best of five. "
    "Beside it, at the common rate, every single change of one pass: acting, online, target, and with double "
    "Q-learning the online network on s'.",
    source="study notes N0, N2, N3 and N4; Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.1",
    notes=("N0", "N2", "N3", "N4"),
    parts=PARTS,
    decisive=tuple(name for name in PARTS if "recipe" in name),
    literature="stable-baselines3 acts and bootstraps with running statistics and copies them to the target; CrossQ "
    "(Bhatt et al. 2024, arXiv:1902.05605) passes s and s' through one batch, since a target net that normalizes s' "
    "with statistics of s sees inputs from another distribution.",
)
