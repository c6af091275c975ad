"""Claims whose answer is known by construction, from declaration through real training to the verdict."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pytest
import tiny

from rlnorm.study.claim import PRESETS, Effect, Question, supervised_experiment
from rlnorm.study.claim.validate import errors
from rlnorm.study.judge import ClaimResult, overall
from rlnorm.study.plan import Request
from rlnorm.study.run import Store
from rlnorm.study.run.worker import execute

EXPERIMENT = supervised_experiment(
    steps=dict.fromkeys(PRESETS, 60), dataset="digits", hidden=(16,), train_size=200, batch=32, every=10, momentum=0.0,
    lr=0.3,
)  # fmt: skip
PLAIN: dict[str, Any] = {}
# The same training, said in other words: no arm can be better than its twin.
TWIN, TRIPLET = {"dropout": 0.0}, {"noise": 0.0}
WRONG = {"label_noise": 0.8}  # four labels of five are wrong, one in ten of these would be right by chance
STUCK = {"clip": 1e-9}  # hardly moves, so it never gets anywhere
BLIND = {"test_gain": 0.0}  # sees no test input, so it answers one class whatever it has learned
NOISES = tuple({"label_noise": noise} for noise in (0.0, 0.4, 0.8))


def part(arms: Mapping[str, Mapping[str, Any]], metric: str = "accuracy", **more: Any) -> Effect:
    """A part that asks about the arms named a and b."""
    asked = {"asks": "superior", "margin": 0.01, "treatment": "a", "reference": "b"}
    question = Question(**{**asked, **{name: more.pop(name) for name in [*more] if name in Question.__annotations__}})
    return Effect(experiment=EXPERIMENT, arms=arms, metric=metric, question=question, **more)


NEGATIVE, POSITIVE = {"negative_control": "worse"}, {"positive_control": "better"}
PARTS = {
    "twins are the same": part({"a": TWIN, "b": PLAIN, "worse": WRONG}, asks="equivalent", paired=True, **NEGATIVE),
    "a twin is no better": part({"a": TWIN, "b": PLAIN, "worse": WRONG}, asks="superior", paired=True, **NEGATIVE),
    "right labels help": part({"a": PLAIN, "b": WRONG}, paired=True),
    "wrong labels help": part({"a": WRONG, "b": PLAIN}, paired=True),
    # The control is no worse than the reference: harm alone decides.
    "wrong labels do not help": part({"a": WRONG, "b": PLAIN, "worse": TWIN}, asks="not better", **NEGATIVE),
    # No benefit, and nothing shows that one could have been seen.
    "a twin is useless": part(
        {"a": TWIN, "b": PLAIN, "worse": WRONG, "better": TRIPLET},
        asks="not better",
        paired=True,
        **NEGATIVE,
        **POSITIVE,
    ),
    "training reaches half sooner than standing still": part(
        {"a": PLAIN, "b": STUCK}, "updates_to_50", margin=1.25, scale="ratio"
    ),
    "blind tests range less over labels": part({"a": BLIND, "b": PLAIN}, points=NOISES, summary="range", margin=0.05),
    "sight falls with wrong labels": part({"a": BLIND, "b": PLAIN}, points=NOISES, summary="slope", margin=0.05),
    "right labels help at its best rate": part({"a": PLAIN, "b": WRONG}, rates=(1e-6, 0.3)),
}
KNOWN = {
    "twins are the same": "supported",
    "a twin is no better": "refuted",
    "right labels help": "supported",
    "wrong labels help": "refuted",
    "wrong labels do not help": "supported",
    "a twin is useless": "insufficient",
    "training reaches half sooner than standing still": "supported",
    "blind tests range less over labels": "supported",
    "sight falls with wrong labels": "supported",
    "right labels help at its best rate": "supported",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Request, Store, ClaimResult]:
    """All parts, trained on sixteen seeds and judged: rates first, then what they decide."""
    folder = tmp_path_factory.mktemp("known")
    one, store = tiny.request(PARTS, "quick"), Store(folder)
    for _ in range(2):
        for unit in tiny.units([one], store):
            if not store.finished(unit):
                execute(unit, folder)
    return one, store, tiny.assess(one, store)


def test_the_declarations_hold_the_rules(finished: tuple[Request, Store, ClaimResult]):
    assert list(errors(finished[0].claim)) == []


@pytest.mark.parametrize("name", KNOWN)
def test_every_answer_is_the_known_one(finished: tuple[Request, Store, ClaimResult], name: str):
    (found,) = [each for each in finished[2].parts if each.name == name]
    assert found.verdict.outcome == KNOWN[name], found.verdict.judgement.reason


def test_what_is_known_of_the_scores_themselves(finished: tuple[Request, Store, ClaimResult]):
    parts = {each.name: each for each in finished[2].parts}
    twins = parts["twins are the same"].verdict.judgement
    assert (twins.estimate, twins.low, twins.high) == (0.0, 0.0, 0.0)
    stuck = parts["training reaches half sooner than standing still"].arms["b"]
    np.testing.assert_equal(stuck.scores, 60.0)
    assert parts["right labels help at its best rate"].arms["a"].rate == 0.3
    assert "better is not told apart" in parts["a twin is useless"].verdict.judgement.reason
    assert parts["right labels help"].verdict.judgement.estimate == -(
        parts["wrong labels help"].verdict.judgement.estimate or 0
    )


def test_a_claim_of_many_parts_is_as_its_rule_says(finished: tuple[Request, Store, ClaimResult]):
    judged = {each.name: each.verdict.judgement for each in finished[2].parts}
    true = [name for name, outcome in KNOWN.items() if outcome == "supported"]

    def of(rule: Literal["all", "any"], *names: str) -> str:
        return overall([judged[name] for name in names], rule)

    assert of("all", *true) == "supported"
    assert of("all", *true, "wrong labels help") == "refuted"
    assert of("any", "wrong labels help", "right labels help") == "supported"
    assert of("any", "wrong labels help", "a twin is no better") == "refuted"
    assert of("all", *true, "a twin is useless") == "insufficient"
