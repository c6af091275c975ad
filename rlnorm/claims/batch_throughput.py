"""BatchNorm in very large batches: the error at equal epochs and at equal updates, and the rows trained in a second."""

from functools import partial

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rlnorm.claims._supervised import counted, quick_is_full
from rlnorm.study.claim import Claim, Cost, Effect, Part, Question, Settings, Work, supervised_experiment

ROWS = 2048
FULL, SMALL = "all 320 at once", "batches of 32"


def epoch(batch: int) -> Work:
    """One epoch of 2048 rows in batches of `batch`, through three layers of 256 units with torch's BN."""
    draws = torch.Generator().manual_seed(0)
    x, t = torch.randn(ROWS, 64, generator=draws), torch.randint(0, 10, (ROWS,), generator=draws)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        layers = [
            module for inputs in (64, 256, 256) for module in (nn.Linear(inputs, 256), nn.BatchNorm1d(256), nn.ReLU())
        ]
        model = nn.Sequential(*layers, nn.Linear(256, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)

    def run() -> None:
        for rows, classes in zip(x.split(batch), t.split(batch)):
            optimizer.zero_grad()
            cross_entropy(model(rows), classes).backward()
            optimizer.step()

    return run


def time(batch: int, than: int, statement: str, decisive: bool) -> Cost:
    """Does an epoch take less time in batches of `batch` than in batches of `than`, by a quarter?"""
    names = {size: f"batches of {size}" for size in (batch, than)}
    return Cost(
        statement=statement,
        arms={name: partial(epoch, size) for size, name in names.items()},
        question=Question(asks="superior", treatment=names[batch], reference=names[than], margin=1.25, scale="ratio"),
        group="time",
        chunk=0.1,
        **counted(decisive),
    )


def errors(norm: str, budget: str, steps: int) -> Effect:
    """Small batches against full ones, after as many epochs or updates."""
    full: Settings = {"batch": 320}
    return Effect(
        experiment=supervised_experiment(
            steps=quick_is_full(steps),
            budget=budget,
            dataset="signals",
            train_size=320,
            hidden=(64, 64),
            norm=norm,
            activation="relu",
            init="he",
            optimizer="sgd",
            lr=0.3,
            every=100,
        ),
        arms={FULL: full, SMALL: {"batch": 32}, "more examples": {**full, "train_size": 1280}},
        metric="accuracy",
        question=Question(
            asks="superior", treatment=SMALL, reference=FULL, margin=0.01, paired=True, positive_control="more examples"
        ),
        rates=(0.01, 0.03, 0.1, 0.3, 1.0) if norm == "none" else (0.03, 0.1, 0.3, 1.0, 3.0),
        seeds=32,
        group=f"error, {norm}",
        **counted(norm == "batch"),
    )


PARTS: dict[str, Part] = {
    **{
        f"error at equal {budget}, {norm}": errors(norm, budget, steps)
        for norm in ("batch", "none")
        for budget, steps in (("epochs", 30), ("updates", 200))
    },
    "time, batches of 2048 against 256": time(
        256, 2048, "an epoch of 2048 rows takes a quarter less time in batches of 256 than in one batch", True
    ),
    "time, batches of 256 against 16": time(
        256, 16, "an epoch of 2048 rows takes a quarter less time in batches of 256 than in batches of 16", False
    ),
}

CLAIM = Claim(
    title="Very large batches suit BatchNorm badly",
    statement="BatchNorm also works badly at very large batches, which lose parallel efficiency. Trained on 320 "
    "signals all at once, networks with BN classify worse than in batches of 32, after 30 epochs and after 200 "
    "updates, by 1 point of test accuracy, each arm at its own best of five rates; and an epoch of 2048 rows takes at "
    "least a quarter more time in one batch than in batches of 256. The times are those of one core of this machine, "
    "which shows nothing of accelerators. (Networks without BN, and batches of 16, stand beside.)",
    source="note N4; Keskar et al. 2017, arXiv:1609.04836",
    notes=("N4",),
    kind="cost",
    parts=PARTS,
    literature="Keskar et al. 2017 find that large batches end in sharper minima and generalize worse; Hoffer et al. "
    "2017, arXiv:1705.08741, lay most of the gap to fewer updates, and close it with more updates and BN over parts "
    "of a batch; Goyal et al. 2017, arXiv:1706.02677, keep ResNet-50's error up to batches of 8192 with BN over 32 "
    "examples each.",
)
