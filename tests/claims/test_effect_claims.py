"""Laws of the declared effects: what can be wrong with a declaration is found here, not after an hour of training."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from rlnorm.study.claim import PRESETS, Effect
from rlnorm.study.claim.dqn_setting import BUDGETS, CONTROLS, DQN_STUDY, NEGATIVE, POSITIVE, RATES, controlled
from rlnorm.study.claim.load import headlines, shipped, shipped_folder
from rlnorm.study.claim.second_setting import SECOND, SOME_RATES, STEPS
from rlnorm.study.claim.validate import errors
from rlnorm.study.plan import Request
from rlnorm.study.run import Store

CLAIMS = shipped()
HEADLINES_OF = {line.id: line for line in headlines(shipped_folder())}
EFFECTS = {
    f"{claim}: {name}": part
    for claim, found in CLAIMS.items()
    for name, part in found.claim.parts.items()
    if isinstance(part, Effect)
}

# Rule 3 of the rules of evidence. A claim may tighten its margin, never loosen it.
# "learned": a tenth of five rates a decade apart is half a decade. Other scores compare as ratios alone.
SHARES = dict.fromkeys(
    ("return_auc", "final_score", "final_return", "sound", "dormant", "rank", "overestimation"), 0.05
)
# Gaps and slopes of accuracy hold accuracy's margin; scores that are logarithms hold that of ratios, 1.25.
ACCURACIES = dict.fromkeys(
    ("accuracy", "accuracy_reestimated", "gap", "mode_gap", "eval_gain", "reestimation_gap"), 0.01
)
DECADES = dict.fromkeys(("drift_growth", "gradient_change_growth", "sharpness"), 0.097)
FRACTIONS = dict.fromkeys(("output_spread", "explained", "linearity_at_end", "kept_learning"), 0.05)
LARGEST = {**SHARES, **ACCURACIES, **DECADES, **FRACTIONS, "learned": 0.1, "train_loss": 0.2232}
# Half a decade: of gradients, and of rates that lie half a decade apart.
LARGEST |= {"gradient_fading_at_start": 0.5, "reaches_80": 1 / 6}
# These ask whether networks learn at all, over settings that lie decades apart: five points of accuracy, and a tenth of
# the draws of a search.
COARSE = ("bn-depth", "bn-rates", "bn-init", "bn-search")
LARGEST_RATIO = 1.25


def wrongs(part: Effect, claim: str = "") -> Iterator[str]:
    """What rlnorm asks of its own effects beyond what `rlnorm check-claim` asks of every claim."""
    question = part.question
    largest = 0.1 if claim in COARSE and part.metric == "accuracy" else LARGEST.get(part.metric, 0.0)
    if question.is_factor:
        if not 1 < question.margin <= LARGEST_RATIO:
            yield "the margin of a ratio lies outside (1, 1.25]"
    elif question.scale == "difference" and not 0 < question.margin <= largest:
        yield "the margin is larger than the rules allow"
    if set(part.experiment.steps) != set(PRESETS):
        yield "not every preset has a budget"
    if part.rates and not 4 <= len(part.rates) <= 8:
        yield "rates are not four to eight"
    if question.scale == "standardized" and question.margin > 0.5:
        yield "the margin is larger than the rules allow"
    if question.asks == "not better" and part.decisive and question.positive_control is None:
        yield "a benefit that is not seen needs a positive control"


@pytest.mark.parametrize("claim", CLAIMS)
def test_claims_hold_the_rules_of_every_claim(claim: str):
    assert list(errors(CLAIMS[claim].claim)) == []


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_hold_the_rules_of_ours(name: str):
    assert list(wrongs(EFFECTS[name], name.partition(":")[0])) == []


# Marked so in the catalogue of claims.
HEADLINES = ("dqn-ln", "dqn-bn", "dqn-modes", "bn-relu")


@pytest.mark.parametrize("claim", HEADLINES)
def test_headlines_come_at_the_common_and_at_the_own_best_rate(claim: str):
    """Rule 6: what decides a headline at one rate is compared at each arm's best too."""
    declared = CLAIMS[claim].claim
    effects = {name: part for name, part in declared.parts.items() if isinstance(part, Effect)}
    for name in declared.decisive:
        part = effects.get(name)
        if part is not None and not part.rates:
            others = [other for other in effects.values() if other.rates]
            assert any((other.arms, other.question) == (part.arms, part.question) for other in others)


@pytest.mark.parametrize("claim", CLAIMS)
def test_names_fit_a_table_and_the_headline_is_read_without_running_the_file(claim: str):
    declared = CLAIMS[claim].claim
    assert declared.statement.removesuffix(")").endswith(".")
    assert all(len(name) <= 60 for name in declared.parts)
    line = HEADLINES_OF[claim]
    assert (line.title, line.statement, line.kind, line.notes) == (
        declared.title,
        declared.statement,
        declared.kind,
        declared.notes,
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_every_part_can_be_planned(preset, tmp_path: Path):
    asked, store = [Request(found, preset) for found in CLAIMS.values()], Store(tmp_path)
    planned = {unit.id for unit in tiny.units(asked, store)}
    for one in asked:
        for name in one.chosen():
            own = {unit.id for unit in tiny.units([replace(one, parts=(name,))], store)}
            assert own
            assert own <= planned


@pytest.mark.parametrize("claim", [name for name in CLAIMS if name.startswith("dqn-")])
def test_dqn_claims_have_the_one_setting_of_all_studies_or_the_second_beside_it(claim: str):
    for name, part in CLAIMS[claim].claim.parts.items():
        if isinstance(part, Effect) and part.experiment.engine == "dqn":
            settings = part.experiment.settings
            if name.endswith("second setting"):
                env = str(settings["env"])
                assert settings == {"env": env, **SECOND}
                assert (part.rates, part.experiment.steps["full"], part.decisive) == (SOME_RATES, STEPS[env], False)
                continue
            if settings["env"] not in BUDGETS:
                assert (claim, settings["env"], part.decisive) == ("dqn-league", "MinAtar/Breakout-v1", False)
                continue
            # The batch is what one claim varies, and the grid of another is its subject.
            varied = {"dqn-batch": {"batch"}}.get(claim, set())
            assert {name for name, value in DQN_STUDY.items() if settings[name] != value} <= varied
            assert part.points or part.rates in ((), RATES)
            for preset, steps in BUDGETS[str(settings["env"])].items():
                assert part.experiment.steps[preset] <= steps


def test_a_negative_control_keeps_its_references_norm_and_runs_at_its_own_best_rate():
    plain, kept = (controlled("CartPole-v1", {}, base) for base in ({}, {"norm": "batch", "recipe": "naive"}))
    assert plain[NEGATIVE] == CONTROLS["CartPole-v1"][NEGATIVE]
    assert kept[NEGATIVE] == {**plain[NEGATIVE], "norm": "batch", "recipe": "naive", "lr": 8e-3}
    assert kept[POSITIVE] == plain[POSITIVE]


GOOD = EFFECTS["dqn-ln: CartPole-v1, own best rate"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(GOOD, question=replace(GOOD.question, margin=0.06)), "larger than the rules allow"),
        (replace(GOOD, question=replace(GOOD.question, margin=0.0)), "larger than the rules allow"),
        (replace(GOOD, question=replace(GOOD.question, margin=1.3, scale="ratio")), "outside (1, 1.25]"),
        (replace(GOOD, experiment=replace(GOOD.experiment, steps={"full": 10})), "not every preset"),
        (replace(GOOD, rates=(1e-4, 1e-3)), "not four to eight"),
        (
            replace(GOOD, question=replace(GOOD.question, scale="standardized", margin=0.6)),
            "larger than the rules allow",
        ),
        (replace(GOOD, question=replace(GOOD.question, positive_control=None)), "positive control"),
    ],
)
def test_every_law_of_ours_can_fail(wrong: Effect, said: str):
    assert list(wrongs(GOOD)) == []
    assert [sentence for sentence in wrongs(wrong) if said in sentence]
