"""Laws of the declared effects: what can be wrong with a declaration is found here, not after an hour of training."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rlnorm.api import find_claims
from rlnorm.study.assess import Asked, setting_errors, units
from rlnorm.study.claim import PRESETS, Arm, Effect
from rlnorm.study.judge import Question
from rlnorm.study.metrics import METRICS
from rlnorm.study.plan import SELECTION
from rlnorm.study.settings import BUDGETS, DQN_STUDY, RATES
from rlnorm.study.store import Store

CLAIMS = find_claims()
EFFECTS = {
    f"{claim}: {name}": part
    for claim, found in CLAIMS.items()
    for name, part in found.claim.parts.items()
    if isinstance(part, Effect)
}
PARTS = pytest.mark.parametrize("part", [pytest.param(part, id=name) for name, part in EFFECTS.items()])

# Rule 3 of the rules of evidence. A claim may tighten its margin, never loosen it.
# "learned": a tenth of five rates a decade apart is half a decade. Other scores compare as ratios alone.
SHARES = dict.fromkeys(("return_auc", "final_return", "sound", "dormant", "rank", "overestimation"), 0.05)
LARGEST = {**SHARES, "accuracy": 0.01, "learned": 0.1}
LARGEST_RATIO = 1.25


def wrongs(part: Effect) -> Iterator[str]:
    """Everything that is wrong with the arms, the margin and the sizes of a declaration."""
    question = part.question
    asked = [question.treatment, question.reference, *([question.planted] if question.planted else [])]
    if len(set(asked)) < len(asked):
        yield "the question names an arm twice"
    if set(asked) - set(part.arms):
        yield "the question names an arm that there is not"
    if set(part.arms) - set(asked):
        yield "an arm is trained that nobody asks about"
    if len({repr(sorted(arm.items())) for arm in part.arms.values()}) < len(part.arms):
        yield "two arms are the same"
    if question.asks != "superior" and question.planted is None:
        yield "the verdict may rest on no effect, and no planted arm shows that one could have been seen"
    if part.metric not in METRICS:
        yield "no such metric"
    elif question.scale == "ratio":
        if not 1 < question.margin <= LARGEST_RATIO:
            yield "the margin of a ratio lies outside (1, 1.25]"
    elif not 0 < question.margin <= LARGEST.get(part.metric, 0.0):
        yield "the margin is larger than the rules allow"
    if not part.presets or set(part.presets) - set(PRESETS):
        yield "the presets are none"
    if set(part.experiment.steps) != set(PRESETS):
        yield "not every preset has a budget"
    if part.rates and (len(part.rates) != 5 or list(part.rates) != sorted(set(part.rates))):
        yield "rates are not five in order"
    if part.rates and part.experiment.settings.get("lr") not in part.rates:
        yield "the common rate is not among those to choose from"
    if part.grid and not part.rates:
        yield "a grid has no rates"
    if part.judged_from < len(SELECTION):
        yield "seeds that choose are judged"


@PARTS
def test_declarations_hold_the_rules(part: Effect):
    assert list(wrongs(part)) == []


@PARTS
def test_the_engine_takes_every_arm_at_every_preset(part: Effect):
    for steps in {part.experiment.steps[preset] for preset in part.presets}:
        assert list(setting_errors(part.experiment, part.arms, steps, part.rates)) == []


# Marked so in the catalogue of claims.
HEADLINES = ("dqn-ln", "dqn-bn", "dqn-modes", "bn-relu")


@pytest.mark.parametrize("claim", HEADLINES)
def test_headlines_come_at_the_common_and_at_the_own_best_rate(claim: str):
    """Rule 6: what decides a headline at one rate is compared at each arm's best too."""
    declared = CLAIMS[claim].claim
    effects = {name: part for name, part in declared.parts.items() if isinstance(part, Effect)}
    for name in declared.decisive or declared.parts:
        part = effects.get(name)
        if part is not None and not part.rates:
            others = [other for other in effects.values() if other.rates]
            assert any((other.arms, other.question) == (part.arms, part.question) for other in others)


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_parts_that_decide_exist(claim: str):
    declared = CLAIMS[claim].claim
    assert declared.parts
    assert set(declared.decisive) <= set(declared.parts)
    assert declared.statement.removesuffix(")").endswith(".")
    assert declared.source
    assert all(len(name) <= 60 for name in declared.parts)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_part_can_be_planned(preset, tmp_path: Path):
    asked, store = [Asked(found, preset) for found in CLAIMS.values()], Store(tmp_path)
    planned = {unit.id for unit in units(asked, store)}
    for one in asked:
        for name in one.chosen():
            own = {unit.id for unit in units([replace(one, parts=(name,))], store)}
            assert own
            assert own <= planned


@pytest.mark.parametrize("claim", [name for name in CLAIMS if name.startswith("dqn-")])
def test_dqn_claims_have_the_one_setting_of_all_studies(claim: str):
    for part in CLAIMS[claim].claim.parts.values():
        if isinstance(part, Effect) and part.experiment.engine == "dqn":
            settings = part.experiment.settings
            # The batch is what one claim varies, and the grid of another is its subject.
            varied = {"dqn-batch": {"batch"}}.get(claim, set())
            assert {name for name, value in DQN_STUDY.items() if settings[name] != value} <= varied
            assert part.grid or part.rates in ((), RATES)
            for preset, steps in BUDGETS[str(settings["env"])].items():
                assert part.experiment.steps[preset] <= steps


GOOD = EFFECTS["dqn-ln: CartPole-v1, own best rate"]
QUESTION = GOOD.question


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(GOOD, question=replace(QUESTION, treatment="none")), "twice"),
        (replace(GOOD, question=replace(QUESTION, treatment="lyer")), "that there is not"),
        (replace(GOOD, question=replace(QUESTION, planted="lyer")), "that there is not"),
        (replace(GOOD, question=replace(QUESTION, planted=None)), "nobody asks about"),
        (replace(GOOD, arms={**GOOD.arms, "planted": Arm()}), "two arms are the same"),
        (replace(GOOD, question=replace(QUESTION, planted=None)), "no planted arm"),
        (replace(GOOD, metric="auc"), "no such metric"),
        (replace(GOOD, question=replace(QUESTION, margin=0.06)), "larger than the rules allow"),
        (replace(GOOD, question=replace(QUESTION, margin=0.0)), "larger than the rules allow"),
        (replace(GOOD, question=Question("not better", "layer", "none", 1.3, "ratio", "planted")), "outside (1, 1.25]"),
        (replace(GOOD, presets=()), "presets are none"),
        (replace(GOOD, experiment=replace(GOOD.experiment, steps={"full": 10})), "not every preset"),
        (replace(GOOD, rates=(1e-3, 1e-4)), "not five in order"),
        (replace(GOOD, rates=(1e-7, 1e-6, 1e-5, 1e-4, 1e-2)), "not among those"),
        (replace(GOOD, rates=(), grid=True), "grid has no rates"),
        (replace(GOOD, judged_from=4), "seeds that choose are judged"),
    ],
)
def test_every_law_can_fail(wrong: Effect, said: str):
    assert list(wrongs(GOOD)) == []
    assert any(said in sentence for sentence in wrongs(wrong))
