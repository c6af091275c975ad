from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import tiny

from rlnorm.study.claim import PRESETS, Claim, Effect, LogUniform, Part, Preset, Question, dqn_experiment, load
from rlnorm.study.claim.load import ClaimFile
from rlnorm.study.report import describe, wording

STEPS: Mapping[Preset, int] = {"smoke": 2_000, "quick": 100_000, "full": 100_000}
EXPERIMENT = dqn_experiment(steps=STEPS, env="CartPole-v1", hidden=(64,) * 8, lr=1e-3)
ARMS = {"none": {}, "layer": {"norm": "layer"}, "worse": {"train_every": 50}}
QUESTION = Question(asks="not better", treatment="layer", reference="none", margin=0.05, negative_control="worse")
COMMON = Effect(experiment=EXPERIMENT, arms=ARMS, metric="return_auc", question=QUESTION)


def claim(**parts: Part) -> Claim:
    return tiny.claim(parts, title="LN does nothing", statement="LN is useless.", source="note N0", notes=("N0", "N2"))


def page(*parts: Effect) -> str:
    named = {f"CartPole-v1, {i}": part for i, part in enumerate(parts)}
    return describe.page(ClaimFile("a-claim", claim(**named), None))


def test_a_part_is_said_in_words():
    text = page(COMMON)
    for line in (
        "a-claim: LN does nothing\nLN is useless.\n",
        "  Source    note N0\n  Notes     N0, N2\n  Overall   supported if every part is, refuted if any part is\n",
        "* CartPole-v1, 0 (effect; smoke, quick, full)\n  Asked     Is “layer” not better than “none” by 0.05?\n",
        "  Arms      none: as below\n            layer: norm=layer\n",
        "            worse: train_every=50; known to be worse\n",
        "  Setting   dqn engine; env=CartPole-v1, hidden=8 of 64, lr=0.001\n",
        "  Rates     common rate: all arms at the setting's lr\n",
        "  Size      smoke: 8 seeds, 2 000 environment steps; quick, full: 16 seeds,",
    ):
        assert line in text, text
    assert max(map(len, text.splitlines())) <= 80


def test_spreads_effects_and_controls_both_ways_are_said_in_words():
    spread = wording.asked(replace(QUESTION, scale="spread", margin=1.25))
    assert spread == "Is the spread of “layer” no smaller than the spread of “none”, by a factor of 1.25?"
    effects = wording.asked(replace(QUESTION, scale="standardized", asks="superior"))
    assert effects == (
        "Is the benefit of “layer” over “none” in the first score larger than in the second, by 0.05 standard "
        "deviations?"
    )
    both = replace(QUESTION, positive_control="better")
    text = page(replace(COMMON, arms={**ARMS, "better": {"train_every": 5}}, question=both, rates=(1e-4, 1e-3)))
    assert "better: train_every=5; known to be better" in text
    assert "controls take the reference's where they state none" in " ".join(text.split())


def test_parts_that_differ_in_presets_and_rates_alone_share_a_block():
    text = page(COMMON, replace(COMMON, rates=(1e-3, 1e-2), presets=("full",)))
    assert "* CartPole-v1, 0 (effect; smoke, quick, full)\n* CartPole-v1, 1 (effect; full)\n  Asked" in text
    assert text.count("Setting") == 1
    assert "own best rate: each arm's of 0.001, 0.01, chosen on seeds 0 to 7" in " ".join(text.split())


def test_parts_that_ask_something_else_do_not():
    other = replace(COMMON, question=replace(QUESTION, asks="equivalent"))
    scored = replace(COMMON, metric="dormant")
    ranged = replace(COMMON, points=({"batch": 8}, {"batch": 32}))
    same = (replace(ranged, summary="range"), replace(COMMON, seeds=24), replace(COMMON, second_metric="dormant"))
    text = page(COMMON, other, replace(COMMON, arms={**ARMS, "worse": {"train_every": 20}}), scored, ranged, *same)
    assert text.count("Setting") == 8


def test_points_are_said_with_what_is_made_of_their_scores():
    points = ({"lr": 0.1, "batch": 8}, {"lr": 1.0, "batch": 32})
    text = " ".join(page(replace(COMMON, points=points, summary="range")).split())
    assert "a run's score is the range over 2 points: lr 0.1, 1; batch 8, 32" in text
    assert "Rates every point sets its own" in text
    drawn = page(replace(COMMON, points=({"lr": LogUniform(1e-3, 0.1)},) * 20))
    assert "the mean over 20 points: lr drawn by the seed from 0.001 to 0.1" in " ".join(drawn.split())


def test_presets_of_the_same_size_are_said_once():
    text = page(replace(COMMON, experiment=replace(EXPERIMENT, steps=dict.fromkeys(PRESETS, 300)), judged_from=24))
    steps = "300 environment steps"
    assert f"smoke: 8 seeds, {steps}; quick, full: 16 seeds, {steps}; seeds from 24 on" in " ".join(text.split())


def test_the_parts_that_count_are_named():
    one_counts = claim(a=replace(COMMON, decisive=False), b=COMMON)
    assert "these count: b\n" in describe.page(ClaimFile("a-claim", one_counts, None))


def test_exact_parts_are_said_with_how_they_are_tested_once(tmp_path: Path):
    text = describe.page(load.by_path(tiny.own(tmp_path, "def a(c): ...\ndef b(c): ...", ["a", "b"], cases=77)))
    assert text.count("States    0 = 0") == 2
    assert text.count("Tested: On 77 random cases in float64") == 1


def test_a_page_is_wrapped_to_its_width(tmp_path: Path):
    found = load.by_path(tiny.effect(tmp_path))
    long = replace(found, claim=replace(found.claim, statement="word " * 40, literature="other " * 40))
    lines = describe.page(long, 60).splitlines()
    assert lines[0] == "tiny: LayerNorm is better"
    assert sum(line.startswith("word") for line in lines) > 3
    assert sum(line.startswith(" " * 12 + "other") for line in lines) > 3
    assert max(map(len, lines)) <= 60


def test_a_part_with_seeds_of_its_own_says_how_many():
    text = " ".join(page(replace(COMMON, seeds=24, judged_from=24)).split())
    assert "smoke: 8 seeds, 2 000 environment steps; quick, full: 24 seeds," in text
    assert "seeds from 24 on" in text
    assert "16 seeds" not in text


def test_the_rule_names_the_parts_that_count_or_the_few_that_do_not():
    beside = replace(COMMON, decisive=False)
    assert wording.rule(claim(a=COMMON, b=COMMON)) == "supported if every part is, refuted if any part is"
    few, many = claim(a=COMMON, b=beside, c=beside), claim(a=COMMON, b=COMMON, c=beside)
    assert wording.rule(few).endswith("any part that counts is; these count: a")
    assert wording.rule(replace(many, overall="any")) == (
        "supported if any part that counts is, refuted if every part that counts is; these do not count: c"
    )
