"""From rows to verdicts, on rows made up for it."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tiny

from rlnorm.study import plan
from rlnorm.study.assess import Asked, assess, best_rate, needs, scores_csv, setting_errors, units
from rlnorm.study.claim import DQN, PRESETS, Arm, Claim, Effect, Supervised
from rlnorm.study.discover import Found
from rlnorm.study.exact import Exact
from rlnorm.study.judge import Question
from rlnorm.study.store import Store

STEPS = dict.fromkeys(PRESETS, 2_000)
EXPERIMENT = DQN(steps=STEPS, env="CartPole-v1", starts=100, lr=1e-3)
ARMS = {"none": Arm(), "layer": Arm(norm="layer")}
PART = Effect(EXPERIMENT, ARMS, "return_auc", Question("superior", "layer", "none", 0.05))
RATES = (1e-3, 1e-2, 1e-1)


def asked(part: Effect = PART, **more: object) -> Asked:
    claim = Claim("LayerNorm is better.", "nowhere", (), {"CartPole-v1, common rate": part})
    return replace(Asked(Found("made-up", claim, None), "smoke"), **more)


def level(share: float) -> float:
    """The return that stands for a share of the way from random to solved."""
    return 22.3 + share * (475.0 - 22.3)


def filled(folder: Path, one: Asked, **shares: float) -> Store:
    """A store in which every run of an arm scores its share, give or take 0.01."""
    store = Store(folder)
    tiny.fill(
        store,
        [unit for unit in units([one], store) if not store.finished(unit)],
        lambda unit: tiny.spread(level(shares[unit.settings["norm"]]), 4.5, len(unit.seeds)),
    )
    return store


class TestVerdict:
    def test_comes_from_the_scores_of_the_arms(self, tmp_path: Path):
        one = asked()
        result = assess(one, filled(tmp_path, one, none=0.4, layer=0.7))
        (part,) = result.parts
        assert part.verdict.verdict == result.overall.verdict == "supported"
        assert part.verdict.estimate == pytest.approx(0.3)
        assert (part.verdict.n, part.verdict.diverged) == (8, 0)
        assert (part.verdict.margin, part.verdict.preset, part.verdict.steps) == (0.05, "smoke", 2_000)
        assert part.arms["layer"].scores.mean() == pytest.approx(0.7)
        assert part.arms["layer"].final == pytest.approx(tiny.spread(level(0.7), 4.5, 8))
        assert part.arms["layer"].settings["norm"] == "layer"
        assert part.arms["layer"].seeds == tuple(range(8, 16))
        assert set(part.units) == {unit.id for unit in units([one], Store(tmp_path))}

    def test_turns_with_the_scores(self, tmp_path: Path):
        one = asked()
        store = filled(tmp_path, one, none=0.7, layer=0.4)
        assert assess(one, store).parts[0].verdict.verdict == "refuted"

    def test_of_rows_that_are_missing_is_insufficient(self, tmp_path: Path):
        (part,) = assess(asked(), Store(tmp_path)).parts
        assert part.verdict.verdict == "insufficient"
        assert part.verdict.estimate is None
        assert len(part.arms["none"].scores) == 0

    def test_overall_follows_the_claims_rule(self, tmp_path: Path):
        one = asked()
        worse = replace(PART, question=Question("superior", "none", "layer", 0.05))
        for rule, expected in (("all", "refuted"), ("any", "supported")):
            claim = replace(one.claim, parts={"a": PART, "b": worse}, overall=rule)
            both = replace(one, found=replace(one.found, claim=claim))
            result = assess(both, filled(tmp_path, both, none=0.4, layer=0.7))
            assert [part.verdict.verdict for part in result.parts] == ["supported", "refuted"]
            assert (result.overall.verdict, result.overall.part) == (expected, "overall")

    def test_diverged_runs_count_at_random_and_their_curves_end(self, tmp_path: Path):
        one, store = asked(), Store(tmp_path)
        for unit in units([one], store):
            flags = [unit.settings["norm"] == "layer" and seed < 10 for seed in unit.seeds]
            rows = [
                {"step": step, "return": [level(0.5)] * 8, "loss": [0.1] * 8, "diverged": now}
                for step, now in ((1, [False] * 8), (2, flags))
            ]
            store.write(unit, [*rows[:-1], {**rows[-1], "final_return": [level(0.5)] * 8}], lambda: 0.0)
        (part,) = assess(one, store).parts
        layer = part.arms["layer"]
        np.testing.assert_equal(layer.diverged, [True, True, *[False] * 6])
        np.testing.assert_allclose(layer.scores, [0.25, 0.25, *[0.5] * 6])
        assert layer.final is not None
        np.testing.assert_allclose(layer.final[:3], [22.3, 22.3, level(0.5)])
        assert part.verdict.diverged == pytest.approx(2 / 16)
        np.testing.assert_equal(np.isnan(layer.curves["loss"].values[:, 1]), layer.diverged)
        assert not layer.probes

    def test_probes_are_curves_of_the_records_that_hold_them(self, tmp_path: Path):
        one, store = asked(), Store(tmp_path)
        for unit in units([one], store):
            rows = [{"step": step, "return": [level(0.5)] * 8, "diverged": [False] * 8} for step in (1, 2, 3, 4)]
            rows[1]["probes"] = {"norm1": {"mean_gap": list(range(8))}}
            rows[3]["probes"] = {"norm1": {"mean_gap": [None] * 8, "mean_drift": [0.5] * 8}}
            store.write(unit, [*rows[:-1], {**rows[-1], "final_return": [level(0.5)] * 8}], lambda: 0.0)
        probes = assess(one, store).parts[0].arms["layer"].probes
        assert {tag: curve.steps.tolist() for tag, curve in probes.items()} == {
            "norm/norm1/mean_gap": [2, 4],
            "norm/norm1/mean_drift": [4],
        }
        gaps = probes["norm/norm1/mean_gap"].values
        np.testing.assert_equal(gaps, [[i % 8, np.nan] for i in range(len(gaps))])


class TestRates:
    part = replace(PART, rates=RATES)

    def choose(self, folder: Path, scores: dict[float, float]) -> float:
        store, one = Store(folder), asked(self.part)
        select = needs(one, "part", self.part, store)["none"].select
        tiny.fill(store, select[1:], lambda unit: [level(scores[rate]) for rate in unit.rates])
        assert needs(one, "part", self.part, store)["none"].rate is None
        tiny.fill(store, select[:1], lambda unit: [level(scores[rate]) for rate in unit.rates])
        return best_rate(self.part, select, store)

    @pytest.mark.parametrize(
        ("scores", "best"),
        [((0.2, 0.6, 0.4), 1e-2), ((0.6, 0.5, 0.4), 1e-3), ((0.1, 0.2, 0.4), 1e-1), ((0.1, 0.4, 0.4), 1e-2)],
    )
    def test_the_best_mean_is_chosen_the_lower_of_equals(self, tmp_path: Path, scores: tuple[float, ...], best: float):
        assert self.choose(tmp_path, dict(zip(RATES, scores))) == best

    def test_fewer_is_better_where_the_metric_says_so(self, tmp_path: Path):
        settings = {**tiny.SETTINGS, "lr": 0.1}
        part = Effect(
            Supervised(steps=dict.fromkeys(PRESETS, 3), **settings), {"none": Arm()}, "updates_to_90",
            Question("superior", "none", "none", 1.25, "ratio"), rates=RATES,
        )  # fmt: skip
        store, one = Store(tmp_path), asked(part)
        select = needs(one, "part", part, store)["none"].select
        tiny.fill(store, select, lambda unit: [0.95 if rate == 1e-2 else 0.5 for rate in unit.rates])
        assert best_rate(part, select, store) == 1e-2

    def test_two_rounds_and_the_fresh_seeds_are_judged(self, tmp_path: Path):
        one, store = asked(self.part), Store(tmp_path)
        first = units([one], store)
        assert {unit.seeds for unit in first} == {tuple(np.repeat(range(5), 3)), tuple(np.repeat(range(5, 8), 3))}
        tiny.fill(
            store,
            first,
            lambda unit: [level(0.9 if rate == (1e-2 if unit.settings["norm"] == "layer" else 1e-1) else 0.1)
                          for rate in unit.rates],
        )  # fmt: skip
        assert assess(one, store).parts[0].verdict.verdict == "insufficient"
        second = [unit for unit in units([one], store) if unit.id not in {u.id for u in first}]
        assert {(unit.settings["norm"], unit.rates[0], unit.seeds[0]) for unit in second} == {
            ("none", 1e-1, 8),
            ("layer", 1e-2, 8),
        }
        filled(tmp_path, one, none=0.4, layer=0.5)
        (part,) = assess(one, store := Store(tmp_path)).parts
        assert (part.arms["none"].rate, part.arms["layer"].rate) == (1e-1, 1e-2)
        assert part.verdict.estimate == pytest.approx(0.1)
        assert needs(one, part.name, self.part, store)["none"].rate == 1e-1

    def test_over_a_grid_a_runs_score_is_its_mean_over_the_rates(self, tmp_path: Path):
        part = replace(PART, rates=RATES, grid=True)
        one, store = asked(part), Store(tmp_path)
        tiny.fill(
            store,
            units([one], store),
            lambda unit: [level({1e-3: 0.0, 1e-2: 0.3, 1e-1: 0.9}[rate] + seed / 100)
                          for seed, rate in zip(unit.seeds, unit.rates)],
        )  # fmt: skip
        arm = assess(one, store).parts[0].arms["layer"]
        assert arm.seeds == tuple(range(8, 16))
        np.testing.assert_allclose(arm.scores, 0.4 + np.arange(8, 16) / 100)
        assert arm.rate is None


class TestAsked:
    def test_a_group_of_parts_is_chosen_by_its_name(self):
        parts = dict.fromkeys(
            ("CartPole-v1, common rate", "CartPole-v1, own best rate", "Acrobot-v1, common rate"), PART
        )
        one = asked()
        one = replace(one, found=replace(one.found, claim=replace(one.claim, parts=parts)))
        assert list(replace(one, parts=("CartPole-v1",)).chosen()) == list(parts)[:2]
        assert list(replace(one, parts=("Acrobot-v1, common rate",)).chosen()) == list(parts)[2:]
        assert list(one.chosen()) == list(parts)

    def test_the_command_says_how_to_run_it_again(self):
        one = asked(parts=("CartPole-v1, common rate",), seeds=24)
        assert one.command == "rlnorm run made-up --preset smoke --part 'CartPole-v1, common rate' --seeds 24"

    def test_a_claim_without_a_part_at_the_preset_is_an_error(self):
        assert list(asked(replace(PART, presets=("full",))).errors()) == [
            "made-up has no part that is run at preset 'smoke'."
        ]
        assert list(asked(replace(PART, presets=("full",)), preset="full").errors()) == []

    def test_what_the_engine_does_not_take_is_an_error_before_anything_runs(self):
        wrong = replace(PART, arms={"none": Arm(), "layer": Arm(norm="lyer", batch=0)})
        assert len(list(asked(wrong).errors())) >= 2
        assert all(sentence.startswith("made-up: arm layer: ") for sentence in asked(wrong).errors())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"norm": "lyer"}, "unknown norm 'lyer'"),
        ({"no_such_setting": 1}, "unexpected keyword argument 'no_such_setting'"),
        ({"lr": -1.0}, "learning rates must be positive"),
        ({"env": "CartPole-v9"}, "unknown environment"),
    ],
)
def test_settings_are_held_against_the_engine(settings: dict[str, object], said: str):
    good = {"env": "CartPole-v1", "starts": 100, "lr": 1e-3}
    assert list(setting_errors(DQN(steps=STEPS, **good), ARMS, 2_000)) == []
    found = list(setting_errors(DQN(steps=STEPS, **good), {"none": Arm(), "other": Arm(**settings)}, 2_000))
    assert said in found[0]
    assert found[0].startswith("arm other: ")
    everywhere = list(setting_errors(DQN(steps=STEPS, **{**good, **settings}), {"none": Arm(), "other": Arm()}, 2_000))
    assert len(everywhere) == len(found)
    assert not everywhere[0].startswith("arm ")


def test_an_experiment_without_a_rate_is_an_error():
    (found,) = setting_errors(DQN(steps=STEPS, env="CartPole-v1"), {"none": Arm()}, 20_000)
    assert "no learning rate is set" in found


def test_scores_are_a_table_of_every_judged_run(tmp_path: Path):
    one = asked()
    text = scores_csv(assess(one, filled(tmp_path, one, none=0.4, layer=0.7)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 16
    assert {row["arm"] for row in rows} == {"none", "layer"}
    assert [int(row["seed"]) for row in rows[:8]] == list(range(8, 16))
    assert float(rows[8]["score"]) == pytest.approx(0.7, abs=0.011)
    assert set(rows[0]) == {"part", "arm", "seed", "rate", "metric", "score", "diverged", "final_return"}
    assert {(row["metric"], row["diverged"], row["rate"]) for row in rows} == {("return_auc", "0", "0.001")}


def test_older_rows_are_shown_with_the_settings_they_were_made_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = asked()
    filled(tmp_path, one, none=0.4, layer=0.7)
    monkeypatch.setattr(plan, "source_hash", lambda engine, files: "changed")
    assert assess(one, Store(tmp_path)).parts[0].verdict.verdict == "insufficient"
    result = assess(one, Store(tmp_path, any_version=True))
    assert result.parts[0].verdict.verdict == "supported"
    assert result.parts[0].arms["layer"].settings["norm"] == "layer"


def test_a_rate_of_an_arms_own_has_no_place_beside_rates(tmp_path: Path):
    arms = {**PART.arms, "slow": Arm(lr=1e-4)}
    assert list(asked(replace(PART, arms=arms)).errors()) == []
    (found,) = asked(replace(PART, arms=arms, rates=RATES)).errors()
    assert "arm slow sets lr" in found


def test_a_norm_file_that_is_gone_is_an_error_and_not_a_crash(tmp_path: Path):
    arms = {"none": Arm(), "mine": Arm(norm=str(tmp_path / "mine.py"))}
    (found,) = setting_errors(EXPERIMENT, arms, 2_000)
    assert found.startswith("arm mine: no norm file at")


class TestOverall:
    PARTS: ClassVar = {"one": PART, "two": PART, "long": replace(PART, presets=("full",))}

    def of(self, folder: Path, shares: dict[str, float], **changes: object) -> str:
        """The overall verdict of a claim of three parts, at smoke."""
        one = asked()
        claim = replace(one.claim, parts=self.PARTS, **changes)
        one = replace(one, found=replace(one.found, claim=claim), parts=("one",))
        return assess(one, filled(folder, one, **shares)).overall.verdict

    def test_parts_that_were_not_asked_for_leave_it_open(self, tmp_path: Path):
        assert self.of(tmp_path, {"none": 0.4, "layer": 0.7}) == "insufficient"

    def test_one_refuted_part_is_enough(self, tmp_path: Path):
        assert self.of(tmp_path, {"none": 0.5, "layer": 0.3}) == "refuted"

    def test_only_decisive_parts_are_needed(self, tmp_path: Path):
        assert self.of(tmp_path, {"none": 0.4, "layer": 0.7}, decisive=("one",)) == "supported"
        assert self.of(tmp_path / "x", {"none": 0.4, "layer": 0.7}, decisive=("one", "long")) == "supported"
        assert self.of(tmp_path / "y", {"none": 0.4, "layer": 0.7}, decisive=("two",)) == "insufficient"

    def test_groups_of_parts_have_verdicts_of_their_own(self, tmp_path: Path):
        one = asked()
        parts = {"A, fine": PART, "A, long": replace(PART, presets=("full",)), "B, one": PART, "B, two": PART}
        claim = replace(one.claim, parts={**parts, "alone, too": PART}, decisive=("A, fine", "B, one"))
        one = replace(one, found=replace(one.found, claim=claim), parts=("A", "B, two", "alone"))
        overall = assess(one, filled(tmp_path, one, none=0.4, layer=0.7)).overall
        assert overall.details["groups"] == {"A, fine": "supported", "B": "insufficient", "alone, too": "supported"}
        assert overall.reason == "A, fine: supported; B: insufficient; alone, too: supported."

    def test_the_parts_of_one_kind_are_chosen_by_it(self):
        exact = Exact("a = b", lambda case: 0, lambda case: 0, lambda rng: {}, lambda case: 1)
        one = asked()
        mixed = replace(one.found, claim=replace(one.claim, parts={"algebra": exact, "training": PART}))
        of_exact, of_effect = (replace(one, found=mixed).of_kind(kind) for kind in ("exact", "effect"))
        assert of_exact is not None
        assert of_effect is not None
        assert (of_exact.parts, of_effect.parts) == (("algebra",), ("training",))
        assert replace(one, found=mixed).of_kind("cost") is None
        assert one.of_kind("effect") is one
        filed = replace(mixed, claim=replace(mixed.claim, filed_as="cost"))
        as_cost = replace(one, found=filed).of_kind("cost")
        assert as_cost is not None
        assert as_cost.parts == ("algebra",)
        assert replace(one, found=filed).of_kind("exact") is None
