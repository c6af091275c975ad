"""BatchNorm in DQN, in the three ways it is used: as in supervised learning, with joint batches, and naively."""

from collections.abc import Iterator
from functools import cache, partial

import torch

from rlnorm.dqn.agents import Agents
from rlnorm.dqn.recipes import RECIPES
from rlnorm.dqn.replay import Replay
from rlnorm.networks import mlp
from rlnorm.study.claim import Claim, Exact, Part, Preset, Settings
from rlnorm.study.claim.dqn_setting import BUDGETS, RATES, controlled, effect, headline, question, study
from rlnorm.study.claim.second_setting import STEPS, in_second_setting
from rlnorm.textbook.random_cases import Case, size, values

# "supervised" has the modes of stable-baselines3's recipe ("sb3") in the loop that the arm without a norm has; the loop
# itself, a second difference, is judged in dqn-modes.
WAYS: dict[str, Settings] = {
    "supervised": {"recipe": "supervised"},
    "joint": {"recipe": "joint"},
    "apart": {"recipe": "joint", "modes": {"joint": False}},
    "naive": {"recipe": "naive"},
}


@cache
def naive(width: int) -> Agents:
    """A naive agent with BatchNorm that observes `width` numbers."""
    build = partial(mlp, width, 2, hidden=(8,), norm="batch")
    return Agents(build, [0], [1e-3], unpack=Replay(1, 1, (width,)).unpack, recipe=RECIPES["naive"])


def refusals(case: Case) -> float:
    """Whether a naive agent refuses to act on the one row x (1, width): 1, or 0."""
    try:
        naive(case["x"].shape[1]).act(torch.from_numpy(case["x"]).float().unsqueeze(0))
    except ValueError:
        return 1.0
    return 0.0


def comparisons() -> Iterator[tuple[str, Part]]:
    """BN in each way against no norm, per environment; batch renormalization and a second setting beside it."""
    for env in BUDGETS:
        for name, way in WAYS.items():
            presets: tuple[Preset, ...] | None = ("full",) if name == "apart" else None
            arms = {"none": {}, "batch": {"norm": "batch", **way}}
            yield from headline(env, arms, "batch", what=name, presets=presets).items()
        arms = controlled(env, {"none": {}, "batch_renorm": {"norm": "batch_renorm"}})
        yield (
            f"{env}, batch renormalization, own best rate",
            effect(
                study(env), arms, question("not better", "batch_renorm"), presets=("full",), rates=RATES, decisive=False
            ),
        )
    for env in STEPS:
        arms = {"none": {}, "batch": {"norm": "batch", **WAYS["supervised"]}}
        yield from in_second_setting(env, arms, "batch", what="supervised").items()


CLAIM = Claim(
    title="BatchNorm is useless in DQN",
    statement="BatchNorm is useless in DQN: with it before every hidden activation, agents score no better than "
    "without, by a margin of 0.05 of the normalized area under the training-return curve, in any of the environments, "
    "at a common rate and each at its best of eight, and in whichever of four ways it is used: with batch statistics "
    "in updates and running ones elsewhere (supervised: stable-baselines3's modes, in the loop of the agents without a "
    "norm), with batch statistics of s and s' in updates as one batch (joint) or as two (apart), and with batch "
    "statistics everywhere and only parameters copied to the target (naive). On Acrobot a rule shows all agents alike "
    "what the goal is. Beside it: Acrobot without that, agents that learn from a fixed set of transitions, batch "
    "renormalization, and on CartPole the supervised way in a second setting, with an update per 4 steps; and with one "
    "environment per agent the naive way ends in an error at its first greedy action.",
    source="note N0; batch normalization: Ioffe & Szegedy 2015, arXiv:1502.03167",
    notes=("N0",),
    kind="effect",
    parts={
        **dict(comparisons()),
        "naive with one environment": Exact(
            decisive=False,
            statement="a naive agent refuses to act on the single observation of one environment",
            formula=refusals,
            truth=lambda case: 1.0,
            draw=lambda rng: {"x": values(rng, 1, size(rng))},
            scale=lambda case: 1.0,
            rationale="it is refused or it is not",
        ),
    },
    literature="Bhatt et al. 2024 (CrossQ, arXiv:1902.05605) make batch normalization work in off-policy actor-critic "
    "learning by passing s and s' through one batch; SLM-Lab's discrete CrossQ scores 335 on CartPole-v1, its DQN 240; "
    "they differ in more than the norm (no target network, batch renormalization), so this is no measure of BN alone.",
)
