"""What claims share, and which units a part comes to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from rlnorm.study.claim import (
    PRESETS,
    Effect,
    LogUniform,
    Preset,
    Question,
    dqn_experiment,
    load,
    supervised_experiment,
)
from rlnorm.study.claim.engines import TRAINING
from rlnorm.study.claim.load import shipped
from rlnorm.study.claim.validate import part_errors
from rlnorm.study.plan import Request, Unit
from rlnorm.study.plan.plan import Run, arm_plan, best_rate, score
from rlnorm.study.plan.request import compared, seeds_at
from rlnorm.study.run import Store


class TestSharing:
    def test_ln_and_bn_in_dqn_share_their_reference_and_their_controls(self, tmp_path: Path):
        claims = shipped()
        parts = {"dqn-ln": "CartPole-v1, common rate", "dqn-bn": "CartPole-v1, supervised, common rate"}
        asked = [Request(claims[name], "smoke", (part,)) for name, part in parts.items()]
        alone = [{unit.id: unit for unit in tiny.units([one], Store(tmp_path))} for one in asked]
        shared = [alone[0][each].settings for each in alone[0].keys() & alone[1].keys()]
        assert [len(found) for found in alone] == [4, 4]
        assert len(tiny.units(asked, Store(tmp_path))) == 5
        assert {each["norm"] for each in shared} == {"none"}
        assert len(shared) == 3

    def test_a_question_of_ones_own_shares_with_claims(self, tmp_path: Path):
        claims = shipped()
        own = compared("CartPole-v1", ["none", "layer"], 16, 200_000)
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
PART = Effect(experiment=EXPERIMENT, arms=ARMS, metric="return_auc", question=QUESTION)


def fixed(part: Effect, arm: str = "none", seeds: int = 8) -> tuple[Run, ...]:
    """The judged runs of an arm without a choice of rates."""
    found = arm_plan("c, p", part, arm, "smoke", seeds, lambda *_: pytest.fail("nothing to choose"))
    assert found.select == ()
    assert found.judge is not None
    return found.judge


def units(runs: Sequence[Run]) -> list[Unit]:
    """The units in which runs stand, each once, in order."""
    return list({place.unit.id: place.unit for run in runs for place in run.places}.values())


def members(unit: Unit) -> list[tuple[int, float]]:
    return list(zip(unit.seeds, unit.rates, strict=True))


class TestPartsBecomeUnits:
    def test_at_the_common_rate_an_arm_is_its_blocks(self):
        need = arm_plan("claim, part", PART, "layer", "quick", 40, lambda *_: pytest.fail("nothing to choose"))
        assert need.select == ()
        assert need.rate == 1e-3
        assert need.judge is not None
        assert [run.seed for run in need.judge] == list(range(8, 48))
        found = need.units
        assert [unit.seeds for unit in found] == [tuple(range(8, 24)), tuple(range(24, 40)), tuple(range(40, 48))]
        assert {unit.rates for unit in found} == {(1e-3,) * 16, (1e-3,) * 8}
        assert {(unit.steps, unit.settings["norm"]) for unit in found} == {(3_000, "layer")}
        assert "lr" not in found[0].settings
        assert found[0].label == "claim, part: layer, seeds 8-23"

    def test_an_own_best_rate_is_chosen_on_other_seeds_before_it_is_judged(self):
        part = replace(PART, rates=RATES)
        first = arm_plan("c", part, "none", "smoke", 8, lambda *_: None)
        assert first.judge is None
        (select,) = units(first.select)
        assert members(select) == [(seed, rate) for seed in range(8) for rate in RATES]
        second = arm_plan("c", part, "none", "smoke", 8, lambda *_: 1e-2)
        assert units(second.select)[0].id == select.id
        assert second.judge is not None
        (judged,) = units(second.judge)
        assert (judged.seeds, set(judged.rates)) == (tuple(range(8, 16)), {1e-2})
        assert not set(select.seeds) & set(judged.seeds)
        assert [unit.id for unit in second.units] == [select.id, judged.id]

    @pytest.mark.parametrize("judged", [False, True])
    def test_units_over_many_rates_hold_no_more_agents_than_others(self, judged: bool):
        rates = tuple(10.0**-k for k in range(5, 0, -1))
        part = replace(PART, points=tuple({"lr": rate} for rate in rates)) if judged else replace(PART, rates=rates)
        need = arm_plan("c, p", part, "none", "smoke", 8, lambda *_: None)
        found, first = (units(need.judge or ()), 8) if judged else (units(need.select), 0)
        assert [len(unit.seeds) for unit in found] == [15, 15, 10]
        expected = [(first + seed, rate) for seed in range(8) for rate in rates]
        assert [member for unit in found for member in members(unit)] == expected
        what = "points" if judged else "rates"
        assert found[2].label == f"c, p: none, 5 {what}, seeds {first + 6}-{first + 7}"

    @pytest.mark.parametrize("rates", [(), RATES])
    def test_a_control_runs_at_the_rate_that_it_states(self, rates: tuple[float, ...]):
        arms = {**ARMS, "control": {"train_every": 50, "lr": 4e-3}}
        part = replace(PART, arms=arms, question=replace(QUESTION, negative_control="control"), rates=rates)
        assert not list(part_errors(part))
        need = arm_plan("c", part, "control", "smoke", 8, lambda *_: pytest.fail("nothing to choose"))
        assert (need.select, need.rate) == ((), 4e-3)
        assert need.judge is not None
        (judged,) = units(need.judge)
        assert (judged.settings["train_every"], set(judged.rates)) == (50, {4e-3})
        other = replace(part, arms={**part.arms, "layer": {"norm": "layer", "lr": 4e-3}})
        assert bool(list(part_errors(other))) == bool(rates)

    @pytest.mark.parametrize("role", ["negative_control", "positive_control"])
    def test_a_control_that_states_no_rate_takes_the_reference_s(self, role: str):
        arms, asked = {**ARMS, "control": {"train_every": 50}}, replace(QUESTION, **{role: "control"})
        part = replace(PART, arms=arms, question=asked, rates=RATES)
        chosen = {"none": 1e-2, "layer": 1e-3}

        def choose(part: Effect, runs: Sequence[Run]) -> float:
            (unit,) = units(runs)
            assert unit.settings["train_every"] == EXPERIMENT.settings.get("train_every", 10)
            return chosen[str(unit.settings["norm"])]

        found = {arm: arm_plan("c", part, arm, "smoke", 8, choose) for arm in arms}
        assert {arm: need.rate for arm, need in found.items()} == {"none": 1e-2, "layer": 1e-3, "control": 1e-2}
        assert units(found["control"].select)[0].id == units(found["none"].select)[0].id
        assert found["control"].judge is not None
        (judged,) = units(found["control"].judge)
        assert (judged.settings["train_every"], set(judged.rates)) == (50, {1e-2})

    def test_rates_as_points_are_judged_at_once_and_need_no_common_rate(self):
        without = {name: value for name, value in EXPERIMENT.settings.items() if name != "lr"}
        points = tuple({"lr": rate} for rate in RATES)
        for experiment in (EXPERIMENT, replace(EXPERIMENT, settings=without)):
            part = replace(PART, experiment=experiment, points=points)
            (unit,) = units(fixed(part))
            assert members(unit) == [(seed, rate) for seed in range(8, 16) for rate in RATES]
            assert arm_plan("c", part, "none", "smoke", 8, lambda *_: None).rate is None
        assert [run.seed for run in fixed(replace(PART, points=points, judged_from=24), seeds=3)] == [24, 25, 26]

    def test_seeds_are_the_presets_or_as_asked(self, tmp_path: Path):
        found = load.by_path(tiny.effect(tmp_path))
        for seeds, expected in ((None, 8), (3, 3)):
            planned = tiny.units([Request(found, "smoke", seeds=seeds)], Store(tmp_path))
            assert {unit.seeds for unit in planned} == {tuple(range(8, 8 + expected))}
        own = load.by_path(tiny.effect(tmp_path, "own", more=", seeds=24"))
        sizes: list[tuple[Preset, int | None, int]]
        sizes = [("smoke", None, 8), ("quick", None, 24), ("full", None, 24), ("full", 9, 9)]
        for preset, seeds, expected in sizes:
            planned = tiny.units([Request(own, preset, seeds=seeds)], Store(tmp_path))
            assert {unit.seeds for unit in planned} == {tuple(range(8, 8 + expected))}

    def test_a_preview_takes_no_more_seeds_than_its_preset_has(self):
        steps: dict[Preset, int] = {"smoke": 2_000, "quick": 3_000, "full": 4_000}
        part = replace(PART, experiment=replace(EXPERIMENT, steps=steps), seeds=64)
        assert [seeds_at(part, preset) for preset in PRESETS] == [8, 16, 64]
        assert [seeds_at(replace(part, seeds=4), preset) for preset in PRESETS] == [4, 4, 4]

    def test_selection_is_the_same_however_many_are_judged(self, tmp_path: Path):
        found = load.by_path(tiny.effect(tmp_path, more=", rates=(0.01, 0.1)"))
        planned = [tiny.units([Request(found, "smoke", seeds=seeds)], Store(tmp_path)) for seeds in (2, 3)]
        assert [unit.id for unit in planned[0]] == [unit.id for unit in planned[1]]
        assert {unit.seeds for unit in planned[0]} == {tuple(s for s in range(8) for _ in range(2))}


SUPERVISED = Effect(
    experiment=supervised_experiment(steps=dict.fromkeys(PRESETS, 3), **tiny.SETTINGS, lr=0.05),
    arms=ARMS,
    metric="accuracy",
    question=replace(QUESTION, margin=0.01),
)
NOISES, BATCHES = (0.0, 0.1, 0.3), (8, 16)
# The second of these differs between units, the rest between members of one.
POINTS = tuple({"label_noise": noise, "batch": batch, "lr": 0.1 + noise} for noise in NOISES for batch in BATCHES)


def at(run: Run) -> list[dict[str, Any]]:
    """What a run is trained with, at each point."""
    return [
        {
            "seed": unit.seeds[member],
            "lr": unit.rates[member],
            "batch": unit.settings["batch"],
            "label_noise": unit.settings["label_noise"][member],
        }
        for unit, member in run.places
    ]


class TestPoints:
    @settings(deadline=None, max_examples=15)
    @given(st.integers(1, 70), st.permutations(POINTS), st.integers(2, 6))
    def test_every_run_is_one_seed_at_all_points_in_their_order(self, seeds: int, points: list, count: int):
        chosen = tuple(points[:count])
        runs = fixed(replace(SUPERVISED, points=chosen), seeds=seeds)
        assert [run.seed for run in runs] == list(range(8, 8 + seeds))
        assert all(at(run) == [{"seed": run.seed, **point} for point in chosen] for run in runs)

    @settings(deadline=None, max_examples=15)
    @given(st.integers(1, 200))
    def test_members_of_one_population_differ_by_member_alone_and_seeds_stay_whole(self, seeds: int):
        found = units(fixed(replace(SUPERVISED, points=POINTS), seeds=seeds))
        block = TRAINING["supervised"].block // len(NOISES)
        blocks = [range(8 + i, 8 + min(i + block, seeds)) for i in range(0, seeds, block)]
        # Each batch size is a population of its own, of each block of seeds.
        assert len(found) == len(BATCHES) * len(blocks)
        for batch in BATCHES:
            of = [unit for unit in found if unit.settings["batch"] == batch]
            assert [unit.seeds for unit in of] == [tuple(np.repeat(seeds, len(NOISES))) for seeds in blocks]
            assert [tuple(unit.settings["label_noise"]) for unit in of] == [NOISES * len(seeds) for seeds in blocks]
        assert max(len(unit.seeds) for unit in found) <= TRAINING["supervised"].block

    def test_a_run_of_more_points_than_a_block_is_one_population_all_the_same(self):
        many = tuple({"lr": 0.001 * (i + 1)} for i in range(TRAINING["supervised"].block + 1))
        found = units(fixed(replace(SUPERVISED, points=many), seeds=2))
        assert [len(unit.seeds) for unit in found] == [len(many)] * 2

    def test_one_unit_trains_what_a_point_alone_would_be_trained_with(self):
        """The same settings, but for being lists: a grid is no other experiment."""
        (run,) = fixed(replace(SUPERVISED, points=POINTS), seeds=1)
        for (unit, member), point in zip(run.places, POINTS, strict=True):
            (alone,) = fixed(replace(SUPERVISED, experiment=replace(
                SUPERVISED.experiment, settings={**SUPERVISED.experiment.settings, **point})), seeds=1)  # fmt: skip
            own = alone.places[0].unit
            same = {name: value[member] if name == "label_noise" else value for name, value in unit.settings.items()}
            assert (same, unit.rates[member]) == (dict(own.settings), own.rates[0])


DRAWN = tuple({"lr": LogUniform(1e-3, 1.0), "label_noise": LogUniform(0.01, 0.5)} for _ in range(4))


class TestDraws:
    def test_seed_and_point_alone_decide_them_and_arms_share_them(self):
        part = replace(SUPERVISED, points=DRAWN)
        few, many, other = fixed(part, seeds=2), fixed(part, seeds=30), fixed(part, arm="layer", seeds=2)
        assert [at(run) for run in few] == [at(run) for run in many[:2]] == [at(run) for run in other]
        fewer_points = fixed(replace(part, points=DRAWN[:2]), seeds=2)
        assert [at(run)[:2] for run in few] == [at(run) for run in fewer_points]
        drawn = [each["lr"] for run in many for each in at(run)]
        assert len(set(drawn)) == len(drawn) == 120

    def test_they_are_uniform_between_the_logarithms_of_both_ends(self):
        part = replace(SUPERVISED, points=({"lr": LogUniform(1e-3, 1e1)},) * 16)
        drawn = np.log10([rate for unit in units(fixed(part, seeds=50)) for rate in unit.rates])
        assert drawn.min() >= -3
        assert drawn.max() <= 1
        # 800 draws: a uniform one has quartiles at -2, -1, 0 to within 0.05 standard errors of four decades.
        assert np.quantile(drawn, [0.25, 0.5, 0.75]) == pytest.approx([-2, -1, 0], abs=0.25)

    def test_rates_are_compared_at_the_same_draws(self):
        points = tuple({"label_noise": LogUniform(0.01, 0.5)} for _ in range(3))
        need = arm_plan("c", replace(SUPERVISED, points=points, rates=RATES), "none", "smoke", 8, lambda *_: None)
        noises = [[each["label_noise"] for each in at(run)] for run in need.select]
        assert noises[::2] == noises[1::2]
        assert len({tuple(each) for each in noises}) == 8


class TestScores:
    def scored(self, part: Effect, run: Run, of: Mapping[tuple[int, float], float]) -> float:
        """The run's score where every member ends with the accuracy of its batch size and rate."""

        def rows(unit: Unit) -> list[dict[str, Any]]:
            ends = [of[unit.settings["batch"], rate] for rate in unit.rates]
            return [{"step": 3, "test_accuracy": ends, "diverged": [False] * len(ends)}]

        return score(part, part.metric, run, rows)

    def test_a_runs_score_is_the_summary_of_those_at_its_points_in_their_order(self):
        points = tuple({"lr": rate, "batch": batch} for rate in RATES for batch in BATCHES)
        ends = dict(zip([(point["batch"], point["lr"]) for point in points], (0.1, 0.2, 0.7, 0.8), strict=True))
        for summary, expected in (("mean", 0.45), ("range", 0.7), ("slope", 0.26), ("near best", 0.25)):
            part = replace(SUPERVISED, points=points, summary=summary)
            assert [self.scored(part, run, ends) for run in fixed(part)] == pytest.approx([expected] * 8)

    @pytest.mark.parametrize("summary", ["mean", "range", "slope"])
    def test_the_best_rate_is_best_on_average_whatever_is_judged(self, summary: str):
        part = replace(SUPERVISED, points=tuple({"batch": batch} for batch in BATCHES), summary=summary, rates=RATES)
        select = arm_plan("c", part, "none", "smoke", 8, lambda *_: None).select
        assert len(select) == 8 * len(RATES)
        ends = {(8, 1e-3): 0.3, (16, 1e-3): 0.3, (8, 1e-2): 0.2, (16, 1e-2): 0.9}

        def rows(unit: Unit) -> list[dict[str, Any]]:
            found = [ends[unit.settings["batch"], rate] for rate in unit.rates]
            return [{"step": 3, "test_accuracy": found, "diverged": [False] * len(found)}]

        assert best_rate(part, select, rows) == 1e-2
        one_is_missing = units(select)[1].id
        assert best_rate(part, select, lambda unit: None if unit.id == one_is_missing else rows(unit)) is None


def test_what_may_differ_by_member_is_what_the_engine_documents_so():
    """Settings marked (*) in the engine's documentation, and no others."""
    engine = TRAINING["supervised"]
    documented = engine.settings.__doc__ or ""
    marked = {name for line in documented.splitlines() if "(*)" in line and not line.strip().startswith("Settings")
              for name in line.partition("(*)")[0].replace(",", " ").split()}  # fmt: skip
    marked |= {"dropout", "alpha_dropout", "noise"}
    assert engine.per_member == marked
