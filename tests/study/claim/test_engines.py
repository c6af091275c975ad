"""Which engine runs an arm: the experiment's, the arm's own, or the one that was asked for."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import tiny

from rlnorm.errors import ConfigError
from rlnorm.study.claim import PRESETS, Effect, Question, dqn_experiment
from rlnorm.study.claim.engines import DQN_ENGINES, TRAINING
from rlnorm.study.claim.load import by_path
from rlnorm.study.plan import Request, unit
from rlnorm.study.plan.sources import module_file
from rlnorm.study.run import Store
from rlnorm.study.run.history import asked_before, remember

EXPERIMENT = dqn_experiment(
    steps=dict.fromkeys(PRESETS, 2_000), env="CartPole-v1", starts=100, lr=1e-3, loss="huber", clip=10.0
)
PART = Effect(
    experiment=EXPERIMENT,
    arms={"none": {}, "layer": {"norm": "layer"}},
    metric="return_auc",
    question=Question(asks="superior", treatment="layer", reference="none", margin=0.05),
)


def asked(part: Effect = PART, **more: Any) -> Request:
    return tiny.request({"part": part}, **more)


def test_every_engine_has_code_and_takes_its_own_settings():
    assert all(module_file(engine.module) for engine in TRAINING.values())
    assert set(DQN_ENGINES) < set(TRAINING)
    for engine in TRAINING.values():
        assert {"seeds", "rates", "steps"} <= {field.name for field in fields(engine.settings)}


def test_asked_for_it_runs_every_arm_one_seed_a_unit(tmp_path: Path):
    planned = tiny.units([asked(engine="sb3")], Store(tmp_path))
    assert {unit.engine for unit in planned} == {"sb3"}
    assert [unit.seeds for unit in planned] == [(seed,) for _ in PART.arms for seed in range(8, 16)]
    assert planned[0].label == "made-up, part: none, seed 8"
    assert {unit.settings["compile"] for unit in planned} == {False}
    own = tiny.units([asked()], Store(tmp_path))
    assert {unit.engine for unit in own} == {"dqn"}
    assert not {unit.id for unit in own} & {unit.id for unit in planned}


def test_an_arm_may_name_its_own(tmp_path: Path):
    part = replace(PART, arms={"none": {"engine": "sb3"}, "layer": {"norm": "layer"}})
    planned = tiny.units([asked(part)], Store(tmp_path))
    assert {(unit.engine, unit.settings["norm"]) for unit in planned} == {("sb3", "none"), ("dqn", "layer")}
    assert list(asked(part).errors()) == []


def test_the_verdict_is_judged_from_its_rows(tmp_path: Path):
    one, store = asked(engine="sb3"), Store(tmp_path)
    for each in tiny.units([one], store):
        value = 400.0 + each.seeds[0] if each.settings["norm"] == "layer" else 200.0 + each.seeds[0]
        row = {"step": 1, "return": [value], "diverged": [False], "final_return": [value]}
        store.write(each, [row], lambda: 0.0)
    (part,) = tiny.assess(one, store).parts
    assert part.verdict.outcome == "supported"
    assert part.arms["layer"].final is not None
    assert part.arms["layer"].seeds == tuple(range(8, 16))
    assert one.command == "rlnorm run made-up --preset smoke --engine sb3"


def test_an_arm_it_cannot_express_is_refused_by_name():
    part = replace(PART, arms={"none": {}, "layer": {"norm": "layer", "loss": "squared", "double": True}})
    assert list(asked(part).errors()) == []
    assert list(asked(part, engine="sb3").errors()) == [
        "made-up: arm layer: stable-baselines3 knows loss 'huber' only, got 'squared'.",
        "made-up: arm layer: stable-baselines3 knows double False only, got True.",
    ]


def test_a_claim_without_dqn_agents_is_refused(tmp_path: Path):
    one = Request(by_path(tiny.effect(tmp_path)), "smoke", engine="sb3")
    assert list(one.errors()) == ["tiny has no part that trains DQN agents, so none that engine 'sb3' could run."]
    assert list(asked(engine="sb2").errors()) == [
        "unknown engine 'sb2'. Did you mean 'sb3'? Expected one of: dqn, sb3."
    ]


def test_a_metric_that_its_records_cannot_give_is_refused():
    part = replace(PART, metric="dormant")
    assert list(asked(part).errors()) == []
    assert list(asked(part, engine="sb3").errors()) == [
        "made-up: metric 'dormant' is made of the probe 'dormant', and engine 'sb3' records no probes."
    ]
    (wrong,) = asked(replace(PART, metric="dormnat")).errors()
    assert wrong.startswith("made-up: part 'part': unknown metric 'dormnat'. Did you mean 'dormant'?")


def test_engines_say_whether_they_record_probes():
    taking = {name for name, engine in TRAINING.items() if engine.probes}
    assert taking == {"dqn", "supervised"}
    assert all("probes" in {field.name for field in fields(TRAINING[name].settings)} for name in taking)


def test_it_is_remembered(tmp_path: Path):
    one = asked(engine="sb3")
    remember([one], tmp_path)
    (again,), lost = asked_before(tmp_path, {"made-up": one.file})
    assert (again, lost) == (one, [])
    remember([asked()], tmp_path)
    assert asked_before(tmp_path, {"made-up": one.file})[0] == [asked()]


def test_ids_depend_on_its_libraries_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ids = []
    for version in ("1.0", "2.0"):
        monkeypatch.setattr(unit.metadata, "version", lambda library, version=version: version)
        unit.library_version.cache_clear()
        ids.append({engine: tiny.units([asked(engine=engine)], Store(tmp_path))[0].id for engine in DQN_ENGINES})
    assert ids[0]["dqn"] == ids[1]["dqn"]
    assert ids[0]["sb3"] != ids[1]["sb3"]


def test_the_command_line_names_it(tmp_path: Path):
    from rlnorm.cli import run

    with pytest.raises(ConfigError) as error:
        run(("dqn-ln",), engine="sb3", out=tmp_path / "out")
    assert "dqn-ln: stable-baselines3 knows loss 'huber' only, got 'squared'." in error.value.sentences
    assert not (tmp_path / "out").exists()
