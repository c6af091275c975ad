"""Laws of the declared costs: every arm can be built and run, what is timed is what is said, and times decide alone."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from rlnorm import compiling
from rlnorm.claims import bn_cost, ln_bn_cost_dqn
from rlnorm.study.claim import FEWEST, Cost
from rlnorm.study.claim.load import shipped
from rlnorm.study.judge.cost import judge

CLAIMS = shipped()
PARTS = {
    f"{claim}: {name}": part
    for claim, found in CLAIMS.items()
    for name, part in found.claim.parts.items()
    if isinstance(part, Cost)
}
LARGEST_RATIO = 1.25  # rule 3 of the rules of evidence


@pytest.fixture(scope="module", autouse=True)
def _short_training() -> Iterator[None]:
    """An agent's training timed in pieces of 20 steps, eager: that it runs is shown, not how fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ln_bn_cost_dqn, "STEPS", 2_000)
        patch.setattr(compiling, "available", lambda: False)
        yield


def wrongs(part: Cost) -> Iterator[str]:
    """What rlnorm asks of its own costs beyond what `rlnorm check-claim` asks of every claim."""
    if not 1 < part.question.margin <= LARGEST_RATIO:
        yield "the margin lies outside (1, 1.25]"
    if part.repetitions < FEWEST:
        yield "fewer repetitions than the judge needs"
    if part.chunk <= 0:
        yield "a turn takes no time"


def outcome(part: Cost, ratio: float) -> str:
    """The verdict where the treatment takes `ratio` times as long as the reference, to a hundredth."""
    rng = np.random.default_rng(0)
    seconds = {part.question.treatment: ratio, part.question.reference: 1.0}
    noisy = [{name: s * rng.lognormal(0, 0.01) for name, s in seconds.items()} for _ in range(part.repetitions)]
    return judge(part, [{"step": i, "seconds": row} for i, row in enumerate(noisy)]).outcome


@pytest.mark.parametrize("name", PARTS)
def test_declarations_hold_the_rules(name: str):
    assert list(wrongs(PARTS[name])) == []


GOOD = next(iter(PARTS.values()))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(GOOD, question=replace(GOOD.question, margin=1.3)), "outside (1, 1.25]"),
        (replace(GOOD, repetitions=7), "fewer repetitions"),
        (replace(GOOD, chunk=0.0), "takes no time"),
    ],
)
def test_every_law_can_fail(wrong: Cost, said: str):
    assert list(wrongs(GOOD)) == []
    assert any(said in sentence for sentence in wrongs(wrong))


# asked -> the ratio of times that supports it, the ratio that refutes it
TURNS = {"superior": (0.5, 1.0), "not better": (1.0, 0.5), "equivalent": (1.0, 2.0), "non-inferior": (1.0, 2.0)}


@pytest.mark.parametrize("name", PARTS)
def test_other_times_turn_the_verdict(name: str):
    supports, refutes = TURNS[PARTS[name].question.asks]
    assert outcome(PARTS[name], supports) == "supported"
    assert outcome(PARTS[name], refutes) == "refuted"


# A work that is never the same is a whole training: the smallest stands for all of them.
RUN = [name for name, part in PARTS.items() if part.repeatable or name.startswith("bn-relu: depth 2,")]


@pytest.mark.parametrize("name", PARTS)
def test_every_arm_can_be_built_and_run(name: str):
    for build in PARTS[name].arms.values():
        work = build()
        assert name not in RUN or work() is None


def test_norms_and_folded_bn_are_each_asked_about_in_every_size():
    asked = {frozenset(part.arms) for part in bn_cost.PARTS.values()}
    assert asked == {frozenset({"none", norm}) for norm in ("batch", "layer", "weight", "folded")}
    works = 2 * len(bn_cost.NAMES) + 1
    assert len(bn_cost.PARTS) == works * len(bn_cost.SIZES)


@pytest.mark.parametrize("name", bn_cost.SHAPES)
def test_the_folded_network_computes_what_the_unfolded_one_does(name: str):
    x, _ = bn_cost.data(name, 4)
    whole, folded = (bn_cost.network(name, norm).eval() for norm in ("batch", "folded"))
    torch.testing.assert_close(folded(x), whole(x), rtol=1e-4, atol=1e-6)
    assert len(folded) == len(whole) - 3


def test_a_training_step_trains():
    before = bn_cost.network("MLP", "batch")
    step = bn_cost.training_step("MLP", 8, "batch")
    assert step() is None
    assert isinstance(before[1], torch.nn.BatchNorm1d)
