"""Deep networks of SELU units learn without a norm where those of ReLU do not."""

from rlnorm.study.claim import Claim, Effect, Question
from rlnorm.validation.known._trained import trained

CLAIM = Claim(
    title="Deep SELU networks learn where ReLU's fail",
    statement="Networks of 30 and of 50 layers without a norm classify digits better after 100 updates (mean of both "
    "depths) with SELU and LeCun's initialization than with ReLU and He's, at one rate for both.",
    source="Klambauer et al. 2017, arXiv:1706.02515, sec. 4",
    kind="effect",
    parts={
        # In pilots ReLU's best rate, 0.003, gave 0.31 at 30 layers and SELU 0.57 there; SELU's, 0.001, 0.21 and 0.70.
        "30 and 50 layers": Effect(
            experiment=trained(100, norm="none", batch=32, lr=0.001, every=100),
            arms={"relu": {"activation": "relu", "init": "he"}, "selu": {"activation": "selu", "init": "lecun"}},
            metric="accuracy",
            question=Question(asks="superior", treatment="selu", reference="relu", margin=0.0),
            points=tuple({"hidden": (32,) * depth} for depth in (30, 50)),
            seeds=8,
        )
    },
    literature="Self-normalizing networks of 8, 16 and 32 layers train well without a norm (fig. 1), and over 121 "
    "tasks rank above ReLU networks with He's initialization; the best of them are deeper than the best of any other "
    "kind (10.8 layers on average).",
)
