"""What a folder remembers of what was asked in it: kept twice, checked entry by entry, not trusted to run code."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
import tiny

from rlnorm.study.claim import load
from rlnorm.study.plan import Request
from rlnorm.study.plan.request import compared
from rlnorm.study.run import Store, trust
from rlnorm.study.run.history import asked_before, clashes, remember

GOOD: dict[str, Any] = {
    "preset": "smoke", "parts": [], "seeds": None, "recipe": None, "engine": None, "path": None,
}  # fmt: skip


def asked(folder: Path, name: str = "tiny") -> Request:
    return Request(load.by_path(tiny.effect(folder, name)), "smoke")


def written(out: Path, content: object) -> Path:
    out.mkdir(exist_ok=True)
    (out / "study.json").write_text(json.dumps(content))
    return out


DAMAGE = {
    "missing": lambda file: file.unlink(),
    "empty": lambda file: file.write_text(""),
    "half": lambda file: os.truncate(file, 40),
    "garbage": lambda file: file.write_bytes(os.urandom(99)),
    "a list": lambda file: file.write_text("[1]"),
    "null": lambda file: file.write_text("null"),
    "claims a list": lambda file: file.write_text('{"claims": []}'),
    "of the future": lambda file: file.write_text('{"format": 2, "claims": {}}'),
    "nested deeply": lambda file: file.write_text("[" * 100_000),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "a circle of links": lambda file: (file.unlink(), file.symlink_to(file)),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_one_of_the_two_files_stands_in_for_the_other(tmp_path: Path, what: str):
    out, one, two = tmp_path / "out", asked(tmp_path, "one"), asked(tmp_path, "two")
    remember([one], out)
    DAMAGE[what](out / "study.json")
    kept, said = asked_before(out, {})
    assert [each.id for each in kept] == ["one"]
    assert len(said) == 1
    assert said[0].endswith(f"its copy {str(out / 'units' / 'study.json')!r} is used.")
    remember([two], out)
    assert [each.id for each in asked_before(out, {})[0]] == ["one", "two"]
    DAMAGE[what](out / "units" / "study.json")
    kept, said = asked_before(out, {})
    assert ([each.id for each in kept], said) == (["one", "two"], [])


@pytest.mark.parametrize("what", [what for what in DAMAGE if what != "missing"])
def test_where_both_are_damaged_that_is_said_and_they_are_set_aside(tmp_path: Path, what: str):
    out, one = tmp_path / "out", asked(tmp_path)
    remember([one], out)
    DAMAGE[what](out / "study.json")
    DAMAGE[what](out / "units" / "study.json")
    kept, said = asked_before(out, {})
    assert (kept, len(said)) == ([], 1)
    assert "what was asked there before is not known; units are kept." in said[0]
    remember([one], out)
    assert [each.id for each in asked_before(out, {})[0]] == ["tiny"]
    if what != "a circle of links":  # which no name is worth keeping of
        assert (out / "study.0.damaged").exists()


@pytest.mark.parametrize("what", ["missing", "garbage"])
def test_where_both_are_lost_the_units_tell_what_was_asked(tmp_path: Path, what: str):
    """Of claims of ours, and of those the parts that are whole."""
    available = {name: load.shipped()[name] for name in ("bn-forward", "bn-identity", "dqn-ln")}
    store, exact = Store(tmp_path), Request(available["bn-forward"], "quick")
    trained = Request(available["dqn-ln"], "full", ("CartPole-v1, common rate",))
    tiny.fill(store, tiny.units([trained], store), lambda unit: tiny.spread(100, 10, len(unit.seeds)))
    for unit in tiny.units([exact], store):
        store.write(unit, [{"step": 1, "size": 1, "error": 0.0}], lambda: 0.0)
    remember([exact, trained, asked(tmp_path)], tmp_path)
    for file in (tmp_path / "study.json", tmp_path / "units" / "study.json"):
        DAMAGE[what](file)
    kept, said = asked_before(tmp_path, available)
    assert [(one.id, one.preset, one.parts) for one in kept] == [
        ("bn-forward", "full", ()),  # exact parts are the same at every preset
        ("dqn-ln", "full", ("CartPole-v1, common rate",)),
    ]
    ids = "bn-forward, dqn-ln"
    assert said[-1] == f"What was asked in {str(tmp_path)!r} is told from its units: {ids}. Others' units are kept."
    remember([*kept, asked(tmp_path)], tmp_path)
    assert [one.id for one in asked_before(tmp_path, available)[0]] == ["bn-forward", "dqn-ln", "tiny"]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (None, "it is NoneType, no entry"),
        ([], "it is list, no entry"),
        ({}, "preset is None"),
        ({**GOOD, "preset": ["smoke"]}, "preset is ['smoke']"),
        ({**GOOD, "parts": "digits"}, "parts is 'digits'"),
        ({**GOOD, "parts": [1]}, "parts is [1]"),
        ({**GOOD, "seeds": "8"}, "seeds is '8'"),
        ({**GOOD, "seeds": True}, "seeds is True"),
        ({**GOOD, "seeds": -1}, "seeds is -1"),
        ({**GOOD, "engine": "jax"}, "engine is 'jax'"),
        ({**GOOD, "path": 3}, "path is 3"),
        ({**GOOD, "recipe": "CartPole-v1"}, "recipe is 'CartPole-v1'"),
        ({**GOOD, "recipe": {"env": 1}}, "recipe is {'env': 1}"),
        ({**GOOD, "recipe": {"norms": [None]}}, "recipe is {'norms': [None]}"),
    ],
)
def test_an_entry_of_wrong_types_is_left_out_and_the_others_stay(tmp_path: Path, entry: object, why: str):
    one = asked(tmp_path)
    out = written(tmp_path / "out", {"claims": {"wrong": entry, "tiny": GOOD}})
    kept, said = asked_before(out, {"tiny": one.file})
    assert [each.id for each in kept] == ["tiny"]
    assert said == [f"claim 'wrong' in {str(out / 'study.json')!r} is left out: {why}."]
    remember([one], out)
    assert json.loads((out / "study.json").read_text())["claims"].keys() == {"tiny"}


def test_a_recipe_of_another_version_is_left_out(tmp_path: Path):
    recipe = {**(compared("CartPole-v1", ["none", "layer"], 2, 2_000).arguments or {}), "depth": 3}
    out = written(tmp_path / "out", {"claims": {"train": {**GOOD, "recipe": recipe}}})
    kept, said = asked_before(out, {})
    assert (kept, len(said)) == ([], 1)
    assert "it was asked by another version of rlnorm" in said[0]
    assert "'depth'" in said[0]


def test_what_steps_environments_is_not_needed_to_read_what_they_came_to(tmp_path: Path, monkeypatch):
    """EnvPool takes 740 MB, and rows that it made are judged anywhere."""
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *of: None if name == "envpool" else find(name, *of))
    ours = Request(load.shipped()["dqn-ln"], "full", environments="envpool")
    own = compared("CartPole-v1", ["none", "layer"], 8, 2_000, environments="envpool")
    assert len(list(ours.errors())) == len(list(own.errors())) == 1
    remember([ours, own], tmp_path)
    kept, said = asked_before(tmp_path, load.shipped())
    assert said == []
    assert [(each.id, each.environments) for each in kept] == [(ours.id, "envpool"), (own.id, "envpool")]
    assert [each.command for each in kept] == [ours.command, own.command]


def test_another_file_does_not_take_the_place_of_one_of_the_same_name(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    here, there = asked(tmp_path), asked(tmp_path / "elsewhere")
    out = tmp_path / "out"
    assert list(clashes([here], out)) == []
    remember([here], out)
    assert list(clashes([here], out)) == []
    (said,) = clashes([there], out)
    assert said.startswith(f"claim 'tiny' in {str(out)!r} is that of {str(here.file.path)!r}, and ")
    (tmp_path / "tiny.py").unlink()
    assert list(clashes([there], out)) == [], "it was moved"


RECIPE = {"env": "CartPole-v1", "norms": ["none", "layer"], "seeds": 2, "steps": 2000, "lr": None}
EVIL = "from pathlib import Path\n(Path(__file__).parent / 'ran').touch()\n"


class TestTrust:
    """A folder from elsewhere names files; none of them is run before somebody names it here."""

    @pytest.mark.parametrize("by", ["claim", "norm", "environment"])
    def test_code_that_a_folder_names_is_not_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "evil_n18.py").write_text(EVIL)
        path = str(tmp_path / "evil_n18.py")
        entry = {
            "claim": {**GOOD, "path": path},
            "norm": {**GOOD, "recipe": {**RECIPE, "norms": ["none", path]}},
            "environment": {**GOOD, "recipe": {**RECIPE, "env": "evil_n18:Env-v0"}},
        }[by]
        out = written(tmp_path / "out", {"claims": {"evil": entry}})
        kept, said = asked_before(out, {})
        assert kept == []
        assert "which would be run and was never named here; `rlnorm report" in said[0]
        assert not (tmp_path / "ran").exists()
        asked_before(out, {}, trust_all=True)
        assert (tmp_path / "ran").exists()

    def test_what_was_named_here_once_is_run_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        out = tmp_path / "out"
        remember([asked(tmp_path)], out)
        assert [one.id for one in asked_before(out, {})[0]] == ["tiny"]
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of another user"))
        assert asked_before(out, {})[0] == []
        assert [one.id for one in asked_before(out, {}, trust_all=True)[0]] == ["tiny"]
        assert [one.id for one in asked_before(out, {})[0]] == ["tiny"]

    def test_without_a_home_nothing_is_remembered_and_nothing_fails(self, tmp_path: Path, monkeypatch):
        monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/none")
        trust.trust(["/a.py"])
        assert trust.trusted() == frozenset()
        monkeypatch.delenv("XDG_STATE_HOME")
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
        trust.trust(["/a.py"])
        assert trust.trusted() == frozenset()
