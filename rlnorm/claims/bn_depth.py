"""How deep a plain network can be trained: BatchNorm beside other activations, initializations and rates."""

from rlnorm.claims._supervised import trained
from rlnorm.study.claim import PRESETS, Claim, Effect, Preset, Question, Settings

RATES = (0.003, 0.01, 0.03, 0.1)
"""The smaller ones are the remedy "small rates": each arm may choose them."""
BATCH: Settings = {"norm": "batch", "activation": "sigmoid", "init": "xavier"}
OTHERS: dict[str, Settings] = {
    "none": {"activation": "sigmoid", "init": "xavier"},
    "better activation": {"activation": "relu", "init": "torch"},
    "careful init": {"activation": "tanh", "init": "xavier"},
    "both": {"activation": "relu", "init": "he"},
}
DEPTHS: dict[str, tuple[tuple[int, ...], tuple[Preset, ...]]] = {
    "2 to 20 layers": ((2, 10, 20), PRESETS),
    "30 and 50 layers": ((30, 50), ("full",)),
}


def part(other: str, depths: tuple[int, ...], presets: tuple[Preset, ...], group: str) -> Effect:
    """Accuracy after 150 updates, mean over depths, each arm at its own best rate."""
    return Effect(
        experiment=trained(150, every=50, batch=32, lr=0.03),
        arms={"batch": BATCH, other: {"norm": "none", **OTHERS[other]}},
        metric="accuracy",
        question=Question(asks="superior", treatment="batch", reference=other, margin=0.05),
        points=tuple({"hidden": (32,) * depth} for depth in depths),
        rates=RATES,
        presets=presets,
        group=group,
    )


CLAIM = Claim(
    title="BatchNorm makes deep networks trainable",
    statement="BatchNorm makes deep networks trainable, more fundamentally than other remedies: with it, sigmoid "
    "networks of 2 to 20 layers, and of 30 and 50, are more accurate on digits after 150 updates, by 5 points on "
    "average over depths, than without any remedy, with a better activation (ReLU), with careful initialization "
    "(tanh and Xavier's), and with both (ReLU and He's); each at its best of four rates, of which small ones are the "
    "notes' last remedy.",
    source="study note N1",
    notes=("N1",),
    kind="effect",
    parts={
        f"{depth}, against {other}": part(other, depths, presets, depth)
        for depth, (depths, presets) in DEPTHS.items()
        for other in OTHERS
    },
    literature="Yang et al. 2019 (arXiv:1902.08129) prove that gradients of plain networks with BN explode with "
    "depth, so that those of more than some 50 layers do not train; He et al. 2015 (arXiv:1502.01852) train 30 ReLU "
    "layers without BN by initialization.",
)
