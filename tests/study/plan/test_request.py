"""What was asked: which parts it chooses, how it is asked again, and what can be wrong with it."""

from dataclasses import replace
from pathlib import Path

import tiny

from rlnorm.study.claim import PRESETS, Effect, Exact, Question, dqn_experiment
from rlnorm.study.claim.load import named, shipped
from rlnorm.study.plan import Request
from rlnorm.study.plan.request import compared
from rlnorm.study.run import Store

PART = Effect(
    experiment=dqn_experiment(steps=dict.fromkeys(PRESETS, 2_000), env="CartPole-v1", starts=100, lr=1e-3),
    arms={"none": {}, "layer": {"norm": "layer"}},
    metric="return_auc",
    question=Question(asks="superior", treatment="layer", reference="none", margin=0.05),
)
EXACT = Exact(statement="a = b", formula=lambda c: 0, truth=lambda c: 0, draw=lambda rng: {}, scale=lambda c: 1)


def request(part: Effect = PART, **more) -> Request:
    return tiny.request({"CartPole-v1, common rate": part}, **more)


class TestParts:
    parts = {  # noqa: RUF012
        "CartPole-v1, common rate": replace(PART, group="CartPole-v1"),
        "CartPole-v1, own best rate": replace(PART, group="CartPole-v1"),
        "Acrobot-v1, common rate": replace(PART, group="Acrobot-v1"),
    }

    def test_a_group_is_chosen_by_its_name(self):
        one = tiny.request(self.parts)
        assert list(replace(one, parts=("CartPole-v1",)).chosen()) == list(self.parts)[:2]
        assert list(replace(one, parts=("Acrobot-v1, common rate",)).chosen()) == list(self.parts)[2:]
        assert list(one.chosen()) == list(self.parts)

    def test_those_of_one_kind_are_chosen_where_one_of_them_decides(self):
        one = tiny.request({"algebra": EXACT, "training": PART})
        of_exact, of_effect = one.of_kind("exact"), one.of_kind("effect")
        assert of_exact is not None
        assert of_effect is not None
        assert (of_exact.parts, of_effect.parts) == (("algebra",), ("training",))
        assert one.of_kind("cost") is None
        beside = tiny.request({"algebra": replace(EXACT, decisive=False), "training": PART})
        assert beside.of_kind("exact") is None
        alone = request()
        assert alone.of_kind("effect") is alone


def test_the_command_says_how_to_run_it_again():
    one = request(parts=("CartPole-v1, common rate",), seeds=24)
    assert one.command == "rlnorm run made-up --preset smoke --part 'CartPole-v1, common rate' --seeds 24"


class TestEnvironments:
    def test_are_a_setting_of_all_dqn_arms_of_units_and_of_the_command(self):
        one = tiny.request({"training": PART, "algebra": EXACT}, environments="envpool")
        assert list(one.chosen()) == ["training"]
        units = [unit for arm in tiny.arms(one, Store(Path()), "training").values() for unit in arm.units]
        assert {unit.settings["environments"] for unit in units} == {"envpool"}
        assert one.command == "rlnorm run made-up --preset smoke --environments envpool"
        assert one.libraries() == {"envpool"}
        assert request().libraries() == set()
        told = compared("CartPole-v1", ["none", "layer"], 8, 2_000, environments="gymnasium")
        assert told.command.endswith("--steps 2000 --environments gymnasium")
        assert "environments" not in compared("CartPole-v1", ["none", "layer"], 8, 2_000).command

    def test_that_the_library_lacks_stay_with_their_own_beside_some_that_it_has(self):
        lacking = PART.given(env="Drift-v0")
        there = PART.given(environments="envpool")
        both = tiny.request({"here": PART, "elsewhere": lacking}, environments="envpool").chosen()
        assert both == {"here": there, "elsewhere": lacking}
        alone = tiny.request({"elsewhere": lacking}, environments="envpool").chosen()
        assert alone == {"elsewhere": lacking.given(environments="envpool")}

    def test_that_cannot_be_had_are_refused_before_anything_runs(self, monkeypatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert list(request(environments="envpool").errors()) == [
            "made-up: environments 'envpool' needs EnvPool, which is not installed: pip install 'rlnorm[envpool]'."
        ]
        (no_agents,) = Request(named(["bn-ema"], shipped())[0], "full", environments="envpool").errors()
        assert no_agents == "bn-ema has no part that trains DQN agents, so none that 'envpool' could step."


class TestErrors:
    def test_a_claim_without_a_part_at_the_preset(self):
        assert list(request(replace(PART, presets=("full",))).errors()) == [
            "made-up has no part that is run at preset 'smoke'."
        ]
        assert list(request(replace(PART, presets=("full",)), preset="full").errors()) == []

    def test_settings_that_the_engine_does_not_take(self):
        wrong = replace(PART, arms={"none": {}, "layer": {"norm": "lyer", "batch": 0}})
        found = list(request(wrong).errors())
        assert len(found) >= 2
        assert all(sentence.startswith("made-up: arm layer: ") for sentence in found)

    def test_a_declaration_that_breaks_the_rules(self):
        wrong = replace(PART, question=replace(PART.question, treatment="lyer", margin=-1.0))
        treatment, unasked, margin = request(wrong).errors()
        assert "the treatment is no arm: unknown arm 'lyer'. Did you mean 'layer'?" in treatment
        assert "'layer' would be run for nothing" in unasked
        assert "the margin of a difference is at least 0, got -1" in margin


class TestAShortPresetThatIsAsLongAsFull:
    LONG = replace(PART, experiment=replace(PART.experiment, steps={"smoke": 10, "quick": 2_000, "full": 2_000}))

    def test_is_full_for_its_parts_and_the_claim(self):
        quick = tiny.request({"long": self.LONG}, preset="quick")
        assert (quick.reaches(self.LONG), quick.overall_preset) == ("full", "full")
        smoke = tiny.request({"long": self.LONG}, preset="smoke")
        assert (smoke.reaches(self.LONG), smoke.overall_preset) == ("smoke", "smoke")

    def test_is_not_with_fewer_seeds(self):
        few = tiny.request({"long": self.LONG}, preset="quick", seeds=8)
        assert (few.reaches(self.LONG), few.overall_preset) == ("quick", "quick")

    def test_nor_for_a_claim_of_which_parts_are_longer_or_missing(self):
        shorter = replace(
            self.LONG, experiment=replace(PART.experiment, steps={"smoke": 10, "quick": 20, "full": 2_000})
        )
        only_full = replace(self.LONG, presets=("full",))
        for other in (shorter, only_full):
            assert tiny.request({"long": self.LONG, "other": other}, preset="quick").overall_preset == "quick"
            beside = replace(other, decisive=False)
            assert tiny.request({"long": self.LONG, "beside": beside}, preset="quick").overall_preset == "full"


def test_fresh_seeds_are_those_after_the_ones_that_were_looked_at():
    claim = shipped()["dqn-ln"]
    first, more = Request(claim, "quick"), Request(claim, "quick", seeds=32, after=16)
    (part,), (fresh,) = first.chosen().values(), more.chosen().values()
    assert isinstance(part, Effect)
    assert isinstance(fresh, Effect)
    assert fresh.judged_from == part.judged_from + 16
    assert replace(fresh, judged_from=part.judged_from) == part
    assert more.command == "rlnorm run dqn-ln --preset quick --seeds 32 --after 16"
    assert next(Request(claim, "quick", after=-1).errors()) == "--after must be at least 0, got -1."
