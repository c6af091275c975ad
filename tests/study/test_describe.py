from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import tiny

from rlnorm.study import describe, discover, words
from rlnorm.study.claim import DQN, PRESETS, Arm, Claim, Effect, Preset
from rlnorm.study.discover import Found
from rlnorm.study.judge import Question

STEPS: Mapping[Preset, int] = {"smoke": 2_000, "quick": 100_000, "full": 100_000}
EXPERIMENT = DQN(steps=STEPS, env="CartPole-v1", hidden=(64,) * 8, lr=1e-3)
ARMS = {"none": Arm(), "layer": Arm(norm="layer"), "worse": Arm(train_every=50)}
QUESTION = Question("not better", "layer", "none", 0.05, planted="worse")
COMMON = Effect(EXPERIMENT, ARMS, "return_auc", QUESTION)


def page(*parts: Effect) -> str:
    named = {f"CartPole-v1, {i}": part for i, part in enumerate(parts)}
    return describe.page(Found("a-claim", Claim("LN is useless.", "note N0", ("N0", "N2"), named), None))


def test_a_part_is_said_in_words():
    text = page(COMMON)
    for line in (
        "a-claim\nLN is useless.\n",
        "  Source    note N0\n  Notes     N0, N2\n  Overall   supported if every part is, refuted if any part is\n",
        "* CartPole-v1, 0 (effect; smoke, quick, full)\n  Asked     Is “layer” not better than “none” by 0.05?\n",
        "  Arms      none: as below\n            layer: norm=layer\n",
        "            worse: train_every=50; planted: known to be worse\n",
        "  Setting   dqn engine; env=CartPole-v1, hidden=8 of 64, lr=0.001\n",
        "  Rates     common rate: all arms at the setting's lr\n",
        "  Size      smoke: 8 seeds, 2 000 environment steps; quick, full: 16 seeds,",
    ):
        assert line in text, text
    assert max(map(len, text.splitlines())) <= 80


def test_parts_that_differ_in_presets_and_rates_alone_share_a_block():
    text = page(COMMON, replace(COMMON, rates=(1e-3, 1e-2), presets=("full",)))
    assert "* CartPole-v1, 0 (effect; smoke, quick, full)\n* CartPole-v1, 1 (effect; full)\n  Asked" in text
    assert text.count("Setting") == 1
    assert "own best rate: each arm's of 0.001, 0.01, chosen on seeds 0 to 7" in " ".join(text.split())


def test_parts_that_ask_something_else_do_not():
    other = replace(COMMON, question=replace(QUESTION, asks="equivalent"))
    scored = replace(COMMON, metric="dormant")
    text = page(COMMON, other, replace(COMMON, arms={**ARMS, "worse": Arm(train_every=20)}), scored)
    assert text.count("Setting") == 4


def test_a_grid_says_what_its_score_is():
    assert "a run's score is its mean over the rates 0.1, 1" in page(replace(COMMON, rates=(0.1, 1.0), grid=True))


def test_presets_of_the_same_size_are_said_once():
    text = page(replace(COMMON, experiment=replace(EXPERIMENT, steps=dict.fromkeys(PRESETS, 300)), judged_from=24))
    steps = "300 environment steps"
    assert f"smoke: 8 seeds, {steps}; quick, full: 16 seeds, {steps}; seeds from 24 on" in " ".join(text.split())


def test_the_parts_that_count_are_named():
    claim = Claim("LN is useless.", "note N0", (), {"a": COMMON, "b": COMMON}, decisive=("b",))
    assert "these count: b\n" in describe.page(Found("a-claim", claim, None))


def test_exact_parts_are_said_with_how_they_are_tested_once(tmp_path: Path):
    text = describe.page(discover.by_path(tiny.own(tmp_path, "def a(c): ...\ndef b(c): ...", ["a", "b"], cases=77)))
    assert text.count("Says      0 = 0") == 2
    assert text.count("Tested: On 77 random cases in float64") == 1


def test_a_headline_is_wrapped_behind_an_indent(tmp_path: Path):
    found = discover.by_path(tiny.effect(tmp_path))
    long = replace(found, claim=replace(found.claim, statement="word " * 40))
    head, *rest = describe.headline(long, 60).splitlines()
    assert head == "tiny  (effect; N0)"
    assert len(rest) > 3
    assert all(line.startswith("    word") and len(line) <= 60 for line in rest)


def test_a_grid_is_judged_on_eight_fresh_seeds():
    text = " ".join(page(replace(COMMON, rates=(0.1, 1.0), grid=True, judged_from=24)).split())
    assert "always seeds 24 to 31, at every rate: --seeds does not apply" in text
    assert "16 seeds" not in text


def test_the_rule_names_the_parts_that_count_or_the_few_that_do_not():
    claim = Claim("LN is useless.", "note N0", ("N0",), dict.fromkeys("abc", COMMON))
    assert words.rule(claim) == "supported if every part is, refuted if any part is"
    assert words.rule(replace(claim, decisive=("a",))).endswith("any part that counts is; these count: a")
    assert words.rule(replace(claim, decisive=("a", "b"), overall="any")).endswith("; these do not count: c")
