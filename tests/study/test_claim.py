from rlnorm.study.claim import FIRST_JUDGED, Arm, Claim, Effect, Supervised
from rlnorm.study.judge import Question

EFFECT = Effect(
    Supervised(steps={"smoke": 1}, dataset="digits", lr=0.1),
    {"a": Arm(), "b": Arm(norm="layer")},
    "accuracy",
    Question("superior", "b", "a", margin=0.01),
)


def claim(**changes) -> Claim:
    return Claim(**{"statement": "s", "source": "s", "notes": (), "parts": {"one": EFFECT}, **changes})


def test_a_claim_is_of_the_kind_of_its_first_part_unless_it_is_filed_as_another():
    assert claim().kind == "effect"
    assert claim(filed_as="cost").kind == "cost"


def test_settings_and_arms_are_kept_as_they_were_declared():
    assert EFFECT.experiment.engine == "supervised"
    assert EFFECT.experiment.settings == {"dataset": "digits", "lr": 0.1}
    assert EFFECT.arms["b"] == {"norm": "layer"}
    assert EFFECT.judged_from == FIRST_JUDGED == 8
