"""Studies from question to files, with real units of three updates."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
import tiny
from rich.console import Console

from rlnorm.errors import ConfigError
from rlnorm.files import locked
from rlnorm.study import study as module
from rlnorm.study.claim import load
from rlnorm.study.judge import StudyResult
from rlnorm.study.plan import Request, unit
from rlnorm.study.plan.request import compared
from rlnorm.study.report import write
from rlnorm.study.report.verdicts import FIELDS, listed
from rlnorm.study.run import Store
from rlnorm.study.run.history import asked_before, remember
from rlnorm.study.study import Failed, Interrupted, errors, out_errors, results
from rlnorm.study.study import study as run_study


def asked(folder: Path, name: str = "tiny", steps: int = 3, more: str = "", **options: object) -> Request:
    return Request(load.by_path(tiny.effect(folder, name, steps, more)), "smoke", **options)  # pyright: ignore[reportArgumentType]


def done(asked: list[Request], out: Path, before: list[Request] | None = None) -> tuple[StudyResult, str]:
    """-> the result and what was said on the way."""
    said = io.StringIO()
    console = Console(file=said, width=80, highlight=False)
    return run_study(asked, out, jobs=2, console=console, before=before or ()), said.getvalue()


def rows(out: Path) -> list[dict[str, object]]:
    return json.loads((out / "verdicts.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyResult, str]:
    """One study of a claim with a common rate and one with its own best of two: folder, result, what was said."""
    folder = tmp_path_factory.mktemp("study")
    both = [asked(folder), asked(folder, "rates", 4, ", rates=(0.01, 0.05)")]
    return folder / "out", *done(both, folder / "out")


class TestWhatIsWritten:
    def test_verdicts_have_exactly_their_fields(self, finished: tuple[Path, StudyResult, str]):
        out, result, _ = finished
        found = rows(out)
        expected = ["claim", "part", "verdict", "estimate", "low", "high", "margin", "n", "diverged", "preset", "steps"]
        assert all(list(row) == expected for row in found)
        assert list(FIELDS) == expected
        assert [(row["claim"], row["part"]) for row in found] == [
            ("tiny", "overall"),
            ("tiny", "digits, common rate"),
            ("rates", "overall"),
            ("rates", "digits, common rate"),
        ]
        part = found[1]
        assert (part["n"], part["margin"], part["preset"], part["steps"]) == (8, 0.01, "smoke", 3)
        assert part["low"] < part["estimate"] < part["high"]  # pyright: ignore[reportOperatorIssue]
        assert (found[0]["estimate"], found[0]["n"]) == (None, None)
        assert [row["verdict"] for row in found] == [verdict.outcome for verdict in listed(result)]

    def test_the_folder_is_laid_out_as_said(self, finished: tuple[Path, StudyResult, str]):
        out, _, _ = finished
        assert {path.name for path in out.iterdir()} == {
            "units", "tiny", "rates", "report.html", "verdicts.json", "study.json", "tensorboard",
        }  # fmt: skip
        for claim in ("tiny", "rates"):
            assert {path.name for path in (out / claim).iterdir()} == {"verdict.json", "scores.csv"}
        assert {path.suffix for path in (out / "units").iterdir()} == {".jsonl"}
        assert "Of tiny: LayerNorm is better." in (out / "report.html").read_text()

    def test_scores_hold_every_judged_run(self, finished: tuple[Path, StudyResult, str]):
        out, result, _ = finished
        table = list(csv.DictReader(io.StringIO((out / "tiny" / "scores.csv").read_text())))
        assert len(table) == 16
        scores = [float(row["score"]) for row in table if row["arm"] == "layer"]
        assert scores == pytest.approx(list(result.claims[0].parts[0].arms["layer"].scores), abs=1e-6)

    def test_rates_are_chosen_first_and_judged_after(self, finished: tuple[Path, StudyResult, str]):
        out, result, said = finished
        assert said.count("units of work") == 2
        assert "4 units of work, 0 already settled." in said
        assert "6 units of work, 4 already settled." in said
        assert len(list((out / "units").iterdir())) == 6
        arms = result.claims[1].parts[0].arms
        assert {arm.rate for arm in arms.values()} <= {0.01, 0.05}

    def test_report_gives_the_same_verdicts_without_training(self, finished: tuple[Path, StudyResult, str]):
        out, result, _ = finished
        kept, lost = asked_before(out, {})
        assert lost == []
        again = results([(one, Store(out, any_version=True)) for one in kept])
        assert [vars(verdict) for verdict in listed(again)] == [vars(verdict) for verdict in listed(result)]

    def test_the_same_study_again_trains_nothing(self, finished: tuple[Path, StudyResult, str]):
        out, _, _ = finished
        before = {path: path.stat().st_mtime_ns for path in (out / "units").iterdir()}
        first = rows(out)
        kept, _ = asked_before(out, {})
        _, said = done(kept, out)
        assert "units of work" not in said
        assert {path: path.stat().st_mtime_ns for path in (out / "units").iterdir()} == before
        assert rows(out) == first


def test_parts_asked_for_earlier_stay_part_of_the_claim(tmp_path: Path):
    out, whole = tmp_path / "out", asked(tmp_path)
    done([whole], out)
    result, _ = done([replace(whole, parts=("digits",))], out)
    assert [part.name for part in result.claims[0].parts] == ["digits, common rate"]
    assert asked_before(out, {})[0][0].parts == (), "all parts were asked for before"
    remember([replace(whole, parts=("a",), seeds=9)], out)
    assert remember([replace(whole, parts=("b", "a"), seeds=9)], out) == {"tiny": ("a", "b")}
    assert remember([replace(whole, parts=("b",), seeds=10)], out) == {"tiny": ("b",)}


def test_changed_sources_are_trained_anew_and_older_rows_still_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out, one, two = tmp_path / "out", asked(tmp_path), asked(tmp_path, "other")
    done([one], out)
    before = set((out / "units").iterdir())
    first = rows(out)
    monkeypatch.setattr(unit, "code_hash", lambda roots: "changed")
    # Shown again, from rows of other sources ...
    kept, _ = asked_before(out, {})
    shown = results([(each, Store(out, any_version=True)) for each in kept])
    assert [verdict.outcome for verdict in listed(shown)] == [row["verdict"] for row in first]
    # ... but never computed on: the same arms are trained again, beside the old ones.
    _, said = done([two], out, before=kept)
    assert "2 units of work, 0 already settled." in said
    assert before < set((out / "units").iterdir())
    assert len(list((out / "units").iterdir())) == 4
    assert [row["claim"] for row in rows(out)] == ["tiny", "tiny", "other", "other"]


def test_claims_asked_before_stay_in_the_folder_and_share_their_units(tmp_path: Path):
    out = tmp_path / "out"
    done([asked(tmp_path)], out)
    kept, _ = asked_before(out, {})
    _, said = done([asked(tmp_path, "second")], out, before=kept)
    assert "units of work" not in said
    assert [row["claim"] for row in rows(out)] == ["tiny", "tiny", "second", "second"]
    assert all(text in (out / "report.html").read_text() for text in ("Of tiny", "Of second"))
    kept, lost = asked_before(out, {})
    assert [one.file.id for one in kept] == ["tiny", "second"]
    assert lost == []


class TestMemory:
    def test_keeps_how_each_claim_was_asked(self, tmp_path: Path):
        own = asked(tmp_path, parts=("digits",), seeds=3)
        train = compared("CartPole-v1", ["none", "layer"], 2, 2_000, 0.01)
        remember([own, train], tmp_path / "out")
        kept, lost = asked_before(tmp_path / "out", {})
        assert lost == []
        assert [(one.file.id, one.preset, one.parts, one.seeds) for one in kept] == [
            ("tiny", "smoke", ("digits",), 3),
            (train.file.id, "full", (), 2),
        ]
        assert kept[1].arguments == train.arguments
        assert kept[0].file.own

    def test_says_what_is_gone(self, tmp_path: Path):
        one = asked(tmp_path)
        remember([one], tmp_path / "out")
        (tmp_path / "tiny.py").unlink()
        kept, lost = asked_before(tmp_path / "out", {})
        assert kept == []
        assert len(lost) == 1
        assert lost[0].startswith("claim 'tiny', asked here before, is left out: no claim file at")

    def test_of_an_empty_folder_is_empty(self, tmp_path: Path):
        assert asked_before(tmp_path, {}) == ([], [])


class TestErrors:
    def test_are_found_before_anything_is_written(self, tmp_path: Path):
        wrong = asked(tmp_path, parts=("no such part",))
        with pytest.raises(ConfigError, match="unknown part of tiny"):
            done([wrong], tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_are_each_said_once(self, tmp_path: Path):
        wrong = asked(tmp_path, parts=("no such part",))
        assert len(list(errors([wrong, wrong], tmp_path / "out"))) == 1

    def test_of_folders(self, tmp_path: Path):
        (tmp_path / "file").write_text("")
        assert list(out_errors(tmp_path / "a" / "b")) == []
        assert "is a file, not a folder" in next(out_errors(tmp_path / "file"))
        assert "is a file, not a folder" in next(out_errors(tmp_path / "file" / "below" / "it"))


def test_an_interrupted_study_says_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run", interrupted)
    with pytest.raises(Interrupted) as caught:
        done([asked(tmp_path)], tmp_path / "out")
    assert (caught.value.done, caught.value.left) == (0, 2)


def test_a_selection_that_fails_leaves_its_part_insufficient_and_ends(tmp_path: Path):
    path = tiny.effect(tmp_path, "rates", more=", rates=(0.01, 0.05)")
    units = tmp_path / "out" / "units"
    units.parent.mkdir()
    units.write_text("a file where the folder of units should be")
    with pytest.raises(Failed) as caught:
        done([Request(load.by_path(path), "smoke")], tmp_path / "out")
    assert len(caught.value.sentences) == 2
    assert all("cannot be written" in sentence for sentence in caught.value.sentences)
    assert rows(tmp_path / "out")[0]["verdict"] == "insufficient"


def test_writing_again_replaces_what_was_there(finished: tuple[Path, StudyResult, str]) -> None:
    out, result, _ = finished
    first = rows(out)
    write(result, out, per_seed=True)
    assert rows(out) == first
    assert list((out / "tensorboard" / "tiny").rglob("seed-8"))


def test_what_two_ask_at_once_is_kept_of_both(tmp_path: Path):
    """While one holds the folder, the other waits, and then adds to what it finds."""
    out, first, second = tmp_path / "out", asked(tmp_path, "first"), asked(tmp_path, "second")
    with locked(out):
        waiting = Thread(target=remember, args=([second], out))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    waiting.join(10)
    remember([first], out)
    assert [one.file.id for one in asked_before(out, {})[0]] == ["second", "first"]


def test_rows_keep_the_commit_that_computed_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one, out = asked(tmp_path), tmp_path / "out"
    done([one], out)
    made = unit.commit()
    monkeypatch.setattr(module, "commit", lambda: "another")
    shown = results([(one, Store(out, any_version=True))])
    assert shown.commit == "another"
    assert shown.claims[0].parts[0].commits == ((made,) if made else ())
