from dataclasses import fields, replace

import pytest
import tiny

from rlnorm.study.claim import FIRST_JUDGED, Claim, Cost, Effect, Exact, Part, Question, supervised_experiment

EFFECT = Effect(
    experiment=supervised_experiment(steps={"smoke": 1}, dataset="digits", lr=0.1),
    arms={"a": {}, "b": {"norm": "layer"}},
    metric="accuracy",
    question=Question(asks="superior", treatment="b", reference="a", margin=0.01),
)


def claim(**changes) -> Claim:
    return tiny.claim({"one": EFFECT, "two": replace(EFFECT, group="g", decisive=False)}, **changes)


def test_the_parts_say_which_of_them_decide_and_which_belong_together():
    assert claim().decisive == ["one"]
    assert [claim().group(name) for name in claim().parts] == ["one", "g"]


def test_declarations_take_keywords_only():
    for declared in (Question, Effect, Exact, Cost, Claim):
        assert all(field.kw_only for field in fields(declared))


def test_a_part_without_a_kind_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        Part()  # pyright: ignore[reportAbstractUsage]


def test_settings_and_arms_are_kept_as_they_were_declared():
    assert EFFECT.experiment.engine == "supervised"
    assert EFFECT.experiment.settings == {"dataset": "digits", "lr": 0.1}
    assert EFFECT.arms["b"] == {"norm": "layer"}
    assert EFFECT.judged_from == FIRST_JUDGED == 8
