"""Every script understands its options and the documented commands; what a thin one calls is tested elsewhere."""

import ast
import functools
import importlib
import inspect
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import tiny
import tyro
from forked import forked

import rlnorm.__main__
from rlnorm.stops import STOPS

ROOT = Path(__file__).parents[1]
SCRIPTS = {path.name: path for path in sorted((ROOT / "scripts").glob("*.py"))}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile", *(ROOT / "docs").rglob("*.md")]


def documented() -> Iterator[tuple[str, str]]:
    """(script, its options) of every command in the documentation and in docstrings of scripts."""
    for path in (*PAGES, *SCRIPTS.values()):
        for name, options in re.findall(r"python scripts/(\w+)\.py\b([^`\n\"]*)", path.read_text("utf-8")):
            yield name, options.replace("STEPS", "1").replace("{seeds}", "1").strip()


COMMANDS = sorted({*documented()})


def entry(name: str) -> Callable[..., None] | None:
    """`main` of a script that reads its options by itself; None for one without options and for doors to `rlnorm`."""
    main = getattr(importlib.import_module(name), "main", None)
    return None if main is rlnorm.__main__.main else main


def understood(main: Callable[..., None], words: Sequence[str]) -> None:
    """Read `words` as the options of `main` without calling it; raises SystemExit for wrong ones."""

    @functools.wraps(main)
    def nothing(**_: object) -> None:
        pass

    tyro.cli(nothing, args=words)


def run(folder: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS[name]), *words],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


Here = Callable[..., tuple[object, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Here]:
    """Runs a script in this process, in a folder of its own: its exit status and what it prints."""
    monkeypatch.chdir(tmp_path)
    handlers = {each: signal.getsignal(each) for each in STOPS}

    def run_here(name: str, *words: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *words])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPTS[name]), run_name="__main__")
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    yield run_here
    for each, handler in handlers.items():
        signal.signal(each, handler)


def test_the_doors_that_were_asked_for_are_there():
    assert {"bn_ln_in_dqn.py", "bn_with_relu.py", "note_formulas.py", "train_eval_mode.py"} <= set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_does_nothing_when_imported_and_says_what_it_is_for(name: str):
    tree = ast.parse(SCRIPTS[name].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    *others, last = tree.body
    assert ast.unparse(last).startswith("if __name__ == '__main__':")
    assert not [node for node in others if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    # One of the two ways that end by SIGTERM as by Ctrl-C.
    door = "from rlnorm.__main__ import main" in map(ast.unparse, others)
    assert door or "sys.exit(guarded(read(main, __doc__), typed()))" in ast.unparse(last)


def test_a_script_that_is_told_to_end_says_so_and_how_to_continue(tmp_path: Path):
    script = str(SCRIPTS["calibrate_intervals.py"])

    def become() -> None:
        sys.argv = [script]
        runpy.run_path(script, run_name="__main__")

    with forked(tmp_path, prepare=become) as running:
        caught = Path(f"/proc/{running.pid}/status")
        tiny.wait_until(lambda: int(re.findall(r"SigCgt:\s*(\w+)", caught.read_text())[0], 16) >> 14 & 1, 60)
        os.kill(running.pid, signal.SIGTERM)
        code, _, err = running.ends(60)
    assert (code, err) == (143, f"rlnorm: interrupted, what is finished is kept. To continue:\n  python {script}\n")


@pytest.mark.parametrize(("name", "options"), COMMANDS)
def test_a_documented_command_is_understood(name: str, options: str):
    if main := entry(name):
        understood(main, shlex.split(options))
    else:
        assert options == "" or "rlnorm.__main__" in SCRIPTS[f"{name}.py"].read_text("utf-8")


def test_documented_commands_are_found_and_a_wrong_one_is_noticed(capsys: pytest.CaptureFixture[str]):
    assert ("compatibility", "--write docs/compatibility.md") in COMMANDS
    assert {"bench_layers", "bench_sb3", "calibrate_intervals", "reference"} <= {name for name, _ in COMMANDS}
    main = entry("bench_rejax")
    assert main is not None
    for words in (["--stops", "1"], ["--norms", "batch"]):
        with pytest.raises(SystemExit, match="2"):
            understood(main, words)
    assert "--stops" in capsys.readouterr().err


def unexplained(main: Callable[..., None]) -> list[str]:
    """Parameters that the docstring does not explain; a group of options explains its own."""
    groups = ("options", "pieces")
    explained = re.findall(r"^ +(\w+): ", main.__doc__ or "", re.MULTILINE)
    return [name for name in inspect.signature(main).parameters if name not in (*groups, *explained)]


@pytest.mark.parametrize("name", [path.stem for path in SCRIPTS.values() if entry(path.stem)])
def test_every_option_is_explained(name: str):
    main = entry(name)
    assert main is not None
    assert unexplained(main) == []


def test_an_option_without_explanation_is_noticed():
    def main(options: str, seeds: int, steps: int) -> None:
        """Run.

        Args:
            seeds: Agents.
        """

    assert unexplained(main) == ["steps"]


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("bn_ln_in_dqn.py", ["dqn-ln", "dqn-bn"]),
        ("bn_with_relu.py", ["bn-relu"]),
        ("train_eval_mode.py", ["dqn-modes"]),
    ],
)
def test_doors_to_claims_name_them_and_pass_options_on(here: Here, tmp_path: Path, name: str, claims: list[str]):
    code, _, err = here(name, "--part", "no such part", "--seeds", "0")
    assert code == 2
    assert [f"unknown part of {claim} 'no such part'" in err for claim in claims] == [True] * len(claims)
    assert "--seeds must be at least 1, got 0." in err
    assert list(tmp_path.iterdir()) == []


def test_formulas_are_put_to_the_test(tmp_path: Path):
    done = run(tmp_path, "note_formulas.py", "bn-grad-input", "bn-zero-one", "--out", "out", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert "bn-grad-input: SUPPORTED\n========================\n" in done.stdout
    assert "bn-zero-one: REFUTED" in done.stdout
    assert "Smallest counterexample:" in done.stdout
    assert "finished:" not in done.stdout
    assert (tmp_path / "out" / "report.html").exists()


def test_formulas_are_not_written_below_a_file(here: Here, tmp_path: Path):
    (tmp_path / "file").write_text("")
    code, out, err = here("note_formulas.py", "--out", "file/out")
    assert (code, out) == (2, "")
    assert err == "rlnorm: cannot write results to --out 'file/out': 'file' is a file, not a folder.\n"


OWN = """
import pytest
from sb3_contrib import QRDQN, RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.td3.policies import MlpPolicy

@pytest.mark.parametrize("algorithm", [DQN, PPO, QRDQN, RecurrentPPO])
def test_made(algorithm):
    alias = "CnnLstmPolicy" if algorithm is RecurrentPPO else "CnnPolicy"
    assert type(algorithm(alias, "CartPole-v1").policy).__module__.startswith("rlnorm.sb3")

@pytest.mark.parametrize("policy", [ActorCriticPolicy, MlpPolicy, RecurrentActorCriticPolicy])
def test_imported(policy):
    assert policy.__module__.startswith("rlnorm.sb3")
"""


def test_stable_baselines3s_own_tests_meet_our_policies(tmp_path: Path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_policies.py").write_text(OWN)
    done = run(tmp_path, "sb3_own_tests.py", "--folder", ".")
    assert (done.returncode, "7 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_folder_without_tests_is_refused(here: Here):
    code, out, err = here("sb3_own_tests.py", "--folder", ".")
    assert (code, out) == (2, "")
    assert err == "rlnorm: --folder: '.' has no folder tests; expected the unpacked source of a release.\n"
