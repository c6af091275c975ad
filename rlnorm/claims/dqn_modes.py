"""Train and eval mode in DQN: which statistics each forward pass should normalize with."""

from collections.abc import Iterator

from rlnorm.study.claim import Claim, Part, Preset, Settings
from rlnorm.study.claim.dqn_setting import QUICK, controlled, effect, headline, question, study

ENVIRONMENTS = ("CartPole-v1", "Acrobot-v1")
OTHERS = ("joint", "naive", "own-statistics", "sb3")
SUPERVISED: Settings = {"norm": "batch"}

# One change to the supervised recipe each. A target in mode "train" is left out, being the same as in "batch" where its
# statistics are copied: nothing reads what its passes make of them. In mode "eval" statistics that stay its own are
# those that it began with, so "target forgets" is that, too; "target track" is the way to have some of its own.
CHANGES: dict[str, Settings] = {
    **{f"acting {mode}": {"acting": mode} for mode in ("train", "batch", "track")},
    **{f"target {mode}": {"target": mode} for mode in ("batch", "track")},
    **{f"online {mode}": {"online": mode} for mode in ("batch", "track")},
    # No pass updates the running statistics: BN is an affine map, and this arm an A/A control of no norm.
    "no normalization": {"online": "eval"},
    "target forgets": {"statistics": "forgotten"},
    "target track, forgets": {"target": "track", "statistics": "forgotten"},
}
# Where the online network passes over s' as well: it chooses there, or its values stand in for a target's.
SUCCESSOR: dict[str, Settings] = {"double": {"double": True}, "without target": {"target_every": None}}


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """Every recipe at both rates; every single change at the common rate."""
    for recipe in OTHERS:
        arms = {"supervised": SUPERVISED, recipe: {"norm": "batch", "recipe": recipe}}
        presets: tuple[Preset, ...] | None = ("full",) if recipe not in ("joint", "naive") and env == QUICK else None
        found = headline(env, arms, recipe, "supervised", SUPERVISED, recipe, presets)
        yield from found.items()
    for name, modes in CHANGES.items():
        yield f"{env}, {name}", single(env, name, modes, {})
    for where, settings in SUCCESSOR.items():
        for mode in ("train", "batch", "track"):
            name = f"{where}, successor {mode}"
            yield f"{env}, {name}", single(env, name, {"successor": mode}, settings)


def single(env: str, name: str, modes: Settings, settings: Settings) -> Part:
    """One change of modes, with `settings` for all arms."""
    supervised = {**SUPERVISED, **settings}
    arms = controlled(env, {"supervised": supervised, name: {**supervised, "modes": modes}}, supervised)
    asked = question("not better", name, "supervised")
    return effect(study(env), arms, asked, presets=("full",), decisive=False)


PARTS = {name: part for env in ENVIRONMENTS for name, part in parts(env)}

CLAIM = Claim(
    title="Supervised train and eval modes suit DQN",
    statement="Batch statistics when training and running ones at inference, as in supervised learning, is the right "
    "way in DQN: with BatchNorm before every hidden activation, no other recipe (one batch of s and s'; batch "
    "statistics everywhere; a target with statistics of its own; stable-baselines3's loop) scores better, by a margin "
    "of 0.05 of the normalized area under the training-return curve, at a common rate and each at its best of eight. "
    "On Acrobot a rule shows all agents alike what the goal is. Beside it, at the common rate, every single change of "
    "one pass: acting, online, target, and with double Q-learning or without a target network the online network on "
    "s'; and a target that forgets its statistics.",
    source="study notes N0, N2, N3 and N4; Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.1",
    notes=("N0", "N2", "N3", "N4"),
    kind="effect",
    parts=PARTS,
    literature="stable-baselines3 acts and bootstraps with running statistics and copies them to the target; CrossQ "
    "(Bhatt et al. 2024, arXiv:1902.05605) passes s and s' through one batch, since a target net that normalizes s' "
    "with statistics of s sees inputs from another distribution.",
)
