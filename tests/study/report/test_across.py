"""The same arms over several environments: what is grouped, and the figures against ones worked out by hand."""

import numpy as np
import pytest
from studies import arm, dqn_claim, relu_claim, study, two_environments, unfinished_claim

from rlnorm.study.judge import ClaimResult
from rlnorm.study.report import html
from rlnorm.study.report.across import across, improvement, iqm, profile


def test_parts_that_ask_the_same_elsewhere_are_shown_together():
    (found,) = across(two_environments())
    assert found.environments == ("CartPole-v1", "Acrobot-v1")
    assert (found.treatment, found.reference, found.runs) == ("layer", "none", {"none": 32, "layer": 32})
    none = arm("none", 0.45).scores
    assert found.iqm["none"].estimate == pytest.approx(np.sort(np.tile(none, 2))[8:24].mean())
    assert found.iqm["none"].low < found.iqm["none"].estimate < found.iqm["none"].high
    assert found.improvement == (1.0, 1.0, 1.0)
    layer = found.profiles["layer"]
    assert (layer.estimate[0], layer.estimate[-1]) == (1.0, 0.0)
    assert (np.diff(layer.estimate) <= 0).all()
    assert ((layer.low <= layer.estimate) & (layer.estimate <= layer.high)).all()


@pytest.mark.parametrize("claim", [dqn_claim(), relu_claim(), unfinished_claim()], ids=["one", "other", "unfinished"])
def test_nothing_is_shown_of_one_environment_or_of_no_runs(claim: ClaimResult):
    assert list(across(claim)) == []


def test_the_report_shows_them_with_their_profile():
    page = html.render(study(two_environments()))
    assert page.count("Across environments: CartPole-v1, Acrobot-v1; common rate") == 1
    assert "Chance that a run of “layer” beats one of “none”: 1.00 [1.00, 1.00]." in page
    assert '<details class="part" id="dqn-ln.across-1" data-drawn>' in page
    assert "Across environments" not in html.render(study(dqn_claim()))


def test_figures_are_those_worked_out_by_hand():
    runs = [np.array([0.0, 1.0]), np.array([2.0, 3.0])]
    assert iqm(runs) == 1.5
    assert profile(runs, np.array([0.5, 2.5])).tolist() == [0.75, 0.25]
    assert improvement(runs, [np.array([1.0]), np.array([2.0])]) == pytest.approx((0.25 + 0.75) / 2)
