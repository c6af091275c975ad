"""What claims share, and which units a part comes to."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from rlnorm.study.claim import Effect, Question, dqn_experiment, load
from rlnorm.study.claim.load import shipped
from rlnorm.study.plan import Request, Unit
from rlnorm.study.plan.plan import arm_plan
from rlnorm.study.plan.request import compared
from rlnorm.study.run import Store


class TestSharing:
    def test_ln_and_bn_in_dqn_share_their_reference_and_their_negative_control(self, tmp_path: Path):
        claims = shipped()
        parts = {"dqn-ln": "CartPole-v1, common rate", "dqn-bn": "CartPole-v1, supervised, common rate"}
        asked = [Request(claims[name], "smoke", (part,)) for name, part in parts.items()]
        alone = [{unit.id: unit for unit in tiny.units([one], Store(tmp_path))} for one in asked]
        shared = [alone[0][each].settings for each in alone[0].keys() & alone[1].keys()]
        assert [len(found) for found in alone] == [3, 3]
        assert len(tiny.units(asked, Store(tmp_path))) == 4
        assert {(each["norm"], each["train_every"]) for each in shared} == {("none", 10), ("none", 50)}

    def test_a_question_of_ones_own_shares_with_claims(self, tmp_path: Path):
        claims = shipped()
        own = compared("Acrobot-v1", ["none", "layer"], 16, 50_000)
        ours = {unit.id for unit in tiny.units([own], Store(tmp_path))}
        theirs = {unit.id for unit in tiny.units([Request(claims["dqn-ln"], "full")], Store(tmp_path))}
        assert len(ours) == 2
        assert ours <= theirs


EXPERIMENT = dqn_experiment(
    steps={"smoke": 2_000, "quick": 3_000, "full": 4_000}, env="CartPole-v1", starts=100, lr=1e-3
)
ARMS = {"none": {}, "layer": {"norm": "layer"}}
QUESTION = Question(asks="superior", treatment="layer", reference="none", margin=0.05)
RATES = (1e-3, 1e-2)


class TestPartsBecomeUnits:
    def test_at_the_common_rate_an_arm_is_its_blocks(self):
        part = Effect(experiment=EXPERIMENT, arms=ARMS, metric="return_auc", question=QUESTION)
        need = arm_plan("claim, part", part, "layer", "quick", 40, lambda *_: pytest.fail("nothing to choose"))
        assert need.select == ()
        assert need.rate == 1e-3
        assert need.judge is not None
        assert [unit.seeds for unit in need.judge] == [tuple(range(8, 24)), tuple(range(24, 40)), tuple(range(40, 48))]
        assert {unit.rates for unit in need.judge} == {(1e-3,) * 16, (1e-3,) * 8}
        assert {(unit.steps, unit.settings["norm"]) for unit in need.judge} == {(3_000, "layer")}
        assert "lr" not in need.judge[0].settings
        assert need.judge[0].label == "claim, part: layer, seeds 8-23"

    def test_an_own_best_rate_is_chosen_on_other_seeds_before_it_is_judged(self):
        part = Effect(experiment=EXPERIMENT, arms=ARMS, metric="return_auc", question=QUESTION, rates=RATES)
        first = arm_plan("c", part, "none", "smoke", 8, lambda *_: None)
        assert first.judge is None
        (select,) = first.select
        assert list(zip(select.seeds, select.rates)) == [(seed, rate) for seed in range(8) for rate in RATES]
        second = arm_plan("c", part, "none", "smoke", 8, lambda *_: 1e-2)
        assert second.select[0].id == select.id
        assert second.judge is not None
        assert [(unit.seeds, set(unit.rates)) for unit in second.judge] == [(tuple(range(8, 16)), {1e-2})]
        assert not set(select.seeds) & set(second.judge[0].seeds)

    @pytest.mark.parametrize("grid", [False, True])
    def test_units_over_many_rates_hold_no_more_agents_than_others(self, grid: bool):
        rates = tuple(10.0**-k for k in range(5))
        part = Effect(experiment=EXPERIMENT, arms=ARMS, metric="return_auc", question=QUESTION, rates=rates, grid=grid)
        need = arm_plan("c, p", part, "none", "smoke", 8, lambda *_: None)
        found, first = (list(need.judge or ()), 8) if grid else (list(need.select), 0)
        assert [len(unit.seeds) for unit in found] == [15, 15, 10]
        members = [member for unit in found for member in zip(unit.seeds, unit.rates, strict=True)]
        assert members == [(first + seed, rate) for seed in range(8) for rate in rates]
        assert found[2].label == f"c, p: none, 5 rates, seeds {first + 6}-{first + 7}"

    def test_a_negative_control_takes_the_rate_of_the_reference(self):
        arms, asked = {**ARMS, "worse": {"train_every": 50}}, replace(QUESTION, negative_control="worse")
        part = Effect(experiment=EXPERIMENT, arms=arms, metric="return_auc", question=asked, rates=RATES)
        chosen = {"none": 1e-2, "layer": 1e-3}

        def choose(part: Effect, units: Sequence[Unit]) -> float:
            (unit,) = units
            assert unit.settings["train_every"] == EXPERIMENT.settings.get("train_every", 10)
            return chosen[str(unit.settings["norm"])]

        found = {arm: arm_plan("c", part, arm, "smoke", 8, choose) for arm in arms}
        assert {arm: need.rate for arm, need in found.items()} == {"none": 1e-2, "layer": 1e-3, "worse": 1e-2}
        assert found["worse"].select[0].id == found["none"].select[0].id
        judge = found["worse"].judge
        assert judge is not None
        assert [(unit.settings["train_every"], set(unit.rates)) for unit in judge] == [(50, {1e-2})]

    def test_a_grid_is_judged_at_every_rate_at_once(self):
        part = Effect(experiment=EXPERIMENT, arms=ARMS, metric="return_auc", question=QUESTION, rates=RATES, grid=True)
        need = arm_plan("c", part, "none", "smoke", 3, lambda *_: pytest.fail("nothing to choose"))
        assert need.select == ()
        assert need.judge is not None
        (unit,) = need.judge
        assert list(zip(unit.seeds, unit.rates)) == [(seed, rate) for seed in range(8, 16) for rate in RATES]
        later = arm_plan("c", replace(part, judged_from=24), "none", "smoke", 3, lambda *_: None).judge
        assert later is not None
        assert set(later[0].seeds) == set(range(24, 32))

    def test_seeds_are_the_presets_or_as_asked(self, tmp_path: Path):
        found = load.by_path(tiny.effect(tmp_path))
        for seeds, expected in ((None, 8), (3, 3)):
            planned = tiny.units([Request(found, "smoke", seeds=seeds)], Store(tmp_path))
            assert {unit.seeds for unit in planned} == {tuple(range(8, 8 + expected))}

    def test_selection_is_the_same_however_many_are_judged(self, tmp_path: Path):
        found = load.by_path(tiny.effect(tmp_path, more=", rates=(0.01, 0.1)"))
        planned = [tiny.units([Request(found, "smoke", seeds=seeds)], Store(tmp_path)) for seeds in (2, 3)]
        assert [unit.id for unit in planned[0]] == [unit.id for unit in planned[1]]
        assert {unit.seeds for unit in planned[0]} == {tuple(s for s in range(8) for _ in range(2))}
