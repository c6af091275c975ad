"""Steady layer inputs as the reason why BatchNorm helps: BN whose outputs are shifted and scaled anew at every step."""

from functools import partial

from rlnorm.claims._supervised import NETS, quick_is_full
from rlnorm.study.claim import Claim, Effect, Part, Question, Settings, supervised_experiment

RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
NONE: Settings = {"norm": "none"}
BN: Settings = {"norm": "batch"}
NOISY: Settings = {"norm": "batch", "noise": 0.5}  # Santurkar et al.'s bounds

# Of NETS and no sigmoid networks: without a norm their inputs drift more than the noise makes them (seeds 0-2).


def parts_of(net: str) -> dict[str, Part]:
    """All parts with one network."""
    common = {"dataset": "digits", "optimizer": "sgd", "batch": 32, "lr": 0.03, "hidden": (64,) * 4, **NETS[net]}
    speed = partial(
        Effect,
        experiment=supervised_experiment(steps=quick_is_full(200), every=5, **common),
        metric="updates_to_90",
        rates=RATES,
        group=net,
    )
    return {
        f"{net}, the benefit goes with steadiness": speed(
            arms={"none": NONE, "noisy BN": NOISY, "BN": BN, "none on 100 images": {**NONE, "train_size": 100}},
            question=Question(
                asks="not better",
                treatment="noisy BN",
                reference="none",
                margin=1.25,
                scale="ratio",
                negative_control="none on 100 images",
                positive_control="BN",
            ),
        ),
        f"{net}, steady BN is faster": speed(
            arms={"noisy BN": NOISY, "BN": BN},
            question=Question(asks="superior", treatment="BN", reference="noisy BN", margin=1.25, scale="ratio"),
        ),
        # What the two parts above rest on.
        f"{net}, premise: noisy BN drifts more than none": Effect(
            experiment=supervised_experiment(steps=quick_is_full(40), every=4, probes=40, **common),
            arms={"none": NONE, "noisy BN": NOISY},
            metric="input_drift",
            question=Question(asks="superior", treatment="none", reference="noisy BN", margin=1.25, scale="ratio"),
            seeds=8,
            decisive=False,
        ),
    }


CLAIM = Claim(
    title="BatchNorm helps because layer inputs stay steady",
    statement="BatchNorm speeds learning because it keeps the distribution of layer inputs steady. If so, BN loses "
    "its benefit when its outputs are shifted by up to 0.5 and scaled by up to 1.25 anew at every step, a number for "
    "each unit: such noisy BN reaches 90 % on digits in no fewer updates than no norm (by a quarter), and BN in fewer "
    "than noisy BN. Each is at its best of five rates, in networks of four layers of ReLU or tanh units. (That noisy "
    "BN's layer inputs drift more per step than those without a norm, at a common rate, is judged beside.)",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167; the test: Santurkar et al. 2018, arXiv:1805.11604, sec. 2.2",
    notes=("N1", "N2", "N3"),
    kind="effect",
    parts={name: part for net in NETS for name, part in parts_of(net).items()},
    literature="Santurkar et al. 2018 (arXiv:1805.11604): VGG on CIFAR-10 with noisy BN trains about as fast as with "
    "BN and far faster than without, though its layer inputs are less steady than without.",
)
