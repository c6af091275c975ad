"""LayerNorm in a recurrent network, where BatchNorm with statistics for each step fails at small batches."""

from rlnorm.study.claim import Claim, Effect, Question
from rlnorm.validation.known._trained import trained

CLAIM = Claim(
    title="LayerNorm suits recurrent networks at small batches",
    statement="A network of 32 tanh cells reads digits row by row, four in a batch: with LayerNorm in each step it "
    "classifies better than with BatchNorm that keeps running statistics for each step, at one rate for both.",
    source="Ba et al. 2016, arXiv:1607.06450, sec. 1 and 3.1",
    kind="effect",
    parts={
        "batch 4": Effect(
            experiment=trained(
                150, dataset="digits_rows", cell="tanh", hidden=(32,), train_size=400, batch=4, lr=0.005, every=150
            ),
            arms={
                "batch, per step": {"norm": "batch", "per_step": True},
                "layer": {"norm": "layer"},
            },
            metric="accuracy",
            question=Question(asks="superior", treatment="layer", reference="batch, per step", margin=0.0, paired=True),
        )
    },
    literature="BN needs statistics for each time step and batches that are not small; LN has neither limit, and "
    "speeds up recurrent networks, most with small batches and long sequences (handwriting generation, batch 8).",
)
