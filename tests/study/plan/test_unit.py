"""What a unit's id depends on."""

import importlib
import shutil
import sys
from importlib import metadata
from pathlib import Path

import gymnasium
import pytest
import tiny

from rlnorm import compiling
from rlnorm.study.claim import load
from rlnorm.study.plan import Request, Unit, sources, training_unit, unit
from rlnorm.study.run import Store
from rlnorm.tasks.environments import BACKENDS


def test_is_the_same_for_the_same_work():
    assert tiny.unit().id == tiny.unit().id
    assert tiny.unit(label="other words").id == tiny.unit().id


def test_a_default_is_the_same_said_or_not():
    assert tiny.unit(place="before").id == tiny.unit().id
    assert tiny.unit().settings["place"] == "before"


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"rate": 0.06},
        {"steps": 4},
        {"hidden": (9,)},
        {"norm": "layer"},
        {"place": "after"},
        {"train_size": 33},
    ],
    ids=str,
)
def test_changes_with_everything_that_decides_the_rows(other: dict[str, object]):
    changed = tiny.unit(**other)  # pyright: ignore[reportArgumentType]
    assert changed.id != tiny.unit().id
    assert changed.question != tiny.unit().question


def test_changes_with_the_order_of_members():
    first, second = (training_unit("supervised", tiny.SETTINGS, s, [0.1, 0.1], 3, "") for s in ([1, 2], [2, 1]))
    assert first.id != second.id


def test_changes_with_the_engine():
    assert len({Unit(engine, {}, (0,), (0.1,), 3, "").id for engine in ("dqn", "supervised")}) == 2


@pytest.mark.parametrize("library", ["python", "torch", "numpy", "gymnasium"])
def test_changes_with_the_version_of_a_library_and_the_question_does_not(library: str, monkeypatch: pytest.MonkeyPatch):
    before = tiny.unit()
    known = (before.id, before.question)
    newer = {**unit.versions(), library: "99.0"}
    monkeypatch.setattr(unit, "versions", lambda: newer)
    assert tiny.unit().id != known[0]
    assert tiny.unit().question == known[1]


def test_changes_with_the_library_that_steps_the_environments_and_with_its_version_alone(monkeypatch):
    def ids() -> list[str]:
        settings = [{"env": "CartPole-v1", "environments": name} for name in BACKENDS]
        return [training_unit("dqn", each, [0], [1e-3], 20_000, "").id for each in settings]

    monkeypatch.setattr(unit, "library_version", lambda library: "1.0")
    gymnasium, envpool = ids()
    monkeypatch.setattr(unit, "library_version", lambda library: "2.0")
    same, newer = ids()
    assert len({gymnasium, envpool, newer}) == 3
    assert same == gymnasium


def test_changes_with_the_sources_and_the_question_does_not(monkeypatch: pytest.MonkeyPatch):
    known = (tiny.unit().id, tiny.unit().question)
    monkeypatch.setattr(unit, "code_hash", lambda roots: "changed")
    assert tiny.unit().id != known[0]
    assert tiny.unit().question == known[1]


def test_changes_with_eager_or_compiled_and_the_question_does_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiling, "available", lambda: True)
    compiled = tiny.unit(steps=unit.COMPILE_FROM)
    monkeypatch.setattr(compiling, "available", lambda: False)
    eager = tiny.unit(steps=unit.COMPILE_FROM)
    assert (compiled.settings["compile"], eager.settings["compile"]) == (True, False)
    assert compiled.id != eager.id
    assert compiled.question == eager.question


def test_short_work_is_not_compiled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiling, "available", lambda: True)
    assert not tiny.unit(steps=unit.COMPILE_FROM - 1).settings["compile"]


def test_the_claims_wording_decides_nothing(tmp_path: Path):
    ids = set()
    for statement in ("Of tiny", "In other words"):
        path = tiny.effect(tmp_path)
        path.write_text(path.read_text().replace("Of tiny", statement).replace('"nowhere"', f'"{statement}"'))
        folder = tmp_path / statement
        folder.mkdir()
        found = load.by_path(shutil.copy(path, folder))
        assert found.claim.statement.startswith(statement)
        ids.add(tuple(unit.id for unit in tiny.units([Request(found, "smoke")], Store(tmp_path))))
    assert len(ids) == 1


def test_of_a_norm_of_ones_own_depends_on_its_text_and_not_on_its_folder(tmp_path: Path):
    texts = {"a": "x = 1\n", "b": "x = 1\n", "c": "x = 2\n"}
    paths = {name: tmp_path / name / "mine.py" for name in texts}
    for name, path in paths.items():
        path.parent.mkdir()
        path.write_text(texts[name])
    found = {name: tiny.unit(norm=str(path)) for name, path in paths.items()}
    assert found["a"].id == found["b"].id != found["c"].id
    assert found["a"].settings["norm"] == str(paths["a"])
    assert str(tmp_path) not in str(found["a"].header())


def test_of_an_exact_part_depends_on_the_code_of_its_claim(tmp_path: Path):
    def changed(text: str) -> str:
        sources.code_hash.cache_clear()
        path.write_text(text)
        return Unit("exact", {"part": "p"}, (0,), (), 10, "", (path,)).id

    path = tmp_path / "mine.py"
    assert changed("x = 1") != changed("x = 22")
    assert changed("x = 22") == changed('"""Words."""\nx = 22')


ENVIRONMENT = """
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

class Walk(CartPoleEnv):
    bonus = 1

gymnasium.register("Walk-v0", entry_point=Walk, max_episode_steps=9)
"""


def dqn_unit(env: str) -> Unit:
    return training_unit("dqn", {"env": env}, [0], [1e-3], 2_000, "")


def ids_of_a_new_process(monkeypatch: pytest.MonkeyPatch, env: str) -> str:
    """The id as a process that has looked at nothing before gives it."""
    sources.environment_code.cache_clear()
    sources.code_hash.cache_clear()
    module = env.partition(":")[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    # It is registered in this test, and afterwards is not.
    monkeypatch.setitem(gymnasium.registry, "Walk-v0", None)
    del gymnasium.registry["Walk-v0"]
    importlib.invalidate_caches()
    return dqn_unit(env).id


@pytest.mark.parametrize("form", ["module", "package"])
def test_changes_with_the_code_of_an_environment_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = f"walk_n18_{form}"
    main = tmp_path / f"{name}.py" if form == "module" else tmp_path / name / "walks.py"
    if form == "package":
        main.parent.mkdir()
        (main.parent / "__init__.py").write_text(f"from {name} import walks\n")
    main.write_text(ENVIRONMENT)
    env = f"{name}:Walk-v0"
    first = ids_of_a_new_process(monkeypatch, env)
    main.write_text(ENVIRONMENT + "# a comment\n")
    assert ids_of_a_new_process(monkeypatch, env) == first
    main.write_text(ENVIRONMENT.replace("bonus = 1", "bonus = 2"))
    assert ids_of_a_new_process(monkeypatch, env) != first
    assert dqn_unit(env).header()["environment"].keys() == {name}  # pyright: ignore[reportAttributeAccessIssue]


def test_names_the_distributions_that_an_environment_is_made_of(monkeypatch: pytest.MonkeyPatch):
    assert sources.environment_code("LunarLander-v3") == {"box2d": metadata.version("box2d")}
    assert "environment" not in dqn_unit("CartPole-v1").header(), "gymnasium's version says all"
    lander = dqn_unit("LunarLander-v3")
    known = lander.id, lander.question
    monkeypatch.setattr(unit, "environment_code", lambda env: {"box2d": "99"})
    newer = dqn_unit("LunarLander-v3")
    assert newer.id != known[0]
    assert newer.question == known[1]
