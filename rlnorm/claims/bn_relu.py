"""BatchNorm in networks of ReLUs, at several depths: accuracy, updates and seconds to a threshold, stability."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from rlnorm.study.claim import PRESETS, Arm, Claim, Effect, Part, Preset, Supervised
from rlnorm.study.cost import Cost, Work
from rlnorm.study.judge import Question
from rlnorm.supervised import train

RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
PRESETS_OF_DEPTH: dict[int, tuple[Preset, ...]] = {2: PRESETS, 8: PRESETS, 4: ("full",), 12: ("full",), 20: ("full",)}
# He's initialization is made for ReLU. torch's default lets signals fade, and BN would be praised for curing that.
COMMON: dict[str, Any] = {"dataset": "digits", "activation": "relu", "init": "he", "optimizer": "sgd"}
LR, THRESHOLD = 0.01, 0.9
FRESH = 40  # seeds 8-39 were seen while the parts were laid out and the quick budget was cut to fit five minutes


def training(norm: str, hidden: tuple[int, ...]) -> Work:
    """The work to be timed: one network of a new seed, trained to the threshold (or through its 400 updates)."""
    seeds = count(FRESH)

    def work() -> None:
        for record in train(**COMMON, hidden=hidden, norm=norm, seeds=[next(seeds)], rates=[LR], steps=400):
            if record["test_accuracy"][0] >= THRESHOLD:
                return

    return work


def parts_of(depth: int, presets: tuple[Preset, ...]) -> dict[str, Part]:
    """All parts at one depth."""
    hidden = (64,) * depth
    # 100 training images leave room: the reference classifies 80 to 90 % of the test images.
    few = Supervised(
        steps={"smoke": 100, "quick": 200, "full": 600}, hidden=hidden, train_size=100, batch=32, lr=LR, **COMMON
    )
    every = Supervised(steps={"smoke": 100, "quick": 300, "full": 800}, hidden=hidden, batch=64, lr=LR, **COMMON)
    none, batch = Arm(norm="none"), Arm(norm="batch")
    accuracy_arms = {"none": none, "batch": batch, "planted": Arm(norm="none", train_size=60)}
    speed_arms = {"none": none, "batch": batch, "planted": Arm(norm="none", init_scale=0.3)}
    accuracy = Question("not better", "batch", "none", margin=0.01, planted="planted")
    speed = Question("not better", "batch", "none", margin=1.25, scale="ratio", planted="planted")
    seconds = Question("not better", "batch", "none", margin=1.25, scale="ratio")
    stability = Question("superior", "batch", "none", margin=0.05)
    timed: dict[str, Callable[[], Work]] = {name: partial(training, name, hidden) for name in ("none", "batch")}
    return {
        f"depth {depth}, accuracy, common rate": Effect(
            few, accuracy_arms, "accuracy", accuracy, judged_from=FRESH, presets=presets
        ),
        f"depth {depth}, accuracy, own best rate": Effect(
            few, accuracy_arms, "accuracy", accuracy, rates=RATES, judged_from=FRESH, presets=presets
        ),
        f"depth {depth}, updates to 90 %, common rate": Effect(
            every, speed_arms, "updates_to_90", speed, judged_from=FRESH, presets=presets
        ),
        f"depth {depth}, updates to 90 %, own best rate": Effect(
            every, speed_arms, "updates_to_90", speed, rates=RATES, judged_from=FRESH, presets=presets
        ),
        f"depth {depth}, seconds to 90 %, common rate": Cost(
            "one network trained with BN to 90 % (rlnorm's layers, eager) takes no less time than without",
            timed,
            seconds,
            10,
            alike=False,
            presets=presets,
        ),
        f"depth {depth}, stability": Effect(
            few,
            {"none": none, "batch": batch},
            "sound",
            stability,
            rates=RATES,
            grid=True,
            judged_from=FRESH,
            presets=presets,
        ),
    }


PARTS = {name: part for depth, presets in PRESETS_OF_DEPTH.items() for name, part in parts_of(depth, presets).items()}

CLAIM = Claim(
    statement="With ReLU, BatchNorm is pointless: networks with it before every ReLU end no more accurate on digits "
    "(by 1 point, after training on 100 images) and reach 90 % in no fewer updates (by a quarter, on all images) than "
    "without, at a common rate and each at its best of five, and in no fewer seconds at the common rate. (The note "
    "grants that stability may need it: the share of sound runs over the rates is judged beside.)",
    source="note N0; batch normalization: Ioffe & Szegedy 2015, arXiv:1502.03167",
    notes=("N0",),
    parts=PARTS,
    decisive=tuple(name for name in PARTS if "stability" not in name),  # which the note grants
    literature="Ioffe & Szegedy 2015 train ReLU networks (Inception) with BN to equal accuracy in 14 times fewer "
    "steps, with higher rates and other changes besides; Santurkar et al. 2018 (arXiv:1805.11604) lay it to a "
    "smoother loss.",
)
