"""Every check of a declaration can fail, finds what it is for, and says all at once."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny

from rlnorm.study.claim import (
    PRESETS,
    Cost,
    Effect,
    Exact,
    Kind,
    LogUniform,
    Part,
    Question,
    dqn_experiment,
    supervised_experiment,
)
from rlnorm.study.claim.validate import claim_errors, errors, part_errors, setting_errors

STEPS = dict.fromkeys(PRESETS, 2_000)
EXPERIMENT = dqn_experiment(steps=STEPS, env="CartPole-v1", starts=100, lr=1e-3)
ARMS = {"none": {}, "layer": {"norm": "layer"}, "worse": {"train_every": 50}}
TWO = {name: ARMS[name] for name in ("none", "layer")}
QUESTION = Question(asks="superior", treatment="layer", reference="none", margin=0.05, negative_control="worse")
EFFECT = Effect(experiment=EXPERIMENT, arms=ARMS, metric="return_auc", question=QUESTION)
EXACT = Exact(statement="a = b", formula=lambda c: 0, truth=lambda c: 0, draw=lambda rng: {}, scale=lambda c: 1)
COST = Cost(
    statement="a is quicker",
    arms={"a": lambda: lambda: None, "b": lambda: lambda: None},
    question=Question(asks="superior", treatment="a", reference="b", margin=1.25, scale="ratio"),
)
GOOD = tiny.claim({"trained": EFFECT, "algebra": EXACT, "timed": COST})


SUPERVISED = Effect(
    experiment=supervised_experiment(steps=STEPS, dataset="digits", lr=0.1),
    arms=TWO,
    metric="accuracy",
    question=Question(asks="superior", treatment="layer", reference="none", margin=0.01),
    points=({"label_noise": 0.0}, {"label_noise": 0.2}),
)


class Other(Part):
    """A kind of part that nobody can run."""

    @property
    def kind(self) -> Kind:
        return "effect"


def test_a_good_claim_has_no_errors():
    assert list(errors(GOOD)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": ""}, "title must have 1 to 8 words"),
        ({"title": "one two three four five six seven eight nine"}, "title must have 1 to 8 words"),
        ({"statement": ""}, "statement is empty"),
        ({"source": ""}, "source is empty"),
        ({"kind": "efect"}, "unknown kind 'efect'. Did you mean 'effect'?"),
        ({"overall": "al"}, "unknown overall rule 'al'. Did you mean 'all'?"),
        ({"kind": "cost", "parts": {"a": EFFECT}}, "kind must be that of a part, got 'cost'; the parts are: effect"),
        ({"parts": {}}, "the claim has no parts"),
        ({"kind": "exact", "parts": {"a": replace(EXACT, decisive=False)}}, "no part is decisive"),
        ({"kind": "exact", "parts": {"a": EXACT, "b": replace(EXACT, group="a")}}, "group 'a' has the name of a part"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_of_a_claim(changes: Mapping[str, Any], said: str):
    (found,) = claim_errors(replace(GOOD, **changes))
    assert said in found


def asking(**changes: Any) -> Effect:
    return replace(EFFECT, question=replace(QUESTION, **changes))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (replace(EFFECT, presets=()), "presets is empty"),
        (replace(EFFECT, presets=("ful",)), "unknown preset 'ful'. Did you mean 'full'?"),
        (asking(asks="better"), "unknown question 'better'. Did you mean 'not better'?"),
        (asking(scale="ratios"), "unknown scale 'ratios'. Did you mean 'ratio'?"),
        (asking(treatment="lyer"), "the treatment is no arm: unknown arm 'lyer'. Did you mean 'layer'?"),
        (asking(reference="nne"), "the reference is no arm: unknown arm 'nne'. Did you mean 'none'?"),
        (asking(negative_control="worst"), "the negative control is no arm: unknown arm 'worst'."),
        (asking(treatment="none"), "the question names one arm twice"),
        (asking(negative_control=None), "'worse' would be run for nothing"),
        (asking(margin="small"), "margin must be a number, got 'small'"),
        (asking(margin=-0.1), "the margin of a difference is at least 0, got -0.1"),
        (asking(margin=1.0), "a margin of 1 cannot be exceeded: return_auc spans 1"),
        (asking(margin=0.9, scale="ratio"), "the margin of a ratio is a factor of at least 1"),
        (asking(margin=float("nan")), "the margin of a difference is at least 0, got nan"),
        (replace(EFFECT, experiment=replace(EXPERIMENT, steps={"full": 10})), "no budget at preset smoke, quick"),
        (replace(EFFECT, arms={**ARMS, "worse": {}}), "arms 'none' and 'worse' are the same"),
        (replace(EFFECT, metric="return_acu"), "unknown metric 'return_acu'. Did you mean 'return_auc'?"),
        (replace(EFFECT, rates=(1e-3, 1e-4)), "rates must be different and increase, got 0.001, 0.0001"),
        (replace(EFFECT, rates=(1e-4, 1e-2)), "the common rate must be one of the rates, got lr 0.001"),
        (
            replace(asking(asks="equivalent", negative_control=None), arms=TWO),
            "expected negative_control to name an arm",
        ),
        (replace(EFFECT, rates=(1e-3,), arms={**ARMS, "layer": {"norm": "layer", "lr": 1e-2}}), "arm 'layer' sets lr"),
        (replace(EFFECT, judged_from=4), "judged_from must be at least 8"),
        (replace(COST, question=replace(COST.question, scale="difference")), "times are compared as a ratio"),
        (replace(COST, repetitions=7), "repetitions must be at least 8, got 7"),
        (replace(EXACT, cases=0), "cases must be at least 1, got 0"),
        (replace(EXACT, tolerance=float("nan")), "tolerance must be at least 0, got nan"),
        (Other(), "expected an Effect, an Exact or a Cost, got Other"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_of_a_part(part: Part, said: str):
    found = list(part_errors(part))
    assert any(said in sentence for sentence in found), found
    assert list(part_errors(EFFECT)) == []


def drawing(low: float, high: float) -> Effect:
    return replace(SUPERVISED, points=({"lr": LogUniform(low, high)},) * 2)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (replace(SUPERVISED, summary="rage"), "unknown summary 'rage'. Did you mean 'range'?"),
        (replace(SUPERVISED, points=(), summary="range"), "'range' is one over points, and the part has none"),
        (replace(SUPERVISED, metric="gap", summary="near best"), "needs a metric whose higher scores are better"),
        (replace(SUPERVISED, points=({"lr": 0.1},)), "one point is no range; expected at least two"),
        (
            replace(SUPERVISED, points=({"lr": 0.1}, {"lr": 1.0, "batch": 8})),
            "every point sets the same, got lr at point 0 and lr, batch at point 1",
        ),
        (replace(SUPERVISED, points=({}, {"lr": 0.1})), "got nothing at point 0 and lr at point 1"),
        (
            replace(SUPERVISED, arms={"none": {}, "layer": {"norm": "layer", "label_noise": 0.3}}),
            "arm 'layer' and point 1 both set label_noise",
        ),
        (
            replace(SUPERVISED, points=({"lr": 0.1}, {"lr": 1.0}), rates=(0.01, 0.1)),
            "point 1 sets lr, which a part with rates does not use",
        ),
        (
            replace(SUPERVISED, points=({"batch": LogUniform(8, 64)},) * 2),
            "point 1 draws batch, which members of one population share; drawn can be: alpha_dropout, clip, dropout, "
            "gamma, init_scale, label_noise, lr, momentum, noise, weight_decay.",
        ),
        (
            replace(SUPERVISED, arms={"none": {}, "layer": {"norm": "layer", "noise": LogUniform(0.1, 1)}}),
            "arm 'layer' draws noise; only points draw their settings",
        ),
        (
            replace(SUPERVISED, experiment=supervised_experiment(steps=STEPS, dataset="digits", lr=LogUniform(0.1, 1))),
            "the experiment draws lr; only points draw their settings",
        ),
        (drawing(0.0, 0.1), "point 0 draws lr from 0 to 0.1; expected 0 < low < high"),
        (drawing(0.1, 0.01), "point 1 draws lr from 0.1 to 0.01; expected 0 < low < high"),
        (replace(SUPERVISED, seeds=7), "seeds must be at least 8, got 7: fewer are not judged"),
        (replace(SUPERVISED, second_metric="gap"), "second metric belongs to the scale 'standardized', got 'gap' on"),
        (
            replace(SUPERVISED, question=replace(SUPERVISED.question, scale="standardized")),
            "a second metric belongs to the scale 'standardized', got '' on the scale 'standardized'",
        ),
        (
            replace(
                SUPERVISED, question=replace(SUPERVISED.question, scale="standardized"), second_metric="output_spred"
            ),
            "unknown second metric 'output_spred'. Did you mean 'output_spread'?",
        ),
        (
            replace(SUPERVISED, question=replace(SUPERVISED.question, paired=True, scale="ratio", margin=1.25)),
            "only differences are paired, got the scale 'ratio'",
        ),
        (asking(paired=True), "seeds of DQN agents are not paired"),
        (
            replace(SUPERVISED, metric="updates_to_90", experiment=supervised_experiment(steps=STEPS, budget="epochs")),
            "metric 'updates_to_90' counts updates, and the budget counts epochs",
        ),
        (asking(positive_control="bettr"), "the positive control is no arm: unknown arm 'bettr'"),
        (asking(margin=0.9, scale="spread"), "the margin of a spread is a factor of at least 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_of_points_scales_and_pairs(part: Effect, said: str):
    found = list(part_errors(part))
    assert any(said in sentence for sentence in found), found
    assert list(part_errors(SUPERVISED)) == []


def test_every_new_scale_can_be_asked_for():
    asks = replace(SUPERVISED.question, paired=True)
    for question, second in (
        (asks, ""),
        (replace(asks, paired=False, scale="spread", margin=1.25), ""),
        (replace(asks, paired=False, scale="standardized", margin=0.2), "train_loss"),
    ):
        assert list(errors(tiny.claim({"a": replace(SUPERVISED, question=question, second_metric=second)}))) == []


def test_a_second_metric_needs_its_probe_too():
    question = replace(QUESTION, scale="standardized")
    part = replace(EFFECT, question=question, second_metric="rank", experiment=replace(EXPERIMENT, engine="sb3"))
    assert "metric 'rank' is made of the probe 'rank', and engine 'sb3' records no probes." in list(part_errors(part))


def test_settings_are_held_against_the_engine_at_every_point_and_at_both_ends_of_a_draw():
    wrong = replace(SUPERVISED, points=({"batch": 8}, {"batch": 0}))
    (found,) = errors(tiny.claim({"a": wrong}))
    assert found.startswith("part 'a': arm none at point 1, layer at point 1: batch must be at least 1, got 0")
    drawn = replace(SUPERVISED, points=({"label_noise": LogUniform(0.1, 2.0)},) * 2)
    (found,) = errors(tiny.claim({"a": drawn}))
    assert "layer at point 0, high" in found
    assert "label_noise" in found


def test_all_are_said_at_once_and_the_part_is_named():
    wrong = replace(GOOD, title="", parts={**GOOD.parts, "trained": replace(asking(margin=-1), metric="x")})
    title, margin, metric = errors(wrong)
    assert title.startswith("title")
    assert margin.startswith("part 'trained': the margin")
    assert metric.startswith("part 'trained': unknown metric")


def test_a_claims_arms_are_held_against_their_engine_at_every_preset():
    few = replace(EXPERIMENT, steps={**STEPS, "smoke": 50})
    (found,) = errors(tiny.claim({"trained": replace(EFFECT, experiment=few)}))
    assert found.startswith("part 'trained': learning would start after 100 steps, beyond the budget of 50")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"norm": "lyer"}, "unknown norm 'lyer'"),
        ({"no_such_setting": 1}, "unknown setting 'no_such_setting'"),
        ({"lr": -1.0}, "learning rates must be positive"),
        ({"env": "CartPole-v9"}, "unknown environment"),
        ({"engine": "dqm"}, "unknown engine 'dqm'. Did you mean 'dqn'?"),
    ],
)
def test_settings_are_held_against_the_engine(settings: dict[str, Any], said: str):
    good = {"env": "CartPole-v1", "starts": 100, "lr": 1e-3}
    assert list(setting_errors(dqn_experiment(steps=STEPS, **good), ARMS, 2_000)) == []
    found = list(setting_errors(dqn_experiment(steps=STEPS, **good), {"none": {}, "other": settings}, 2_000))
    assert said in found[0]
    assert found[0].startswith("arm other: ")
    both = {"none": settings, "other": settings}
    everywhere = list(setting_errors(dqn_experiment(steps=STEPS, **good), both, 2_000))
    assert len(everywhere) == len(found)
    assert not everywhere[0].startswith("arm ")


def test_an_experiment_without_a_rate_is_an_error():
    (found,) = setting_errors(dqn_experiment(steps=STEPS, env="CartPole-v1"), {"none": {}}, 20_000)
    assert "no learning rate is set" in found


def test_a_norm_file_that_is_gone_is_an_error_and_not_a_crash(tmp_path: Path):
    arms = {"none": {}, "mine": {"norm": str(tmp_path / "mine.py")}}
    (found,) = setting_errors(EXPERIMENT, arms, 2_000)
    assert found.startswith("arm mine: no norm file at")


def test_a_whole_rate_is_a_rate():
    whole = replace(EXPERIMENT, settings={**EXPERIMENT.settings, "lr": 1})
    assert list(errors(tiny.claim({"trained": replace(EFFECT, experiment=whole)}))) == []
