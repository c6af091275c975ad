"""Arms that are the same by construction: no difference may be found where there is none."""

from functools import partial

from rlnorm.study.claim import Claim, Effect, Question, Settings
from rlnorm.validation.known._trained import trained

ARMS: dict[str, Settings] = {"bias": {}, "no bias": {"bias": False}, "150 images": {"train_size": 150}}
MORE: dict[str, Settings] = {"600 images": {"train_size": 600}}
BY_A_POINT = partial(
    Question, treatment="no bias", reference="bias", margin=0.01, paired=True, negative_control="150 images"
)
PART = partial(
    Effect,
    experiment=trained(
        120,
        hidden=(64, 64),
        activation="relu",
        norm="batch",
        init="he",
        train_size=300,
        label_noise=0.3,
        batch=64,
        lr=0.01,
        every=120,
    ),
    metric="accuracy",
    seeds=64,
)

CLAIM = Claim(
    title="Arms without a difference are found equal",
    statement="Networks with BatchNorm behind every hidden layer classify digits as well without biases before it as "
    "with them, to 1 point of test accuracy, and not better: a bias there changes nothing but the draws of the "
    "initial weights.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.2",
    kind="effect",
    parts={
        "equivalent": PART(arms=ARMS, question=BY_A_POINT(asks="equivalent")),
        "not better": PART(
            arms={**ARMS, **MORE}, question=BY_A_POINT(asks="not better", positive_control="600 images")
        ),
    },
    literature="The mean takes a bias before BN away again (sec. 3.2). A test of two arms that are the same (A/A) is "
    "to find a difference no more often than its level says: Kohavi et al. 2009, doi:10.1007/s10618-008-0114-1.",
)
