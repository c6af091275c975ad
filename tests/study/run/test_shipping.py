"""What a cluster's machines get of a study, and that a unit is there the unit that was planned."""

import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import tiny

from rlnorm import compiling
from rlnorm.study.claim import Effect, Question, dqn_experiment
from rlnorm.study.claim.load import by_path, shipped
from rlnorm.study.plan import Request, Unit
from rlnorm.study.run import Store
from rlnorm.study.run.remote import Chunk, differences, sent
from rlnorm.study.run.shipping import Shipment, found_in, lay_out
from rlnorm.study.run.worker import Outcome, records

NORM = "import shipped_helper\nfrom rlnorm.nn.layer import NORM\n"
WORK = """
import shipped_helper

def fine(case):
    return shipped_helper.ZERO

def wrong(case):
    raise ValueError("no such thing")
"""
STROLL = """
import gymnasium as gym
import shipped_steps

gym.register("Stroll-v0", "gymnasium.envs.classic_control:CartPoleEnv", max_episode_steps=shipped_steps.MOST)
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Request]]:
    """A claim by path that imports from beside it, one with such a norm, and an environment of the current folder."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    (home / "shipped_helper.py").write_text("ZERO = 0.0\n")
    (home / "own_norm.py").write_text(NORM)
    (home / "unused.py").write_text("")
    (here / "shipped_stroll.py").write_text(STROLL)
    (here / "shipped_steps.py").write_text("MOST = 7\n")
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [*sys.path, str(home)])
    work, effect = tiny.own(home, WORK, ["fine", "wrong"], name="shipped_work"), tiny.effect(home, "shipped_effect")
    effect.write_text(effect.read_text().replace('{"norm": "layer"}', f'{{"norm": {str(home / "own_norm.py")!r}}}'))
    strolls = Effect(
        experiment=dqn_experiment(
            steps=dict.fromkeys(("smoke", "quick", "full"), 2_000), env="shipped_stroll:Stroll-v0", lr=1e-3
        ),
        arms={"none": {"norm": "none"}, "layer": {"norm": "layer"}},
        metric="return_auc",
        question=Question(asks="superior", treatment="layer", reference="none", margin=0.01),
    )
    yield [Request(by_path(work), "smoke"), Request(by_path(effect), "smoke"), tiny.request({"strolls": strolls})]
    gym.registry.pop("Stroll-v0", None)
    for name in [name for name in sys.modules if "shipped_" in name]:
        del sys.modules[name]


@pytest.fixture
def units(asked: list[Request], tmp_path: Path) -> list[Unit]:
    return tiny.units(asked, Store(tmp_path / "nowhere"))


@pytest.fixture
def shipment(asked: list[Request], tmp_path: Path) -> Shipment:
    (tmp_path / "laid out").mkdir()
    return lay_out(asked, tmp_path / "laid out")


def test_holds_the_package_and_what_was_given_and_nothing_else(shipment: Shipment):
    files = {path.relative_to(shipment.folder).as_posix() for path in shipment.folder.rglob("*") if path.is_file()}
    package = {name for name in files if name.startswith("rlnorm/")}
    assert {"rlnorm/__init__.py", "rlnorm/study/run/remote.py", "rlnorm/claims/bn_forward.py"} <= package
    assert not [name for name in files if "__pycache__" in name]
    given = {"shipped_work.py", "shipped_effect.py", "own_norm.py", "shipped_helper.py"}
    assert files - package == {*(f"given/0/{name}" for name in given), "shipped_stroll.py", "shipped_steps.py"}


def test_a_unit_is_there_the_one_that_was_planned(shipment: Shipment, units: list[Unit]):
    assert {unit.engine for unit in units} == {"exact", "supervised", "dqn"}
    for unit in units:
        there = found_in(shipment.folder, pickle.loads(pickle.dumps(shipment.relative(unit))))
        assert there.id == unit.id
        assert all(path.is_relative_to(shipment.folder) and path.is_file() for path in there.files)
        assert differences(there, unit.header()) == []
    assert sum(bool(unit.files) for unit in units) == 3


def test_a_claim_of_ours_is_that_of_the_package_there(shipment: Shipment, tmp_path: Path):
    (unit, *_) = tiny.units([Request(shipped()["bn-forward"], "smoke")], Store(tmp_path / "nowhere"))
    assert shipment.relative(unit).files == (Path("rlnorm/claims/bn_forward.py"),)


def test_a_unit_sends_that_it_begins_then_its_records(
    shipment: Shipment, units: list[Unit], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(shipment.folder)
    for unit in units[0], next(unit for unit in units if unit.engine == "supervised" and unit.files):
        begins, *chunks = sent(pickle.dumps(shipment.relative(unit)), unit.header())
        assert begins == Chunk((), 0.0, 0)
        assert all(isinstance(chunk, Chunk) for chunk in chunks)
        assert [chunk.last for chunk in chunks if isinstance(chunk, Chunk)] == [*[False] * (len(chunks) - 1), True]
        came = [record for chunk in chunks if isinstance(chunk, Chunk) for record in chunk.records]
        assert came == list(records(unit))
        assert isinstance(chunks[-1], Chunk)
        assert chunks[-1].seconds > 0
        assert 10e6 < chunks[-1].memory < 100e9


def test_a_unit_whose_own_code_fails_sends_the_reason(
    shipment: Shipment, units: list[Unit], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(shipment.folder)
    unit = next(unit for unit in units if unit.settings.get("part") == "wrong")
    _, failed = sent(pickle.dumps(shipment.relative(unit)), unit.header())
    assert isinstance(failed, Outcome)
    assert (failed.how, failed.reason) == ("failed", "ValueError: no such thing")
    assert "in wrong\n" in failed.traceback


class TestAnotherMachine:
    def said(self, planned: Unit, **changes: Any) -> list[str]:
        return differences(planned, {**planned.header(), **changes})

    def test_with_other_versions_says_which(self, units: list[Unit]):
        own: Any = units[0].header()["versions"]
        assert self.said(units[0], versions={**own, "torch": "2.99.0", "python": "3.99.1"}) == [
            f"it has python {own['python']}, and 3.99.1 is expected",
            f"it has torch {own['torch']}, and 2.99.0 is expected",
        ]

    def test_with_other_code_says_so(self, units: list[Unit]):
        (said,) = self.said(units[0], sources="another")
        assert said == "it has another version of the code that a unit runs, rlnorm's or a file's that was given"
        strolls = next(unit for unit in units if unit.engine == "dqn")
        (said,) = self.said(strolls, environment={"shipped_stroll": "another"})
        assert said == "it has another version of the environment 'shipped_stroll:Stroll-v0'"
        assert self.said(units[0], unit="another") == ["it would not do the unit that was planned"]

    def test_without_a_compiler_does_no_compiled_unit(self, monkeypatch: pytest.MonkeyPatch):
        unit = tiny.unit()
        unit = replace(unit, settings={**unit.settings, "compile": True})
        monkeypatch.setattr(compiling, "available", lambda: False)
        assert self.said(unit) == ["it has no C++ compiler, which compiled units need"]

    def test_sends_nothing_but_the_reason(self, shipment: Shipment, units: list[Unit], monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(shipment.folder)
        packed = pickle.dumps(shipment.relative(units[0]))
        (why,) = sent(packed, {**units[0].header(), "sources": "another"})
        assert isinstance(why, str)
        assert why.startswith("it has another version of the code")
