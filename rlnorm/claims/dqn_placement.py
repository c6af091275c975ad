"""Where norms stand in a Q-network: before or after the activation; in the first, the last or every hidden layer."""

from collections.abc import Iterator

from rlnorm.study.claim import Claim, Part, Settings
from rlnorm.study.claim.dqn_setting import QUICK, controlled, effect, question, study

ENVIRONMENTS = ("CartPole-v1", "Acrobot-v1")
NORMS = ("layer", "batch")
CHANGES: dict[str, Settings] = {
    "after": {"place": "after"},
    "first layer only": {"sites": ("first",)},
    "last layer only": {"sites": ("last",)},
}


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """Each change against the norm before every hidden activation."""
    for norm in NORMS:
        usual: Settings = {"norm": norm}
        for name, change in CHANGES.items():
            arms = controlled(env, {"before every activation": usual, name: {**usual, **change}}, usual)
            asked = question("not better", name, "before every activation")
            quick = env == QUICK and name == "after" and norm == "layer"
            yield (
                f"{env}, {norm}, {name}",
                effect(study(env), arms, asked, presets=None if quick else ("full",), decisive=name == "after"),
            )


PARTS = {name: part for env in ENVIRONMENTS for name, part in parts(env)}

CLAIM = Claim(
    title="Norms belong before the activation in DQN",
    statement="A norm belongs before the activation: in DQN, LN and BN after every hidden ReLU score no better than "
    "before it, by 0.05 of the normalized area under the training-return curve, in every environment. Beside it: the "
    "norm in the first or the last hidden layer only.",
    source="study notes N3 and N4; Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.2",
    notes=("N3", "N4"),
    kind="effect",
    parts=PARTS,
)
