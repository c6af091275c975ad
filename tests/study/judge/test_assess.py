"""From rows to verdicts, on rows made up for it."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tiny

from rlnorm.study.claim import PRESETS, Effect, Question, dqn_experiment, supervised_experiment
from rlnorm.study.judge.assess import at_the_edge
from rlnorm.study.judge.results import ArmResult
from rlnorm.study.judge.verdict import OverallDetails
from rlnorm.study.plan import Request, Unit
from rlnorm.study.plan.plan import best_rate
from rlnorm.study.report.csv import COLUMNS, scores
from rlnorm.study.run import Store

STEPS = dict.fromkeys(PRESETS, 2_000)
EXPERIMENT = dqn_experiment(steps=STEPS, env="CartPole-v1", starts=100, lr=1e-3)
ARMS = {"none": {}, "layer": {"norm": "layer"}}
PART = Effect(
    experiment=EXPERIMENT,
    arms=ARMS,
    metric="return_auc",
    question=Question(asks="superior", treatment="layer", reference="none", margin=0.05),
)
RATES = (1e-3, 1e-2, 1e-1)
NAME = "CartPole-v1, common rate"


def asked(part: Effect = PART, **more: Any) -> Request:
    return tiny.request({NAME: part}, **more)


def level(share: float) -> float:
    """The return that stands for a share of the way from random to solved."""
    return 22.3 + share * (475.0 - 22.3)


def filled(folder: Path, one: Request, **shares: float) -> Store:
    """A store in which every run of an arm scores its share, give or take 0.01."""
    store = Store(folder)
    tiny.fill(
        store,
        [unit for unit in tiny.units([one], store) if not store.finished(unit)],
        lambda unit: tiny.spread(level(shares[unit.settings["norm"]]), 4.5, len(unit.seeds)),
    )
    return store


class TestVerdict:
    def test_comes_from_the_scores_of_the_arms(self, tmp_path: Path):
        one = asked()
        result = tiny.assess(one, filled(tmp_path, one, none=0.4, layer=0.7))
        (part,) = result.parts
        assert part.verdict.outcome == result.overall.outcome == "supported"
        assert part.verdict.judgement.estimate == pytest.approx(0.3)
        assert (part.verdict.judgement.n, part.verdict.judgement.diverged) == (8, 0)
        assert (part.verdict.margin, part.verdict.preset, part.verdict.steps) == (0.05, "smoke", 2_000)
        assert part.arms["layer"].scores.mean() == pytest.approx(0.7)
        assert part.arms["layer"].final == pytest.approx(tiny.spread(level(0.7), 4.5, 8))
        assert part.arms["layer"].settings["norm"] == "layer"
        assert part.arms["layer"].seeds == tuple(range(8, 16))
        assert set(part.units) == {unit.id for unit in tiny.units([one], Store(tmp_path))}

    def test_goes_with_the_snapshots_of_the_first_population_where_there_are_some(self, tmp_path: Path):
        one = asked(seeds=20)
        store, snapshot = Store(tmp_path), {"norm1": {"gamma": {"min": 1.0, "max": 1.0, "counts": [4]}}}
        for unit in tiny.units([one], store):
            scored = {"return": [100.0] * len(unit.seeds), "final_return": [100.0] * len(unit.seeds)}
            taken = {"snapshot": snapshot} if unit.seeds[0] == 8 and unit.settings["norm"] == "layer" else {}
            store.write(unit, [{"step": 1, **scored, **taken}, {"step": 2, **scored}], lambda: 0.0)
        arms = tiny.assess(one, store).parts[0].arms
        assert arms["layer"].snapshots == [(1, snapshot)]
        assert arms["none"].snapshots == []

    def test_turns_with_the_scores(self, tmp_path: Path):
        one = asked()
        store = filled(tmp_path, one, none=0.7, layer=0.4)
        assert tiny.assess(one, store).parts[0].verdict.outcome == "refuted"

    def test_of_rows_that_are_missing_is_insufficient(self, tmp_path: Path):
        (part,) = tiny.assess(asked(), Store(tmp_path)).parts
        assert part.verdict.outcome == "insufficient"
        assert part.verdict.judgement.estimate is None
        assert len(part.arms["none"].scores) == 0

    def test_overall_follows_the_claims_rule(self, tmp_path: Path):
        one = asked()
        worse = replace(PART, question=Question(asks="superior", treatment="none", reference="layer", margin=0.05))
        for rule, expected in (("all", "refuted"), ("any", "supported")):
            claim = replace(one.claim, parts={"a": PART, "b": worse}, overall=rule)
            both = replace(one, file=replace(one.file, claim=claim))
            result = tiny.assess(both, filled(tmp_path, both, none=0.4, layer=0.7))
            assert [part.verdict.outcome for part in result.parts] == ["supported", "refuted"]
            assert (result.overall.outcome, result.overall.part) == (expected, "overall")

    def test_diverged_runs_count_at_random_and_their_curves_end(self, tmp_path: Path):
        one, store = asked(), Store(tmp_path)
        for unit in tiny.units([one], store):
            flags = [unit.settings["norm"] == "layer" and seed < 10 for seed in unit.seeds]
            rows = [
                {"step": step, "return": [level(0.5)] * 8, "loss": [0.1] * 8, "diverged": now}
                for step, now in ((1, [False] * 8), (2, flags))
            ]
            store.write(unit, [*rows[:-1], {**rows[-1], "final_return": [level(0.5)] * 8}], lambda: 0.0)
        (part,) = tiny.assess(one, store).parts
        layer = part.arms["layer"]
        np.testing.assert_equal(layer.diverged, [True, True, *[False] * 6])
        np.testing.assert_allclose(layer.scores, [0.25, 0.25, *[0.5] * 6])
        assert layer.final is not None
        np.testing.assert_allclose(layer.final[:3], [22.3, 22.3, level(0.5)])
        assert part.verdict.judgement.diverged == pytest.approx(2 / 16)
        np.testing.assert_equal(np.isnan(layer.curves["loss"].values[:, 1]), layer.diverged)
        assert not layer.probes

    def test_probes_are_curves_of_the_records_that_hold_them(self, tmp_path: Path):
        one, store = asked(), Store(tmp_path)
        for unit in tiny.units([one], store):
            rows = [{"step": step, "return": [level(0.5)] * 8, "diverged": [False] * 8} for step in (1, 2, 3, 4)]
            rows[1]["probes"] = {"norm1": {"mean_gap": list(range(8))}}
            rows[3]["probes"] = {"norm1": {"mean_gap": [None] * 8, "mean_drift": [0.5] * 8}}
            store.write(unit, [*rows[:-1], {**rows[-1], "final_return": [level(0.5)] * 8}], lambda: 0.0)
        probes = tiny.assess(one, store).parts[0].arms["layer"].probes
        assert {tag: curve.steps.tolist() for tag, curve in probes.items()} == {
            "norm/norm1/mean_gap": [2, 4],
            "norm/norm1/mean_drift": [4],
        }
        gaps = probes["norm/norm1/mean_gap"].values
        np.testing.assert_equal(gaps, [[i % 8, np.nan] for i in range(len(gaps))])


class TestFinding:
    def arms(self, folder: Path, one: Request, **last: object) -> Mapping[str, ArmResult]:
        """The arms of a request whose last records also hold `last`."""
        store = Store(folder)
        for unit in tiny.units([one], store):
            rows = [{"step": step, "return": [level(0.5)] * 8, "diverged": [False] * 8} for step in (1_000, 2_000)]
            rows[-1] |= {"final_return": [level(0.5)] * 8, **last}
            store.write(unit, rows, lambda: 0.0)
        return tiny.assess(one, store).parts[0].arms

    def test_is_told_of_every_run(self, tmp_path: Path):
        layer = self.arms(tmp_path, asked(), first_success=[300.0, None] * 4)["layer"]
        np.testing.assert_equal(layer.found, [1, 0] * 4)
        np.testing.assert_equal(layer.first_success, [300, 2_000] * 4)

    def test_is_unknown_of_older_records_and_of_agents_that_play_no_episodes(self, tmp_path: Path):
        first = {"first_success": [None] * 8}
        offline = replace(PART, experiment=replace(EXPERIMENT, settings={**EXPERIMENT.settings, "offline": True}))
        for name, one, last in (("older", asked(), {}), ("offline", asked(offline), first)):
            layer = self.arms(tmp_path / name, one, **last)["layer"]
            assert len(layer.scores) == 8
            assert layer.found is layer.first_success is None


class TestRates:
    part = replace(PART, rates=RATES)

    def choose(self, folder: Path, scores: dict[float, float]) -> float:
        store, one = Store(folder), asked(self.part)
        select = tiny.arms(one, store, NAME)["none"].select
        first, *others = {place.unit.id: place.unit for run in select for place in run.places}.values()
        tiny.fill(store, others, lambda unit: [level(scores[rate]) for rate in unit.rates])
        assert tiny.arms(one, store, NAME)["none"].rate is None
        tiny.fill(store, [first], lambda unit: [level(scores[rate]) for rate in unit.rates])
        found = best_rate(self.part, select, store.records)
        assert found is not None
        return found

    @pytest.mark.parametrize(
        ("scores", "best"),
        [((0.2, 0.6, 0.4), 1e-2), ((0.6, 0.5, 0.4), 1e-3), ((0.1, 0.2, 0.4), 1e-1), ((0.1, 0.4, 0.4), 1e-2)],
    )
    def test_the_best_mean_is_chosen_the_lower_of_equals(self, tmp_path: Path, scores: tuple[float, ...], best: float):
        assert self.choose(tmp_path, dict(zip(RATES, scores))) == best

    def test_fewer_is_better_where_the_metric_says_so(self, tmp_path: Path):
        settings = {**tiny.SETTINGS, "lr": 0.1}
        part = Effect(
            experiment=supervised_experiment(steps=dict.fromkeys(PRESETS, 3), **settings),
            arms={"none": {}, "layer": {"norm": "layer"}},
            metric="updates_to_90",
            question=Question(asks="superior", treatment="layer", reference="none", margin=1.25, scale="ratio"),
            rates=RATES,
        )
        store, one = Store(tmp_path), asked(part)
        arm = tiny.arms(one, store, NAME)["none"]
        tiny.fill(store, arm.units, lambda unit: [0.95 if rate == 1e-2 else 0.5 for rate in unit.rates])
        assert best_rate(part, arm.select, store.records) == 1e-2

    def test_two_rounds_and_the_fresh_seeds_are_judged(self, tmp_path: Path):
        one, store = asked(self.part), Store(tmp_path)
        first = tiny.units([one], store)
        assert {unit.seeds for unit in first} == {tuple(np.repeat(range(5), 3)), tuple(np.repeat(range(5, 8), 3))}
        tiny.fill(
            store,
            first,
            lambda unit: [level(0.9 if rate == (1e-2 if unit.settings["norm"] == "layer" else 1e-1) else 0.1)
                          for rate in unit.rates],
        )  # fmt: skip
        assert tiny.assess(one, store).parts[0].verdict.outcome == "insufficient"
        second = [unit for unit in tiny.units([one], store) if unit.id not in {u.id for u in first}]
        assert {(unit.settings["norm"], unit.rates[0], unit.seeds[0]) for unit in second} == {
            ("none", 1e-1, 8),
            ("layer", 1e-2, 8),
        }
        filled(tmp_path, one, none=0.4, layer=0.5)
        (part,) = tiny.assess(one, store := Store(tmp_path)).parts
        assert (part.arms["none"].rate, part.arms["layer"].rate) == (1e-1, 1e-2)
        assert part.verdict.judgement.estimate == pytest.approx(0.1)
        assert tiny.arms(one, store, NAME)["none"].rate == 1e-1

    def test_over_points_a_runs_score_is_its_mean_over_the_rates(self, tmp_path: Path):
        part = replace(PART, points=tuple({"lr": rate} for rate in RATES))
        one, store = asked(part), Store(tmp_path)
        tiny.fill(
            store,
            tiny.units([one], store),
            lambda unit: [level({1e-3: 0.0, 1e-2: 0.3, 1e-1: 0.9}[rate] + seed / 100)
                          for seed, rate in zip(unit.seeds, unit.rates)],
        )  # fmt: skip
        arm = tiny.assess(one, store).parts[0].arms["layer"]
        assert arm.seeds == tuple(range(8, 16))
        np.testing.assert_allclose(arm.scores, 0.4 + np.arange(8, 16) / 100)
        assert arm.rate is None


SUPERVISED = Effect(
    experiment=supervised_experiment(steps=dict.fromkeys(PRESETS, 3), **tiny.SETTINGS, lr=0.1),
    arms=ARMS,
    metric="accuracy",
    question=Question(asks="superior", treatment="layer", reference="none", margin=0.01, paired=True),
)


def luck(unit: Unit) -> np.ndarray:
    """What the seed of each member adds to its accuracy: far more than any arm does."""
    return np.array([0.3 * np.sin(seed) for seed in unit.seeds])


class TestPoints:
    part = replace(SUPERVISED, points=tuple({"batch": batch} for batch in (8, 16, 32)), summary="slope")

    def test_a_run_that_lacks_a_point_has_no_score(self, tmp_path: Path):
        one, store = asked(self.part, seeds=100), Store(tmp_path)
        planned = tiny.arms(one, store, NAME)
        first, second = [[run.places[point].unit for point in range(3)] for run in planned["none"].judge or ()][::99]
        assert first != second
        tiny.fill(store, [*first[:2], *second], lambda unit: [unit.settings["batch"] / 100] * len(unit.seeds))
        (part,) = tiny.assess(one, store).parts
        assert part.arms["none"].seeds == tuple(range(104, 108))
        assert part.arms["none"].scores == pytest.approx([0.12] * 4)
        assert part.arms["layer"].seeds == ()
        tiny.fill(store, first[2:], lambda unit: [0.5] * len(unit.seeds))
        assert tiny.assess(one, Store(tmp_path)).parts[0].arms["none"].seeds == tuple(range(8, 108))

    def test_a_run_has_diverged_where_it_has_at_any_point(self, tmp_path: Path):
        one, store = asked(self.part), Store(tmp_path)
        for unit in tiny.arms(one, store, NAME)["none"].units:
            lost = [unit.settings["batch"] == 32 and seed == 9 for seed in unit.seeds]
            row = {"step": 3, "loss": [0.0] * 8, "test_accuracy": [0.5] * 8, "train_accuracy": [0.5] * 8}
            store.write(unit, [{**row, "diverged": lost}], lambda: 0.0)
        arm = tiny.assess(one, store).parts[0].arms["none"]
        np.testing.assert_equal(arm.diverged, np.arange(8, 16) == 9)
        assert arm.scores == pytest.approx([0.0] + [(0.1 - 0.5) / 2] + [0.0] * 6)


def test_pairs_are_of_one_seed_wherever_it_stands(tmp_path: Path):
    """Seeds decide nearly all of a score: their own differences show what two means do not."""

    def accuracies(unit: Unit) -> list[float]:
        return list(0.5 + luck(unit) + 0.05 * (unit.settings["norm"] == "layer"))

    outcomes = {}
    for paired in (True, False):
        one = asked(replace(SUPERVISED, question=replace(SUPERVISED.question, paired=paired)), preset="full")
        store = Store(tmp_path / str(paired))
        tiny.fill(store, tiny.units([one], store), accuracies)
        outcomes[paired] = tiny.assess(one, store).parts[0].verdict.outcome
    assert outcomes == {True: "supported", False: "inconclusive"}


def test_the_second_score_comes_from_the_second_metric(tmp_path: Path):
    question, second = (
        replace(SUPERVISED.question, scale="standardized", paired=False, margin=0.5),
        "accuracy_reestimated",
    )
    one, store = asked(replace(SUPERVISED, question=question, second_metric=second)), Store(tmp_path)
    for unit in tiny.units([one], store):
        better = unit.settings["norm"] == "layer"
        rows = {"loss": [0.0] * 8, "diverged": [False] * 8, "step": 3}
        rows |= {"test_accuracy": tiny.spread(0.6 if better else 0.3, 0.1, 8)}
        rows |= {"test_accuracy_reestimated": tiny.spread(0.7 + 0.01 * better, 0.1, 8)}
        store.write(unit, [rows], lambda: 0.0)
    result = tiny.assess(one, store)
    (part,) = result.parts
    assert part.arms["layer"].second == pytest.approx(tiny.spread(0.71, 0.1, 8))
    assert part.verdict.outcome == "supported"
    deviation = np.std(tiny.spread(0, 0.1, 8))
    assert part.verdict.judgement.estimate == pytest.approx((0.3 - 0.01) / deviation)
    assert part.verdict.judgement.reason.startswith(
        "benefit of layer over none in test accuracy, less that in test accuracy with statistics taken anew, each in "
        "standard deviations, is +"
    )
    rows = list(csv.DictReader(io.StringIO(scores(result))))
    assert [float(row["second_score"]) for row in rows[8:]] == pytest.approx(tiny.spread(0.71, 0.1, 8))


def test_scores_are_a_table_of_every_judged_run(tmp_path: Path):
    one = asked()
    text = scores(tiny.assess(one, filled(tmp_path, one, none=0.4, layer=0.7)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 16
    assert {row["arm"] for row in rows} == {"none", "layer"}
    assert [int(row["seed"]) for row in rows[:8]] == list(range(8, 16))
    assert float(rows[8]["score"]) == pytest.approx(0.7, abs=0.011)
    assert tuple(rows[0]) == COLUMNS
    assert {(row["metric"], row["diverged"], row["rate"]) for row in rows} == {("return_auc", "0", "0.001")}


def test_older_rows_are_shown_with_the_settings_they_were_made_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = asked()
    filled(tmp_path, one, none=0.4, layer=0.7)
    monkeypatch.setattr("rlnorm.study.plan.unit.code_hash", lambda roots: "changed")
    assert tiny.assess(one, Store(tmp_path)).parts[0].verdict.outcome == "insufficient"
    result = tiny.assess(one, Store(tmp_path, any_version=True))
    assert result.parts[0].verdict.outcome == "supported"
    assert result.parts[0].arms["layer"].settings["norm"] == "layer"


class TestOverall:
    PARTS: ClassVar = {"one": PART, "two": PART, "long": replace(PART, presets=("full",))}

    def of(self, folder: Path, shares: dict[str, float], decisive: Sequence[str] = ("one", "two", "long")) -> str:
        """The overall verdict of a claim of three parts, at smoke."""
        parts = {name: replace(part, decisive=name in decisive) for name, part in self.PARTS.items()}
        one = tiny.request(parts, parts=("one",))
        return tiny.assess(one, filled(folder, one, **shares)).overall.outcome

    def test_parts_that_were_not_asked_for_leave_it_open(self, tmp_path: Path):
        assert self.of(tmp_path, {"none": 0.4, "layer": 0.7}) == "insufficient"

    def test_one_refuted_part_is_enough(self, tmp_path: Path):
        assert self.of(tmp_path, {"none": 0.5, "layer": 0.3}) == "refuted"

    def test_only_decisive_parts_are_needed(self, tmp_path: Path):
        assert self.of(tmp_path, {"none": 0.4, "layer": 0.7}, decisive=("one",)) == "supported"
        assert self.of(tmp_path / "x", {"none": 0.4, "layer": 0.7}, decisive=("one", "long")) == "supported"
        assert self.of(tmp_path / "y", {"none": 0.4, "layer": 0.7}, decisive=("two",)) == "insufficient"

    def test_groups_of_parts_have_verdicts_of_their_own(self, tmp_path: Path):
        def part(group: str, decisive: bool = False) -> Effect:
            return replace(PART, group=group, decisive=decisive)

        parts = {
            "A, fine": part("A", True),
            "A, long": replace(part("A"), presets=("full",)),
            "B, one": part("B", True),
            "B, two": part("B"),
            "alone, too": part(""),
            "not asked": part(""),
        }
        one = tiny.request(parts, parts=("A", "B, two", "alone, too"))
        overall = tiny.assess(one, filled(tmp_path, one, none=0.4, layer=0.7)).overall
        assert overall.judgement.details == OverallDetails(
            {"A": "supported", "B": "insufficient", "alone, too": "supported"}
        )
        assert overall.judgement.reason == "A: supported; B: insufficient; alone, too: supported."


@pytest.mark.parametrize(
    ("treatment", "reference", "said"),
    [
        (1e-2, 1e-2, ""),
        (1e-1, 1e-2, " (layer's best rate is the highest of the grid: a wider one may hold a better.)"),
        (
            1e-3,
            1e-1,
            " (layer's best rate is the lowest of the grid; none's best rate is the highest of the grid: "
            "a wider one may hold a better.)",
        ),
        (None, None, ""),
    ],
)
def test_a_best_rate_at_an_end_of_the_grid_is_told(treatment: float | None, reference: float | None, said: str):
    part = replace(PART, rates=RATES)
    arms = {
        name: ArmResult(name, {}, (), rate, np.zeros(0), np.zeros(0, dtype=bool), None, {})
        for name, rate in (("layer", treatment), ("none", reference))
    }
    assert at_the_edge(part, arms) == said


def test_runs_without_a_score_decide_nothing(tmp_path: Path):
    """No episode of theirs ended: where returns are negative, any number in their place could be the best."""
    part = replace(PART, experiment=dqn_experiment(steps=STEPS, env="Acrobot-v1", lr=1e-3), metric="plain_return_auc")
    one, store = asked(part), Store(tmp_path)
    for unit in tiny.units([one], store):
        lost = unit.settings["norm"] == "layer"
        rows = [{"step": 1, "return": [None if lost else -9.0] * 8, "diverged": [lost] * 8, "final_return": [-9.0] * 8}]
        store.write(unit, [{**row, "non_finite_rewards": 7 * lost} for row in rows], lambda: 0.0)
    (found,) = tiny.assess(one, store).parts
    assert found.verdict.outcome == "insufficient"
    said = (
        "Runs without a score: 8 of layer; nothing that is scored came about in them. The environment itself gave "
        "rewards that are no numbers in 7 of 1000 random steps: runs diverged by that."
    )
    assert found.verdict.judgement.reason == said
