"""He's initialization trains deep ReLU networks without a norm, where Xavier's stalls."""

from rlnorm.study.claim import Claim, Effect, Question
from rlnorm.validation.known._trained import trained


def better(depth: int) -> Effect:
    """Test accuracy of networks so deep."""
    return Effect(
        experiment=trained(200, hidden=(32,) * depth, activation="relu", norm="none", batch=32, lr=0.003, every=200),
        arms={"xavier": {"init": "xavier"}, "he": {"init": "he"}},
        metric="accuracy",
        question=Question(asks="superior", treatment="he", reference="xavier", margin=0.0),
        seeds=8,
    )


CLAIM = Claim(
    title="He's initialization trains deep ReLU networks",
    statement="ReLU networks of 20 and of 30 layers without a norm classify digits better after 200 updates with He's "
    "initialization than with Xavier's, at one rate for both.",
    source="He et al. 2015, arXiv:1502.01852, sec. 2.2",
    kind="effect",
    parts={f"{depth} layers": better(depth) for depth in (20, 30)},
    literature="A 22-layer ReLU network converges earlier with He's initialization than with Xavier's, and a 30-layer "
    "one with He's alone: with Xavier's its gradients vanish and it stalls (fig. 2 and 3).",
)
