"""A unit's id follows every line of code that its engine runs, and no line of prose."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlnorm.study.claim.engines import TRAINING
from rlnorm.study.claim.load import shipped
from rlnorm.study.plan import sources
from rlnorm.study.plan.sources import code_hash, module_file, package_folder, reached
from rlnorm.study.plan.unit import COMPUTED_BY

ROOTS = {name: engine.module for name, engine in TRAINING.items()} | dict(COMPUTED_BY)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that stands for it."""
    copy = tmp_path / "rlnorm"
    shutil.copytree(package_folder(), copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "package_folder", lambda: copy)
    yield copy
    code_hash.cache_clear()


def hashed(*roots: str | Path) -> str:
    code_hash.cache_clear()
    return code_hash(roots)


def test_a_changed_line_in_any_module_changes_the_id_and_a_changed_word_does_not(package: Path):
    roots = tuple(ROOTS.values())
    before, found = hashed(*roots), reached(roots)
    assert len(found) > 50
    for name, path in found.items():
        text = path.read_text("utf-8")
        path.write_text('"""Other words."""  # and a comment\n' + text.partition('"""')[2].partition('"""')[2], "utf-8")
        assert hashed(*roots) == before, f"prose of {name} counts"
        path.write_text(f"{text}\nCHANGED = 1\n", "utf-8")
        assert hashed(*roots) != before, f"code of {name} does not count"
        path.write_text(text, "utf-8")
    assert hashed(*roots) == before


@pytest.mark.parametrize("engine", ROOTS)
def test_an_id_follows_more_than_the_engines_own_file(engine: str, package: Path):
    before, (_, path) = hashed(ROOTS[engine]), list(reached([ROOTS[engine]]).items())[-1]
    path.write_text(path.read_text("utf-8") + "\nCHANGED = 1\n", "utf-8")
    assert len(reached([ROOTS[engine]])) > 5
    assert hashed(ROOTS[engine]) != before


SETTINGS = {
    "supervised": {"dataset": "digits", "hidden": (4,), "batch": 4, "train_size": 16, "steps": 2},
    "dqn": {"env": "CartPole-v1", "starts": 16, "batch": 8, "buffer": 64, "steps": 32, "norm": "batch", "probes": 1},
    "sb3": {
        "env": "CartPole-v1", "starts": 16, "batch": 8, "buffer": 64, "steps": 32, "norm": "batch", "loss": "huber",
        "clip": 10.0, "recipe": "sb3", "probes": 0,
    },
}  # fmt: skip
# Prints, for each engine, every module of the package in which a function is called, but for what hands rows on.
TRACED = """
import sys
from rlnorm.study.claim.engines import TRAINING
from rlnorm.study.plan import training_unit
from rlnorm.study.run.worker import records
for engine, settings in SETTINGS.items():
    unit = training_unit(engine, settings, [0], [1e-3], settings.pop("steps"), "")
    called = set()
    TRAINING[engine].train  # is imported when it is first asked for
    sys.setprofile(lambda frame, event, _: called.add(frame.f_globals.get("__name__", "")))
    list(records(unit))
    sys.setprofile(None)
    print(*(name for name in called if name.startswith("rlnorm.") and not name.startswith("rlnorm.study.run.")))
"""


@pytest.fixture(scope="module")
def called() -> dict[str, set[str]]:
    script = TRACED.replace("SETTINGS", repr(SETTINGS))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return {engine: set(line.split()) for engine, line in zip(SETTINGS, ended.stdout.splitlines(), strict=True)}


@pytest.mark.parametrize("engine", TRAINING)
def test_every_module_whose_code_an_engine_runs_counts(engine: str, called: dict[str, set[str]]):
    assert len(called[engine]) > 5
    assert called[engine] <= set(reached([TRAINING[engine].module]))


@pytest.mark.parametrize(
    ("claim", "modules"),
    [
        ("dqn-bn", {"dqn.agents", "dqn.recipes", "dqn.replay", "networks", "population", "textbook.random_cases"}),
        ("ln-bn-cost-dqn", {"study.claim.dqn_setting", "dqn.train", "compiling"}),
        ("bn-identity", {"textbook.batch", "textbook.random_cases"}),
    ],
)
def test_a_claims_own_parts_depend_on_what_its_file_imports(claim: str, modules: set[str]):
    path = shipped()[claim].path
    assert path is not None
    assert {f"rlnorm.{name}" for name in modules} <= set(reached([path]))


def test_rooms_that_only_show_results_do_not_count():
    for root in ROOTS.values():
        assert not [name for name in reached([root]) if ".report" in name or ".judge" in name or name == "rlnorm.cli"]


def test_where_the_package_lies_decides_nothing(package: Path):
    copied = hashed("rlnorm.dqn.train")
    package.rename(package.parent / "elsewhere")
    (package.parent / "elsewhere").rename(package)
    assert hashed("rlnorm.dqn.train") == copied


def test_a_new_module_in_a_folder_that_is_listed_counts(package: Path):
    before = hashed("rlnorm.dqn.train")
    (package / "nn" / "mine.py").write_text("x = 1\n")
    assert hashed("rlnorm.dqn.train") != before


class TestAUsersFile:
    def test_counts_with_the_helpers_that_it_imports(self, tmp_path: Path):
        path, helper, found = tmp_path / "mine.py", tmp_path / "helper.py", list[str]()
        (tmp_path / "another.py").write_text("z = 1")
        helper.write_text("y = 1")
        for file, text in ((path, "import helper"), (helper, "y = 22"), (path, "import helper\nx = 1")):
            file.write_text(text)
            found.append(hashed("rlnorm.errors", path))
        assert len(set(found)) == 3
        (tmp_path / "another.py").write_text("z = 22")
        helper.write_text('"""Words."""\ny = 22  # why')
        assert hashed("rlnorm.errors", path) == found[-1]

    def test_counts_by_its_name_and_not_by_its_folder(self, tmp_path: Path):
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "mine.py").write_text("x = 1")
        first, second = (hashed("rlnorm.errors", tmp_path / folder / "mine.py") for folder in ("a", "b"))
        assert first == second


def test_what_is_no_module_is_refused():
    assert module_file("rlnorm.no.such") is module_file("numpy") is None
    with pytest.raises(ValueError, match="is no module of rlnorm"):
        reached(["rlnorm.no.such"])
