"""The documented errors of overall verdicts are what the script gives, and the rule keeps them low."""

import re

import calibrate_intervals
import calibrate_verdicts as calibration
import numpy as np
import pytest

from rlnorm.errors import ConfigError
from rlnorm.study.judge.verdict import Judgement, Outcome

DOC = calibrate_intervals.DOC.read_text(encoding="utf-8")
ALLOWED = 5.0  # percent of claims, by rule 8; a single part's upper end errs in half as many


def documented() -> dict[tuple[str, int], tuple[int, float, float, float]]:
    """(scores, parts) -> claims, then in percent: refuted by mistake, refuted if any part is, supported by mistake."""
    table = re.search(r"<!-- verdicts: .*?-->\n(.*?)\n<!-- end of verdicts -->", DOC, re.DOTALL)
    assert table is not None
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()[2:])
    return {
        (scores, int(parts)): (int(claims), *map(float, errors))  # pyright: ignore[reportReturnType]
        for scores, parts, claims, *errors in rows
    }


def beyond(percent: float, claims: int) -> float:
    """Three standard errors of a proportion among so many claims, in percent."""
    return 3 * (percent * (100 - percent) / claims) ** 0.5


def test_the_table_is_complete_and_the_command_is_named():
    assert set(documented()) == {(scores, n) for scores in ("normal", "two-peaked") for n in calibration.PARTS}
    assert calibration.COMMAND in DOC


def test_the_documented_errors_are_allowed_and_would_be_many_times_as_high_without_the_rule():
    for (_, parts), (claims, refuted, uncorrected, supported) in documented().items():
        assert refuted <= ALLOWED + beyond(ALLOWED, claims)
        assert supported <= ALLOWED
        assert parts < 18 or uncorrected > ALLOWED + beyond(ALLOWED, claims)


def judged(outcome: Outcome, relative_p: float | None = None) -> Judgement:
    return Judgement(outcome, "Made up.", relative_p=relative_p)


def test_errors_are_counted_over_claims_of_successive_parts():
    parts = [
        *(judged("refuted", 0.9), judged("inconclusive")),
        *(judged("refuted", 0.1), judged("refuted", 0.9)),
        *(judged("supported", 0.9), judged("supported", 0.9)),
        *(judged("inconclusive"), judged("inconclusive")),
        judged("refuted", 0.1),
    ]
    assert calibration.errors(parts, 2) == calibration.Errors(refuted=0.25, uncorrected=0.5, supported=0.25)


def test_the_treatment_is_better_by_just_the_margin():
    rng, estimates = np.random.default_rng(0), []
    for _ in range(20):
        found = calibration.at_the_margin(rng, lambda rng: calibration.scores(rng, "normal"))
        assert found.n == calibration.RUNS
        estimates.append(found.estimate)
    # Of 20 differences of means of 16 scores of sd 0.1.
    assert np.mean(estimates) == pytest.approx(calibration.QUESTION.margin, abs=4 * 0.1 * (2 / 16 / 20) ** 0.5)


def test_counts_that_are_too_small_are_refused():
    with pytest.raises(ConfigError, match="--claims must be at least 1, got 0"):
        calibration.main(claims=0)


@pytest.mark.nightly
def test_the_rule_keeps_the_error_of_many_parts_low():
    """With draws of the table: 22 % of claims would be refuted by mistake if any part could refute them."""
    rng, parts, claims = np.random.default_rng([0, 0]), 18, 60
    judged = [
        calibration.at_the_margin(rng, lambda rng: calibration.scores(rng, "normal")) for _ in range(parts * claims)
    ]
    found = calibration.errors(judged, parts)
    assert 100 * found.refuted <= ALLOWED + beyond(ALLOWED, claims)
    assert 100 * found.uncorrected > ALLOWED + beyond(ALLOWED, claims)
