"""Every script starts; the thin ones are doors to what is tested elsewhere."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = {path.name: path for path in sorted((ROOT / "scripts").glob("*.py"))}


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


def test_the_doors_that_were_asked_for_are_there():
    assert {"bn_ln_in_dqn.py", "bn_with_relu.py", "note_formulas.py", "train_eval_mode.py"} <= set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_does_nothing_when_imported_and_says_what_it_is_for(name: str):
    tree = ast.parse(SCRIPTS[name].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    *others, last = tree.body
    assert ast.unparse(last).startswith("if __name__ == '__main__':")
    assert not [node for node in others if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("bn_ln_in_dqn.py", ["dqn-ln", "dqn-bn"]),
        ("bn_with_relu.py", ["bn-relu"]),
        ("train_eval_mode.py", ["dqn-modes"]),
    ],
)
def test_doors_to_claims_name_them_and_pass_options_on(tmp_path: Path, name: str, claims: list[str]):
    done = run(tmp_path, name, "--part", "no such part", "--seeds", "0")
    assert done.returncode == 2
    assert [f"unknown part of {claim} 'no such part'" in done.stderr for claim in claims] == [True] * len(claims)
    assert "--seeds must be at least 1, got 0." in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_formulas_are_put_to_the_test(tmp_path: Path):
    done = run(tmp_path, "note_formulas.py", "bn-grad-input", "bn-zero-one", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "bn-grad-input: SUPPORTED\n========================\n" in done.stdout
    assert "bn-zero-one: REFUTED" in done.stdout
    assert "Smallest counterexample:" in done.stdout
    assert "finished:" not in done.stdout
    assert (tmp_path / "out" / "report.html").exists()


def test_formulas_are_not_written_below_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "note_formulas.py", "--out", "file/out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rlnorm: cannot write results to --out 'file/out': 'file' is a file, not a folder.\n"
