"""What is wrong with a script's options is said before anything runs; a page and its figure are written where asked."""

import os
import runpy
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from rlnorm.study.claim import Effect
from rlnorm.study.judge import StudyResult
from rlnorm.study.plan import Request, Unit, plan
from rlnorm.study.run import Store
from rlnorm.study.study import results
from rlnorm.validation import options, runs
from rlnorm.validation.updates import Ours, compare

SCRIPTS = Path(__file__).parents[2] / "scripts"


def started(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, *words: str) -> int:
    """Run a script in `folder`, in this process -> its exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("name", "counts"),
    [("fidelity", {"jobs": "0"}), ("reference", {"seeds": "0", "jobs": "-1"}), ("sb3_table", {"seeds": "0"})],
)
def test_bad_options_are_refused_all_at_once(
    name: str,
    counts: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    words = [word for key, value in counts.items() for word in (f"--{key}", value)]
    (tmp_path / "file").write_text("")
    code = started(monkeypatch, tmp_path, name, *words, "--out", "file/runs", "--write", "no/page.md")
    assert (code, os.listdir(tmp_path)) == (2, ["file"])
    assert capsys.readouterr().err.splitlines() == [
        *(f"rlnorm: --{key} must be at least 1, got {value}." for key, value in counts.items()),
        "rlnorm: cannot write results to --out 'file/runs': 'file' is a file, not a folder.",
        "rlnorm: cannot write the page to --write 'no/page.md': there is no folder 'no'.",
    ]


@pytest.mark.parametrize(
    ("name", "module", "function"),
    [
        ("fidelity", "rlnorm.validation.runs", "exact"),
        ("reference", "rlnorm.study.run", "complete"),
        ("sb3_table", "rlnorm.study.run", "complete"),
    ],
)
def test_an_interruption_says_how_to_go_on(
    name: str,
    module: str,
    function: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def interrupted(*_: object) -> None:
        # Where the suite itself runs in the background, signals of a terminal are ignored.
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{module}.{function}", interrupted)
    assert started(monkeypatch, tmp_path, name, "--out", "runs") == 130
    said = capsys.readouterr().err
    assert said.startswith("rlnorm: interrupted, what is finished is kept. To continue:")
    assert said.endswith(f"\n  python {SCRIPTS / name}.py --out runs\n")


def test_a_page_is_written_with_its_figure_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options.show("text", None, "<svg/>")
    assert list(tmp_path.iterdir()) == []
    options.show("text", tmp_path / "page.md", "<svg/>")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"page.md": "text", "page.svg": "<svg/>"}
    assert capsys.readouterr().out == "text\ntext\n"


def test_the_table_of_references_is_run_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def complete(units: Sequence[Unit], store: Store, jobs: int, _: object) -> None:
        assert jobs == 3
        for unit in units:
            row = {"step": 1, "return": [1.0] * 2, "diverged": [False] * 2, "final_return": [1.0, 2.0]}
            store.write(unit, [row], lambda: 0.0)

    monkeypatch.setattr("rlnorm.study.run.complete", complete)
    assert started(monkeypatch, tmp_path, "reference", "--seeds", "2", "--jobs", "3", "--write", "page.md") == 0
    text = (tmp_path / "page.md").read_text()
    assert "Command: `python scripts/reference.py --seeds 2`; rows computed at commit " in " ".join(text.split())
    assert len(list((tmp_path / "runs/reference/units").iterdir())) == 5
    assert capsys.readouterr().out == text + "\n"


def test_fidelity_is_run_and_written_with_its_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def study(asked: Sequence[Request], out: Path, **_: object) -> StudyResult:
        (one,), store = asked, Store(out)
        judged = {one.judged_seeds(part) for part in one.chosen().values() if isinstance(part, Effect)}
        assert judged == {runs.SEEDS} == {24}
        for unit in tiny.units(asked, store):
            scores = [100.0] * len(unit.seeds)
            row = {"step": 1, "return": scores, "diverged": [False] * len(scores), "final_return": scores}
            store.write(unit, [row], lambda: 0.0)
        return results([(plan(one, store.records), store)])

    setting = replace(runs.EXACT[1], hidden=(4,), batch=4)
    monkeypatch.setattr(runs, "exact", lambda: [(setting, "ours", list(compare(setting, Ours(setting), updates=100)))])
    monkeypatch.setattr("rlnorm.study.study.study", study)
    assert started(monkeypatch, tmp_path, "fidelity", "--write", "held.md") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"held.md", "held.svg", "runs"}
    text = (tmp_path / "held.md").read_text()
    assert "(held.svg)" in text
    assert "| none | 10 | float64 | ours |" in text
    assert (tmp_path / "held.svg").read_text().count(" (n = 24)<") == 3
