"""The laws of exact claims: a verdict follows from the measurement alone, so a wrong formula turns it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from rlnorm.claims import bn_grad_input_short
from rlnorm.study.claim import Exact
from rlnorm.study.claim.exact import Quantity
from rlnorm.study.claim.load import shipped
from rlnorm.study.judge.exact import judge
from rlnorm.study.judge.verdict import ExactDetails, Judgement
from rlnorm.study.run.exact import run
from rlnorm.textbook.random_cases import Case

PARTS = {
    f"{claim}: {name}": part
    for claim, found in shipped().items()
    for name, part in found.claim.parts.items()
    if isinstance(part, Exact)
}


@pytest.fixture(scope="module", autouse=True)
def _one_short_training() -> Iterator[None]:
    """One network and one epoch in the place of several: what turns a verdict does not depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bn_grad_input_short, "NETWORKS", 1)
        patch.setattr(bn_grad_input_short, "EPOCHS", 1)
        yield


def judged(part: Exact) -> Judgement:
    """The part's verdict over a few of its cases."""
    return judge(part, run(replace(part, cases=max(2, part.cases * 40 // 1000)), "test", 0))


def outcome(part: Exact) -> str:
    return judged(part).outcome


def stretched(formula: Quantity, part: Exact) -> Quantity:
    return lambda case: np.multiply(formula(case), 1.001)


def flipped(formula: Quantity, part: Exact) -> Quantity:
    return lambda case: np.negative(formula(case))


def mirrored(formula: Quantity, part: Exact) -> Quantity:
    """As far on the other side of the bound."""
    return lambda case: 2 * np.asarray(part.truth(case)) - formula(case)


def shifted(formula: Quantity, part: Exact) -> Quantity:
    """A thousandth of the scale beside the mark, or twice the tolerance where that is more, to the forbidden side."""
    side = -1 if part.relation == ">=" else 1
    return lambda case: formula(case) + side * max(1e-3, 2 * part.tolerance) * np.asarray(part.scale(case))


@pytest.mark.parametrize("name", PARTS)
def test_a_wrong_formula_turns_the_verdict_to_refuted(name: str):
    part = PARTS[name]
    right = replace(part, formula=part.truth)
    assert outcome(right) == "supported"
    assert outcome(replace(part, formula=shifted(part.truth, part))) == "refuted"


@pytest.mark.parametrize("name", PARTS)
def test_a_supported_formula_stretched_or_flipped_is_refuted(name: str):
    part = PARTS[name]
    judgement = judged(part)
    if judgement.outcome == "refuted":
        assert isinstance(judgement.details, ExactDetails)
        assert judgement.details.counterexample is not None
        return
    case = part.draw(np.random.default_rng(0))
    if part.relation != "=":
        mutants = [mirrored]
    elif np.max(np.abs(part.formula(case)) / part.scale(case)) > part.tolerance:
        mutants = [stretched, flipped]
    else:
        mutants = [shifted]  # what is 0 stays 0 when it is stretched
    assert "refuted" in [outcome(replace(part, formula=make(part.formula, part))) for make in mutants]


def test_the_law_itself_can_fail():
    def draw(rng: np.random.Generator) -> Case:
        return {"x": rng.normal(size=3)}

    deaf = Exact(
        statement="x = x",
        formula=lambda c: c["x"],
        truth=lambda c: c["x"],
        draw=draw,
        scale=lambda c: 1.0,
        tolerance=9.0,
    )
    assert outcome(replace(deaf, formula=stretched(deaf.formula, deaf))) == "supported"


CATALOGUE = """
    bn-forward bn-affine-moments bn-grad-affine bn-grad-variance bn-grad-mean bn-grad-input bn-grad-input-short
    linear-grad bn-bias-redundant bn-identity bn-folds bn-weight-scale bn-affine-after-activation bn-conv-axes
    bn-ema bn-permutation bn-coupling bn-gaussian bn-zero-one relu-saturates ln-batch-free wn-decouples wn-mean
    selu-fixed-point bn-memory dqn-bn
    bn-eval-stable batch-outputs-differ optimizers-train-affine
"""
# Parts of which a case is one or more whole networks, trained or fifty layers deep: they say so.
FEW = ("bn-grad-input-short: training", "selu-fixed-point: networks", "bn-coupling: layers")


def test_every_exact_claim_of_the_catalogue_is_declared():
    assert {name.split(":")[0] for name in PARTS} == set(CATALOGUE.split())


@pytest.mark.parametrize("name", PARTS)
def test_a_part_meets_a_thousand_cases_or_says_why_not(name: str):
    part = PARTS[name]
    if name.startswith(FEW):
        assert "so there are few" in part.statement
        assert part.cases < 1000
    else:
        assert part.cases >= 1000


# What a part is about leaves no other sizes: all batches that can be drawn are listed, maps have several dimensions,
# ten steps are taken, standard deviation 1 is given; or there are no arrays, but numbers, bytes or networks.
OTHER_SIZES = ("bn-ema: limit", "bn-ema: noise", "bn-folds: fold, Conv")
NO_ARRAYS = ("relu-saturates", "selu-fixed-point", "bn-memory", "bn-grad-input-short: training", "bn-coupling: layers")
TEN_STEPS = ("optimizers-train-affine: as with torch.nn",)
NO_SCALE = ("bn-ema: noise", "bn-weight-scale: from 100 to 10")


def unsized(part: Exact) -> set[str]:
    """Which of small and large sizes, and of small and large scales, 300 cases do not reach."""
    rng = np.random.default_rng(0)
    drawn = [part.draw(rng) for _ in range(300)]
    sizes = [max((length for value in case.values() for length in np.shape(value)), default=0) for case in drawn]
    scales = [min((np.abs(v).max() for v in case.values() if np.ndim(v)), default=1.0) for case in drawn]
    larges = [max((np.abs(v).max() for v in case.values() if np.ndim(v)), default=1.0) for case in drawn]
    reached = {
        "small sizes": min(sizes) <= 4,
        "large sizes": max(sizes) >= 256,
        "small scales": min(scales) < 1e-4,
        "large scales": max(larges) > 1e4,
    }
    return {what for what, there in reached.items() if not there}


@pytest.mark.parametrize("name", [name for name in PARTS if not name.startswith(NO_ARRAYS)])
def test_sizes_and_scales_reach_far(name: str):
    missing = unsized(PARTS[name])
    if name.startswith(OTHER_SIZES):
        missing -= {"large sizes"}
    if name.startswith(TEN_STEPS):
        missing -= {"small sizes"}
    if name.startswith(NO_SCALE):
        missing -= {"small scales", "large scales"}
    assert missing == set()


def test_a_part_of_one_size_and_scale_is_noticed():
    part = replace(PARTS["bn-forward: statistics"], draw=lambda rng: {"x": rng.normal(size=8)})
    assert unsized(part) == {"small sizes", "large sizes", "small scales", "large scales"}
