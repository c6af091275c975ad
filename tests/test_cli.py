"""The command line as a person meets it: what it says, its exit codes, what it leaves behind, and how it is stopped."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import studies
import tiny
from tiny import Run

from rlnorm import cli
from rlnorm.study.judge import StudyResult
from rlnorm.study.run import history
from rlnorm.study.study import Failed

OUT = "elsewhere/results"
COMMANDS = tuple(cli.app.names)
BAD_INPUT = {
    "claim": (["run", "dqn-lm"], ["unknown claim 'dqn-lm'. Did you mean 'dqn-ln'? Expected an id that `rlnorm list`"]),
    "claim shown": (["show", "bn_relu"], ["unknown claim 'bn_relu'. Did you mean 'bn-relu'?"]),
    "no claim": (
        ["run"],
        ["no claim was named: give at least one id (see `rlnorm list`), --kind for all of a kind, or"],
    ),
    "all and one": (["run", "dqn-ln", "--all"], ["--all means every claim, and 'dqn-ln' was named beside it;"]),
    "claim file": (["run", "nowhere.py"], ["no claim file at", "nowhere.py"]),
    "part": (
        ["run", "dqn-ln", "--part", "CartPole-v0"],
        ["unknown part of dqn-ln 'CartPole-v0'. Did you mean 'CartPole-v1'? Expected one of: 'Acrobot-v1',"],
    ),
    "part of another preset": (
        ["run", "dqn-ln", "--part", "CartPole-v1, own best rate", "--preset", "quick"],
        ["part 'CartPole-v1, own best rate' of dqn-ln is not run at preset 'quick'; it is at: full."],
    ),
    "backend": (["run", "dqn-ln", "--backend", "rya"], ["unknown backend 'rya'. Did you mean 'ray'? Expected one of:"]),
    "address of no cluster": (["run", "dqn-ln", "--address", "auto"], ["--address 'auto' is that of a Ray cluster;"]),
    "language": (["train", "--lang", "fr"], ["unknown language 'fr'. Expected one of: en, ko."]),
    "steps in words": (
        ["train", "--steps", "many"],
        ["--steps: expected a whole number such as 16 or 1e5, got"],
    ),
    "option": (["train", "--nroms", "none"], ["unrecognized options: --nroms", "Did you mean '--norms'?"]),
    "preset": (
        ["run", "dqn-ln", "--preset", "fast"],
        ["unknown preset 'fast'.", "Expected one of: full, quick, smoke"],
    ),
    "kind": (["run", "--kind", "exakt"], ["unknown kind 'exakt'. Did you mean 'exact'?"]),
    "kind of the claims": (["run", "bn-forward", "--kind", "effect"], ["none of the claims named has parts of kind"]),
    "zero seeds": (["run", "dqn-ln", "--seeds", "0"], ["--seeds must be at least 1, got 0."]),
    "negative seeds": (["run", "dqn-ln", "--seeds", "-3"], ["--seeds must be at least 1, got -3."]),
    "zero jobs": (["run", "dqn-ln", "--jobs", "0"], ["--jobs must be at least 1, got 0."]),
    "norm": (["train", "--norms", "none,lyer"], ["unknown norm 'lyer'. Did you mean 'layer'?"]),
    "norm file": (["train", "--norms", "none,./no.py"], ["arm no: no norm file at", "NORM = Norm(...)"]),
    "one norm": (
        ["train", "--norms", "layer"],
        ["--norms needs at least two different norms to compare, got 'layer'."],
    ),
    "environment": (
        ["train", "--env", "CartPole-v11"],
        ["unknown environment 'CartPole-v11'. Did you mean 'CartPole-v1'?"],
    ),
    "continuous actions": (["train", "--env", "Pendulum-v1"], ["DQN needs a finite set of actions, but 'Pendulum-v1'"]),
    "steps": (["train", "--steps", "0"], ["--steps must be at least 1, got 0."]),
    "too few steps": (
        ["train", "--steps", "600"],
        ["learning would start after 1000 steps, beyond the budget of 600."],
    ),
    "seeds to train": (["train", "--seeds", "-1"], ["--seeds must be at least 1, got -1."]),
    "jobs to train": (["train", "--jobs", "-1"], ["--jobs must be at least 1, got -1."]),
    "setting": (["train", "-o", "discont=1"], ["unknown setting 'discont'. Did you mean 'discount'?"]),
    "setting with a word of its own": (["train", "-o", "env=x"], ["--option env is given as --env."]),
    "learning rate": (["train", "--lr", "-0.1"], ["learning rates must be positive and finite, got -0.1."]),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_sentence_exit_code_2_and_nothing_written(rlnorm: Run, tmp_path: Path, case: str):
    words, said = BAD_INPUT[case]
    code, out, err = rlnorm(*words, *([] if words[0] == "show" else ["--out", OUT]))
    assert code == 2
    assert out == ""
    assert len(err) == 1
    assert err[0].startswith("rlnorm: ")
    assert all(piece in err[0] for piece in said), err
    assert list(tmp_path.iterdir()) == []


def test_several_errors_are_all_said_at_once(rlnorm: Run, tmp_path: Path):
    code, _, err = rlnorm(
        "run", "dqn-lm", "bn-rely", "dqn-ln", "--part", "Catpole", "--seeds", 0, "--jobs", 0, "--out", "/dev/null/x"
    )
    assert code == 2
    expected = ("claim 'dqn-lm'", "claim 'bn-rely'", "--seeds", "--jobs", "part of dqn-ln 'Catpole'", "--out")
    assert len(err) == len(expected)
    assert all(piece in line for piece, line in zip(expected, err)), err
    code, _, err = rlnorm(
        "train", "--env", "Pendulum-v1", "--norms", "none,lyer", "--seeds", 0, "--steps", 0, "--jobs", 0, "--lr", 0
    )
    assert code == 2
    expected = ("--seeds", "--steps", "finite set of actions", "learning rates", "norm 'lyer'", "--jobs")
    assert len(err) == len(expected)
    assert all(any(piece in line for line in err) for piece in expected), err
    assert list(tmp_path.iterdir()) == []


class TestUnwritableFolder:
    @pytest.mark.parametrize("words", [["run", "bn-identity"], ["train"]], ids=" ".join)
    def test_below_a_file(self, rlnorm: Run, tmp_path: Path, words: list[str]):
        (tmp_path / "notes").write_text("a file")
        code, _, err = rlnorm(*words, "--out", "notes/results")
        assert (code, err) == (
            2,
            ["rlnorm: cannot write results to --out 'notes/results': 'notes' is a file, not a folder."],
        )
        assert [path.name for path in tmp_path.iterdir()] == ["notes"]

    def test_without_permission(self, rlnorm: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "locked").mkdir()
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked")
        code, _, err = rlnorm("run", "bn-identity", "--out", "locked/results")
        assert code == 2
        assert err == ["rlnorm: cannot write results to --out 'locked/results': no permission in 'locked'."]
        assert list((tmp_path / "locked").iterdir()) == []

    def test_where_only_trying_shows_it(self, rlnorm: Run, monkeypatch: pytest.MonkeyPatch):
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(history, "write_atomically", full)
        code, _, err = rlnorm("run", "bn-identity", "--out", OUT)
        assert (code, err) == (2, [f"rlnorm: cannot write results to --out '{OUT}': No space left on device."])


class TestFolderThatIsNone:
    @pytest.mark.parametrize("command", ["report", "board"])
    def test_is_named(self, rlnorm: Run, tmp_path: Path, command: str):
        (tmp_path / "empty").mkdir()
        for folder, what in (("nowhere", "is no folder"), ("empty", "holds no study")):
            code, _, err = rlnorm(command, folder)
            assert code == 2
            assert err == [f"rlnorm: '{folder}' {what}; expected a folder that `rlnorm run` or `rlnorm train` wrote."]
        assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]

    def test_to_keep_results_in_is_named_beside_the_other(self, rlnorm: Run, tmp_path: Path):
        (tmp_path / "file").touch()
        code, _, err = rlnorm("report", "nowhere", "--keep", "file/in")
        assert (code, len(err)) == (2, 2)
        assert err[1] == "rlnorm: cannot write results to --keep 'file/in': 'file' is a file, not a folder."

    def test_a_damaged_memory_of_what_was_asked_is_said(self, rlnorm: Run, tmp_path: Path):
        (tmp_path / "study.json").write_text('{"claims": ')
        code, out, err = rlnorm("report", ".")
        assert (code, err) == (2, ["rlnorm: '.' holds no claim that can be reported."])
        assert "'study.json' is damaged (Expecting value: line 1 column 12 (char 11)): what" in " ".join(out.split())

    def test_the_board_says_which_tags_it_does_not_know(self, rlnorm: Run, tmp_path: Path):
        entry = {"preset": "smoke", "parts": [], "seeds": None, "recipe": None, "path": None}
        (tmp_path / "study.json").write_text(json.dumps({"claims": {"bn-identity": entry}}))
        code, _, err = rlnorm("board", ".", "--tags", "sb4")
        assert (code, err) == (2, ["rlnorm: unknown tags 'sb4'. Did you mean 'sb3'? Expected one of: cleanrl, sb3."])

    def test_a_study_whose_claims_are_gone_is_said(self, rlnorm: Run, tmp_path: Path):
        entry = {"preset": "smoke", "parts": [], "seeds": None, "recipe": None, "path": str(tmp_path / "gone.py")}
        (tmp_path / "study.json").write_text(json.dumps({"claims": {"gone": entry}}))
        code, out, err = rlnorm("report", ".", "--trust")
        assert code == 2
        assert "claim 'gone', asked here before, is left out: no claim file at" in " ".join(out.split())
        assert err == ["rlnorm: '.' holds no claim that can be reported."]


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_fits_eighty_columns(rlnorm: Run, words: list[str]):
    code, out, _ = rlnorm(*words, "--help")
    assert code == 0
    usage, *lines = out.splitlines()
    assert usage.startswith("usage: rlnorm")  # tyro leaves this one line to the terminal to wrap
    assert max(map(len, lines)) <= 80


def test_what_cannot_be_read_is_one_sentence_and_exit_code_2(rlnorm: Run, tmp_path: Path):
    for words in (["run", "bn-identity", "--seeds", "many"], ["rnu"], []):
        code, out, err = rlnorm(*words)
        assert (code, out, len(err)) == (2, "", 1)
        assert err[0].startswith("rlnorm: ")
    assert "Did you mean 'run'?" in rlnorm("rnu")[2][0]
    assert list(tmp_path.iterdir()) == []


def test_the_version_and_what_exit_codes_mean_are_told(rlnorm: Run):
    code, out, _ = rlnorm("--version")
    assert (code, out) == (0, f"rlnorm {version('rlnorm')}\n")
    said = " ".join(rlnorm("--help")[1].split())
    assert "130 interrupted, 143 or 129 told to end by SIGTERM or SIGHUP, everything finished is kept" in said


def test_what_cannot_decide_is_said_before(rlnorm: Run):
    asked = ("train", "--norms", "none,layer", "--steps", 1_200, "--dry-run", "--seeds")
    code, out, _ = rlnorm(*asked, 2)
    assert (code, out.startswith("--seeds 2 can decide nothing: fewer than 8 runs an arm are too few")) == (0, True)
    assert "can decide nothing" not in rlnorm(*asked, 8)[1]


def test_a_failure_of_all_is_not_said_to_keep_others(capsys: pytest.CaptureFixture[str]):
    def fails(result: StudyResult) -> str:
        def action() -> None:
            raise Failed(["a unit: why"], result)

        assert cli.guarded(action, "rlnorm again") == 1
        return capsys.readouterr().err

    assert "1 unit failed; none is finished. To try again:" in fails(studies.study(studies.dqn_claim()))
    one = studies.dqn_claim()
    some = replace(one, parts=(replace(one.parts[0], seconds=3.0), one.parts[1]))
    assert "1 unit failed; the others are kept. To try again:" in fails(studies.study(some))


SLOW = """
def slow(case):
    (HERE / "at work").touch()
    time.sleep(0.05)
    return 0.0

"""


def test_ctrl_c_while_workers_start_leaves_nobody_behind(tmp_path: Path):
    tiny.own(tmp_path, SLOW, ["slow"], cases=1200)
    process = tiny.start(tmp_path, "run", "work.py", "--out", "out")
    try:
        tiny.wait_until(lambda: (tmp_path / "out" / "study.json").exists())
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "To continue:" in err
        assert "Traceback" not in out + err
        tiny.wait_until(lambda: not tiny.members(process.pid), 10)
    finally:
        tiny.end(process)


FAILS = """
def always(case):
    os.kill(os.getpid(), signal.SIGKILL)

def fine(case):
    return 0.0
"""


def test_failed_units_are_said_the_rest_is_judged_and_the_exit_code_is_1(rlnorm: Run, tmp_path: Path):
    tiny.own(tmp_path, FAILS, ["always", "fine"])
    code, out, err = rlnorm("run", "work.py", "--out", "out")
    assert code == 1
    assert err == [
        "rlnorm: failed: work, always: 2 cases: its process was killed by SIGKILL, 2 times; out of memory is the usual "
        "cause.",
        "rlnorm: 1 unit failed; the others are kept. To try again:",
        "  rlnorm run work.py --out out",
    ]
    rows = {row["part"]: row["verdict"] for row in json.loads((tmp_path / "out" / "verdicts.json").read_text())}
    assert rows == {"overall": "insufficient", "always": "insufficient", "fine": "supported"}
    assert "insufficient" in out


class TestAClaimOfOnesOwn:
    def test_is_run_by_path_reported_from_anywhere_and_not_run_again(
        self, rlnorm: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        tiny.effect(tmp_path, "my_claim")
        code, out, err = rlnorm("run", "./my_claim.py", "--preset", "smoke", "--out", "out")
        assert (code, err) == (0, [])
        assert "2 units of work, 0 already settled." in out
        assert "[2/2] finished: my-claim, digits, common rate: " in out
        assert "TensorBoard: rlnorm board out" in out
        assert {path.name for path in (tmp_path / "out").iterdir()} == {
            "my-claim", "report.html", "study.json", "tensorboard", "units", "verdicts.json",
        }  # fmt: skip
        first = (tmp_path / "out" / "verdicts.json").read_text()
        monkeypatch.chdir("/")
        code, out, _ = rlnorm("report", tmp_path / "out")
        assert code == 0
        assert "units of work" not in out
        assert (tmp_path / "out" / "verdicts.json").read_text() == first
        code, out, _ = rlnorm("verify", tmp_path / "out")
        assert (code, out) == (0, "2 units, every one as it was written; 2 verdicts, judged again, are the same.\n")
        code, out, _ = rlnorm("report", tmp_path / "out", "--keep", tmp_path / "kept")
        page, table = (str(tmp_path / "kept" / f"my-claim{suffix}") for suffix in (".md", ".csv"))
        assert (code, out.splitlines()[-1]) == (0, f"Kept:        {page}, {table}")
        self.keeps_pages_whose_reader_left(tmp_path / "out", tmp_path / "kept", Path(page))
        code, out, _ = rlnorm("run", tmp_path / "my_claim.py", "--preset", "smoke", "--out", tmp_path / "out")
        assert code == 0
        assert "finished:" not in out
        self.shows_what_was_asked_for(rlnorm, tmp_path / "my_claim.py", tmp_path / "out")
        self.notices_what_is_missing(rlnorm, tmp_path / "out", tmp_path / "aside")

    def keeps_pages_whose_reader_left(self, folder: Path, kept: Path, page: Path) -> None:
        page.unlink()
        words = sys.executable, "-m", "rlnorm", "report", str(folder), "--keep", str(kept)
        with subprocess.Popen(words, stdout=subprocess.PIPE) as report:
            assert report.stdout is not None
            report.stdout.close()
        assert page.exists()

    def shows_what_was_asked_for(self, rlnorm: Run, claim: Path, folder: Path) -> None:
        asked = "run", claim, "--preset", "smoke", "--out", folder
        code, out, err = rlnorm(*asked, "--json")
        assert (code, out, err) == (0, (folder / "verdicts.json").read_text(), [])
        assert rlnorm(*asked, "--quiet") == (0, "", [])
        code, out, _ = rlnorm(*asked, "--dry-run")
        assert (code, out) == (0, "2 units of work, 2 of them finished and reused.\n")
        assert "Of my_claim: LayerNorm is better." not in rlnorm(*asked)[1]
        assert "Of my_claim: LayerNorm is better." in rlnorm(*asked, "--verbose")[1]
        code, out, _ = rlnorm("show", claim, "--results", folder)
        assert (code, "Of my_claim: LayerNorm is better." in out) == (0, True)
        assert max(map(len, out.splitlines())) <= 80
        code, out, _ = rlnorm("export", folder)
        assert (code, out.endswith(f" lines: {folder / 'records.csv'}\n")) == (0, True)
        code, out, _ = rlnorm("compare", folder, folder)
        assert (code, "2 parts in both, 0 with another verdict" in out) == (0, True)
        code, _, err = rlnorm("export", folder, "--csv", "--parquet")
        assert (code, err) == (2, ["rlnorm: --csv and --parquet exclude each other."])
        code, _, err = rlnorm("board", folder, "--claims", "my-clam")
        said = "unknown claim 'my-clam'. Did you mean 'my-claim'? Expected one of: my-claim."
        assert (code, err) == (2, [f"rlnorm: {said}"])
        code, _, err = rlnorm("show", "dqn-ln", "--results", folder)
        assert (code, err) == (2, [f"rlnorm: {str(folder)!r} holds nothing of dqn-ln; `rlnorm run dqn-ln` runs it."])

    def notices_what_is_missing(self, rlnorm: Run, folder: Path, aside: Path) -> None:
        units = sorted((folder / "units").glob("*.jsonl"))
        first = (folder / "verdicts.json").read_text()
        units[0].rename(aside)
        code, out, _ = rlnorm("report", folder)
        assert (code, "1 of 2 units are not there: what they decide is insufficient." in out) == (0, True)
        aside.rename(units[0])
        rlnorm("report", folder)
        (folder / "units").rename(aside)
        code, _, err = rlnorm("report", folder)
        said = f"rlnorm: {str(folder)!r} holds no finished unit of what was asked; its report is left as it is."
        assert (code, err) == (2, [said])
        assert (folder / "verdicts.json").read_text() == first
        aside.rename(folder / "units")
        (folder / "verdicts.json").write_text(first.replace("null", "1", 1))
        code, out, _ = rlnorm("verify", folder)
        assert (code, out) == (1, "verdicts.json: the row of my-claim, overall is not what is judged again.\n")

    def test_may_not_have_the_id_of_one_that_comes_with_rlnorm(self, rlnorm: Run, tmp_path: Path):
        tiny.effect(tmp_path, "dqn_ln")
        code, _, err = rlnorm("run", "dqn_ln.py", "--out", "out")
        assert code == 2
        assert err == ["rlnorm: 'dqn_ln.py' would be claim 'dqn-ln', which comes with rlnorm; rename the file."]
        assert not (tmp_path / "out").exists()

    def test_is_shown_by_path(self, rlnorm: Run, tmp_path: Path):
        tiny.effect(tmp_path, "my_claim")
        code, out, _ = rlnorm("show", "my_claim.py")
        assert code == 0
        assert out.startswith("my-claim: LayerNorm is better\nOf my_claim: LayerNorm is better.\n")


@pytest.mark.parametrize("words", [["list"], ["--help"]], ids=" ".join)
def test_what_only_shows_text_loads_no_heavy_library(tmp_path: Path, words: list[str]):
    code = (
        "import sys\nfrom rlnorm.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print('HEAVY', *({'torch', 'stable_baselines3'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    *shown, last = done.stdout.splitlines()
    assert len(shown) > 10
    assert last == "HEAVY"


def test_a_study_of_algebra_is_run_and_reported_without_what_only_training_needs(tmp_path: Path):
    """torch with its compiler takes 300 MB and seconds, which the process that waits for the units need not have."""
    tiny.own(tmp_path, "def case(case):\n    return 0.0", ["case"])
    code = (
        "import sys\nfrom rlnorm.__main__ import main\n"
        "main(['run', 'work.py', '--preset', 'smoke', '--out', 'out', '--quiet'])\n"
        "main(['report', 'out', '--quiet'])\n"
        "heavy = {'torch', 'scipy.stats', 'sklearn', 'matplotlib', 'stable_baselines3', 'rlnorm.nn', 'pandas'}\n"
        "print('HEAVY', *(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "HEAVY\n"), done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_every_case_of_bad_input_that_was_asked_for_is_here():
    words = " ".join(BAD_INPUT)
    assert all(name in words for name in ("claim", "part", "preset", "kind", "norm", "environment", "continuous"))
    assert all(name in words for name in ("no claim", "seeds", "jobs", "steps"))


def test_too_few_seeds_and_a_library_that_is_missing_are_refused_before_anything_runs(capsys, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *of: None if name == "envpool" else find(name, *of))
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "dqn-ln", "--seeds", "2", "--environments", "envpool", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "--seeds must be at least 8, got 2: fewer runs of an arm are not judged" in said
    assert said.count("dqn-ln: environments 'envpool' needs EnvPool, which is not installed") == 1
    assert not (tmp_path / "out").exists()
