"""The loss around the weights with and without BatchNorm, and where training ends."""

from functools import partial

from rlnorm.claims._supervised import NETS, quick_is_full
from rlnorm.study.claim import Claim, Effect, Part, Question, supervised_experiment

# The best of (0.01, 0.03, 0.1) by accuracy after 150 updates on seeds 0-2, the same with BN and without, for both nets.
LR = 0.03
RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
ARMS = {"none": {"norm": "none"}, "BN": {"norm": "batch"}}
better = partial(Question, asks="superior", treatment="BN", reference="none")


def parts_of(net: str) -> dict[str, Part]:
    """All parts with one network."""
    flat = partial(
        Effect,
        experiment=supervised_experiment(
            steps=quick_is_full(150),
            dataset="digits",
            optimizer="sgd",
            lr=LR,
            batch=32,
            hidden=(32,) * 4,
            every=15,
            probes=10,
            measure=("line", "hessian"),
            **NETS[net],
        ),
        arms=ARMS,
        group=f"{net}, flatter",
    )
    minima = partial(
        Effect,
        experiment=supervised_experiment(
            steps=quick_is_full(500),
            dataset="spirals",
            optimizer="sgd",
            lr=LR,
            batch=32,
            hidden=(16, 16, 16),
            every=1000,
            **NETS[net],
        ),
        arms=ARMS,
        metric="train_loss",
        rates=RATES,
        group=f"{net}, minima",
    )
    return {
        f"{net}, loss along the gradient": flat(metric="loss_variation", question=better(margin=1.25, scale="ratio")),
        f"{net}, gradient along itself": flat(metric="gradient_turn", question=better(margin=1.25, scale="ratio")),
        # A quarter, in decades.
        f"{net}, largest curvature": flat(metric="sharpness", question=better(margin=0.096)),
        # A quarter, in nats.
        f"{net}, final training loss": minima(question=better(margin=0.22)),
        f"{net}, spread of final training loss": minima(question=better(margin=1.25, scale="spread"), seeds=64),
    }


CLAIM = Claim(
    title="BatchNorm flattens the loss and avoids local minima",
    statement="With BatchNorm the loss is flatter by a quarter, by three measures on digits: how much the loss varies "
    "along its gradient (up to four steps), how much the gradient turns there, and the Hessian's largest eigenvalue. "
    "They are taken at the rate that is best both with BN and without: a step of that rate is their ruler. And bad "
    "local minima are avoided: on two spirals, each at its best of five rates, the training loss ends lower (by a "
    "quarter), and its spread over starts (the standard deviation of its logarithm) is smaller by a quarter.",
    source="study note N1; measures: Santurkar et al. 2018, arXiv:1805.11604, sec. 3.1",
    notes=("N1",),
    kind="effect",
    parts={name: part for net in NETS for name, part in parts_of(net).items()},
    literature="Santurkar et al. 2018 (arXiv:1805.11604, fig. 4): loss and gradient vary less along the gradient with "
    "BN. Ghorbani et al. 2019 (arXiv:1901.10159): without BN the Hessian has large outlying eigenvalues. A network "
    "with BN computes the same when weights are rescaled, which alone changes its Hessian.",
)
