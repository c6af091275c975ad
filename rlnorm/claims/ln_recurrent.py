"""LayerNorm and BatchNorm in recurrent networks: tanh cells and GRUs that read digits row by row."""

from functools import partial

from rlnorm.claims._supervised import NOT_QUICK, quick_is_full
from rlnorm.study.claim import PRESETS, Claim, Effect, Part, Question, Settings, supervised_experiment

# Cell -> presets and updates, since GRUs take long, and rates with the best ones inside (from pilots).
CELLS = {
    "tanh": (PRESETS, 240, (0.003, 0.01, 0.03, 0.1, 0.3)),
    "gru": (NOT_QUICK, 160, (0.01, 0.03, 0.1, 0.3, 1.0)),
}
NONE: Settings = {"norm": "none"}
LAYER: Settings = {"norm": "layer"}
BATCH: dict[str, Settings] = {
    "BN shared": {"norm": "batch"},
    "BN per step": {"norm": "batch", "per_step": True},
}


def parts_of(cell: str) -> dict[str, Part]:
    """All parts with one kind of cell."""
    presets, updates, rates = CELLS[cell]
    effect = partial(
        Effect,
        experiment=supervised_experiment(
            steps=quick_is_full(updates),
            dataset="digits_rows",
            train_size=100,
            cell=cell,
            hidden=(32,),
            optimizer="sgd",
            lr=0.03,
            batch=16,
            every=80,
        ),
        metric="accuracy",
        rates=rates,
        seeds=24,
        presets=presets,
        group=cell,
    )
    by_a_point = partial(Question, margin=0.01, paired=True)
    more, fewer = {"train_size": 400}, {"train_size": 60}
    parts: dict[str, Part] = {
        f"{cell}, LN against nothing": effect(
            arms={"none": NONE, "LN": LAYER, "none, more images": {**NONE, **more}},
            question=by_a_point(
                asks="superior", treatment="LN", reference="none", positive_control="none, more images"
            ),
        )
    }
    for name, batch in BATCH.items():
        parts[f"{cell}, LN against {name}"] = effect(
            arms={name: batch, "LN": LAYER, f"{name}, more images": {**batch, **more}},
            question=by_a_point(
                asks="superior", treatment="LN", reference=name, positive_control=f"{name}, more images"
            ),
        )
        parts[f"{cell}, {name} against nothing"] = effect(
            arms={
                "none": NONE,
                name: batch,
                "none, fewer images": {**NONE, **fewer},
                "none, more images": {**NONE, **more},
            },
            question=by_a_point(
                asks="not better",
                treatment=name,
                reference="none",
                negative_control="none, fewer images",
                positive_control="none, more images",
            ),
        )
    return parts


CLAIM = Claim(
    title="LayerNorm suits recurrent networks, BatchNorm does not",
    statement="LayerNorm suits recurrent networks, and BatchNorm is hard to use there: networks of tanh cells and of "
    "GRUs that read digits row by row (8 steps, 100 images, 240 and 160 updates) classify better with LN in each step "
    "than without a norm and than with BN, and BN does not help them. BN keeps one set of running statistics for all "
    "steps, or one for each step. Better means by 1 point of test accuracy, each arm at its own best of five rates.",
    source="note N4; layer normalization: Ba et al. 2016, arXiv:1607.06450, sec. 3.1",
    notes=("N4",),
    kind="effect",
    parts={name: part for cell in CELLS for name, part in parts_of(cell).items()},
    literature="Ba et al. 2016 train recurrent nets faster with LN than without; Cooijmans et al. 2017, "
    "arXiv:1603.09025, do so with BN that keeps statistics for each step (recurrent BN, gamma started at 0.1), on "
    "sequences of up to 784 steps.",
)
