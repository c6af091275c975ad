"""Self-normalizing networks at batches of 1 and 2, where BatchNorm cannot be used or lacks examples."""

from functools import partial

from rlnorm.claims._supervised import counted, quick_is_full
from rlnorm.study.claim import Claim, Effect, Part, Question, Settings, supervised_experiment

ARMS: dict[str, Settings] = {
    "SELU": {"activation": "selu", "init": "lecun", "norm": "none"},
    "ReLU": {"norm": "none"},
    "ReLU, BN": {"norm": "batch"},
    "ReLU, LN": {"norm": "layer"},
}


def parts_at(batch: int) -> dict[str, Part]:
    """SELU against each other arm that can be trained in batches of `batch`."""
    effect = partial(
        Effect,
        experiment=supervised_experiment(
            steps=quick_is_full(400),
            dataset="digits",
            train_size=200,
            hidden=(32,) * 8,
            activation="relu",
            init="he",
            optimizer="sgd",
            lr=0.001,
            batch=batch,
            every=200,
        ),
        metric="accuracy",
        rates=(0.0003, 0.001, 0.003, 0.01, 0.03),
        group=f"batches of {batch}",
    )
    others = [name for name in ARMS if name != "SELU" and (batch > 1 or name != "ReLU, BN")]
    return {
        f"batches of {batch}, SELU against {other}": effect(
            arms={
                other: ARMS[other],
                "SELU": ARMS["SELU"],
                f"{other}, batches of 16": {**ARMS[other], "batch": 16},
            },
            question=Question(
                asks="superior",
                treatment="SELU",
                reference=other,
                margin=0.01,
                paired=True,
                positive_control=f"{other}, batches of 16",
            ),
            **counted(other != "ReLU, LN"),
        )
        for other in others
    }


CLAIM = Claim(
    title="Self-normalizing nets serve where BatchNorm cannot",
    statement="Where BatchNorm cannot be used, self-normalizing networks serve: in batches of 1, which BN does not "
    "take, and of 2, networks of 8 layers with SELU (LeCun's initialization) classify digits better after 400 updates "
    "than networks of ReLUs (He's) without a norm, and in batches of 2 better than those with BN, by 1 point of test "
    "accuracy, each arm at its own best of five rates. (LayerNorm, which takes any batch too, stands beside.)",
    source="note N4; Klambauer et al. 2017, arXiv:1706.02515",
    notes=("N4",),
    kind="effect",
    parts={**parts_at(1), **parts_at(2)},
    literature="Klambauer et al. 2017 compare on 121 UCI tasks, where SELU networks rank before those with BN, LN and "
    "WN.",
)
