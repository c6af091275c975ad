"""Vanishing and exploding gradients by depth, with BatchNorm and with the other remedies that the notes name."""

from rlnorm.claims._supervised import counted
from rlnorm.study.claim import Claim, Effect, Question, Settings, supervised_experiment

DEPTHS = tuple({"hidden": (64,) * depth} for depth in (5, 10, 20, 30))


def less_fading(batch: Settings, other: Settings, name: str = "none", decisive: bool = True, group: str = "") -> Effect:
    """Is the first hidden layer's gradient closer to the last one's, by half a decade, as training starts?"""
    return Effect(
        experiment=supervised_experiment(
            steps={"smoke": 1, "quick": 1, "full": 1}, dataset="digits", optimizer="sgd", batch=64, probes=1, lr=0.01
        ),
        arms={"batch": {"norm": "batch", **batch}, name: {"norm": "none", **other}},
        metric="gradient_fading_at_start",
        question=Question(asks="superior", treatment="batch", reference=name, margin=0.5),
        points=DEPTHS,
        **counted(decisive),
        group=group,
    )


SIGMOID: Settings = {"activation": "sigmoid", "init": "xavier"}
TANH: Settings = {"activation": "tanh", "init": "torch"}
RELU: Settings = {"activation": "relu", "init": "torch"}
CAREFUL_TANH: Settings = {"activation": "tanh", "init": "xavier"}
CAREFUL_RELU: Settings = {"activation": "relu", "init": "he"}

CLAIM = Claim(
    title="BatchNorm cures vanishing and exploding gradients",
    statement="BatchNorm cures vanishing and exploding gradients: as training starts, the gradients of the first and "
    "the last hidden layer lie closer together with it than without, by half a decade on average over 5, 10, 20 and "
    "30 layers, with sigmoid, tanh and ReLU under a common initialization. Beside stand the other remedies of the "
    "notes: against tanh and ReLU with the initialization made for them, and against ReLU in place of the sigmoid.",
    source="study notes N1 and N3",
    notes=("N1", "N3"),
    kind="effect",
    parts={
        "sigmoid": less_fading(SIGMOID, SIGMOID),
        "tanh": less_fading(TANH, TANH),
        "ReLU": less_fading(RELU, RELU),
        "against Xavier's init, tanh": less_fading(CAREFUL_TANH, CAREFUL_TANH, decisive=False, group="other remedies"),
        "against He's init, ReLU": less_fading(CAREFUL_RELU, CAREFUL_RELU, decisive=False, group="other remedies"),
        "against ReLU in place of sigmoid": less_fading(
            SIGMOID, CAREFUL_RELU, "ReLU", decisive=False, group="other remedies"
        ),
    },
    literature="Yang et al. 2019 (arXiv:1902.08129) prove that gradients of plain networks with BN explode with depth "
    "as training starts, by 1.21 a layer with ReLU; Ioffe & Szegedy 2015 argue that BN keeps activations out of "
    "saturation.",
)
