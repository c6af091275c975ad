"""What came out, in a sentence: which way the treatment went, in how many parts, and the part that says most."""

from dataclasses import replace

import numpy as np
import pytest
from studies import KNOWN, all_diverged_claim, dqn_claim, exact_claim, relu_claim, unfinished_claim

from rlnorm.study.claim import Effect
from rlnorm.study.judge import ClaimResult, judge
from rlnorm.study.judge.verdict import EffectDetails, Judgement, Outcome, Sample, Verdict
from rlnorm.study.report import answers, margins


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (dqn_claim(), "Layer against none: better in 1 of 2 parts (CartPole-v1, common rate: +0.243), open in 1 of 2"),
        (relu_claim(), "Batch against none: the same to within the margin (-0.010)."),
        (all_diverged_claim(), "Layer against none: harmful (-0.307); a preview of 1 of 2 parts that decide it."),
        (exact_claim(), "It fails (against finite differences: 200 of 200 miss)."),
        (exact_claim("supported"), "It holds in all 200 random cases."),
        (unfinished_claim(), "Nothing of it has been run yet."),
    ],
)
def test_a_sentence_says_what_happened(claim: ClaimResult, said: str):
    assert answers.sentence(claim).startswith(said)


def test_a_part_that_could_show_nothing_is_told_as_such_and_given_no_direction():
    whole = relu_claim()
    verdict = whole.parts[0].verdict
    blind = replace(verdict, judgement=replace(verdict.judgement, outcome="insufficient"))
    told = answers.sentence(replace(whole, parts=(replace(whole.parts[0], verdict=blind),)))
    assert told == "Too little evidence."


def test_arms_are_called_by_their_roles_where_parts_have_others():
    whole = dqn_claim()
    first, second = whole.claim.parts.items()
    other = replace(second[1], question=replace(second[1].question, treatment="another"))  # pyright: ignore
    parts = {first[0]: first[1], second[0]: other}
    assert answers.sentence(replace(whole, claim=replace(whole.claim, parts=parts))).startswith(
        "The treatment against none: "
    )


@pytest.mark.parametrize(
    ("shift", "spread", "sentence", "short"),
    [
        (-0.2, 0.01, "harmful (-0.200)", "supported, harmful"),
        (-0.02, 0.01, "the same to within the margin (-0.020)", "supported, the same"),
        (-0.03, 0.05, "no benefit of the margin (-0.030)", "supported, no benefit"),
        (0.2, 0.01, "better (+0.200)", "refuted"),
    ],
)
def test_that_a_norm_is_useless_has_three_answers(shift: float, spread: float, sentence: str, short: str):
    """Harm; a tie to within the margin; and no benefit of it, where harm and a tie are both left open."""
    none = 0.5 + spread * np.tile([-1.0, 1.0], 8)
    samples = {name: Sample(none + by, np.zeros(16, dtype=bool)) for name, by in (("none", 0.0), ("layer", shift))}
    whole = dqn_claim()
    (part, *_) = whole.claim.parts.values()
    assert isinstance(part, Effect)
    found = replace(whole.parts[0].verdict, judgement=judge(part.question, samples, KNOWN["return_auc"]))
    told = answers.sentence(replace(whole, parts=(replace(whole.parts[0], verdict=found),)))
    assert told == f"Layer against none: {sentence}; a preview of 1 of 2 parts that decide it."
    assert answers.in_short(found, preview=False) == short
    assert answers.in_short(found, preview=True) == answers.word(found.outcome, preview=True)


def verdict(low: float, high: float, better: str = "higher", margin: float = 0.05) -> Verdict:
    details = dqn_claim().parts[0].verdict.judgement.details
    assert isinstance(details, EffectDetails)
    judged = Judgement("refuted", "", replace(details, better=better), (low + high) / 2, low, high)
    return Verdict("c", "p", judged, margin)


@pytest.mark.parametrize(
    ("found", "scale", "way"),
    [
        (verdict(0.06, 0.1), "difference", "better"),
        (verdict(0.06, 0.1, "lower"), "difference", "worse"),
        (verdict(-0.04, 0.04), "difference", "same"),
        (verdict(-0.06, 0.04), "difference", "open"),
        (verdict(0.5, 0.7, "lower", 1.25), "ratio", "better"),
        (verdict(1.3, 1.7, "lower", 1.25), "ratio", "worse"),
        (verdict(0.9, 1.2, "lower", 1.25), "ratio", "same"),
        (verdict(0.01, 0.02, margin=0.0), "difference", "better"),
        (verdict(-0.02, -0.01, margin=0.0), "difference", "worse"),
    ],
)
def test_the_direction_is_where_the_interval_lies(found: Verdict, scale: margins.Scale, way: str):
    assert margins.direction(found, scale) == way


def test_without_an_interval_there_is_no_direction():
    assert margins.direction(Verdict("c", "p", Judgement("insufficient", ""), 0.05), "difference") is None


@pytest.mark.parametrize(("outcome", "part"), [("refuted", "common"), ("inconclusive", "own best")])
def test_the_part_that_decides_has_the_overall_verdict(outcome: Outcome, part: str):
    whole = dqn_claim()
    overall = replace(whole.overall, judgement=replace(whole.overall.judgement, outcome=outcome))
    found = answers.decider(replace(whole, overall=overall))
    assert found
    assert part in found.name


def test_where_every_part_is_needed_the_weakest_decides_and_else_the_strongest():
    whole = dqn_claim()
    weak, strong = (
        replace(whole.parts[0], verdict=verdict(low, low + 0.02), name=name)
        for name, low in zip(whole.claim.parts, (0.1, 0.3))
    )
    for overall, name in (("all", strong.name), ("any", weak.name)):
        claim = replace(whole, claim=replace(whole.claim, overall=overall), parts=(weak, strong))
        found = answers.decider(claim)
        assert found
        assert found.name == name


def test_exact_claims_are_no_previews_and_parts_beside_make_none():
    assert not answers.is_preview_of(exact_claim())
    assert answers.is_preview_of(dqn_claim())
    assert not answers.is_preview(exact_claim().parts[0].verdict)


def test_algebra_alone_is_a_preview_of_a_claim_whose_trained_parts_only_full_runs():
    trained, algebra = dqn_claim(), exact_claim("supported")
    both = replace(trained.claim, parts={**trained.claim.parts, **algebra.claim.parts})
    overall = replace(algebra.overall, preset="quick")
    found = replace(trained, claim=both, parts=algebra.parts, overall=overall)
    assert answers.word("supported", answers.is_preview_of(found)) == "points to supported"
    assert answers.sentence(found) == "It holds in all 200 random cases; a preview of 1 of 3 parts that decide it."
    assert not answers.in_part(replace(found, overall=replace(overall, preset="full")))
