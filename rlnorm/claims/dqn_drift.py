"""The replay as a source of shifting inputs: BN's running statistics in DQN, and on inputs that stay the same."""

from collections.abc import Iterator

from rlnorm.study.claim import Claim, Part, Question, Settings
from rlnorm.study.claim.dqn_setting import BUDGETS, DQN_STUDY, effect, study

REPLAY: Settings = {"norm": "batch"}
# What was collected before the first update, and nothing after.
FIXED_INPUTS: Settings = {**REPLAY, "collect": DQN_STUDY["starts"]}
# With a target network that is never copied, a transition has the same label for ever: supervised regression.
FIXED_SET: Settings = {**FIXED_INPUTS, "target_every": 10**9}
# Twenty steps of ten environments: what the next batches are drawn from is soon something else.
SHIFTING: Settings = {**REPLAY, "buffer": 200}

GAPS = {"gap of means": "mean_gap", "gap of spreads": "spread_gap"}
# With the same inputs, the two have the same observations.
STEADY = {
    "fixed set": (FIXED_SET, GAPS),
    "fixed inputs": (FIXED_INPUTS, {**GAPS, "observations": "observation_drift"}),
}


def parts(env: str) -> Iterator[tuple[str, Part]]:
    """DQN from its replay against the same from a steady set: is the latter lower, by a quarter, in each metric?

    The negative control shows that the probes would see a replay that shifts. Lengths compare as ratios, so the
    margin is that of ratios.
    """
    experiment = study(env, quick=30_000, probes=20)  # as many in short runs, too
    for name, (arm, metrics) in STEADY.items():
        for what, metric in metrics.items():
            arms = {"replay": REPLAY, name: arm, "shifting replay": SHIFTING}
            question = Question(
                asks="superior",
                treatment=name,
                reference="replay",
                margin=1.25,
                scale="ratio",
                negative_control="shifting replay",
            )
            yield (
                f"{env}, {name}, {what}",
                effect(experiment, arms, question, metric=metric, decisive=metric == "mean_gap"),
            )


PARTS = {name: part for env in BUDGETS for name, part in parts(env)}

CLAIM = Claim(
    title="The replay shifts what BatchNorm assumes steady",
    statement="In DQN the replay shifts the inputs that BatchNorm assumes steady (notes N0 and N1). Made precise: with "
    "BN before every hidden activation, the gap between the means of a batch and the running ones (in running standard "
    "deviations, worst layer, mean over training) is smaller where the inputs stay the same, by a quarter, in every "
    "environment. Network, batch size, optimizer, rate, momentum and number of updates are the same; what is learned "
    "from are the transitions of the first 1000 steps alone: with the labels that they have at the start, which is "
    "supervised regression on a fixed set, and with labels from a target network as usual, where nothing but the "
    "replay stands still. (Drawing 128 inputs makes a gap of about 0.08 by itself.) Beside it: the gap of standard "
    "deviations, and how far the mean of the observations moves in a twentieth of the training.",
    source="study notes N0 and N1; Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 2",
    notes=("N0", "N1"),
    kind="effect",
    parts=PARTS,
    literature="CrossQ (Bhatt et al. 2024, arXiv:1902.05605) lays the failure of BN in off-policy learning to s and s' "
    "coming from two distributions, with other actions in each, rather than to drift.",
)
