"""Studies from question to files, with real units of three updates."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
import tiny
from rich.console import Console

from rlnorm import cli
from rlnorm.errors import ConfigError
from rlnorm.files import locked
from rlnorm.study import study as module
from rlnorm.study.claim import load
from rlnorm.study.judge import StudyResult
from rlnorm.study.plan import Request, plan, unit
from rlnorm.study.plan.request import compared
from rlnorm.study.report import tensorboard, write
from rlnorm.study.report.verdicts import FIELDS, listed
from rlnorm.study.run import Store
from rlnorm.study.run.history import asked_before, remember, replaced
from rlnorm.study.study import Failed, Interrupted, errors, out_errors, results, verify
from rlnorm.study.study import study as run_study


def asked(folder: Path, name: str = "tiny", steps: int = 3, more: str = "", **options: object) -> Request:
    return Request(load.by_path(tiny.effect(folder, name, steps, more)), "smoke", **options)  # pyright: ignore[reportArgumentType]


def done(asked: list[Request], out: Path, before: list[Request] | None = None) -> tuple[StudyResult, str]:
    """-> the result and what was said on the way."""
    said = io.StringIO()
    console = Console(file=said, width=80, highlight=False)
    return run_study(asked, out, jobs=2, console=console, before=before or ()), said.getvalue()


def judged(requests: list[Request], out: Path) -> StudyResult:
    """What `report` makes of them."""
    store = Store(out, any_version=True)
    return results([(plan(one, store.records), store) for one in requests])


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
        assert all([field for field in row if field in FIELDS] == expected for row in found)
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
        assert {path.suffix for path in (out / "units").iterdir()} == {".jsonl", ".json"}
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
        assert len(Store(out).files()) == 6
        arms = result.claims[1].parts[0].arms
        assert {arm.rate for arm in arms.values()} <= {0.01, 0.05}

    def test_report_gives_the_same_verdicts_without_training(self, finished: tuple[Path, StudyResult, str]):
        out, result, _ = finished
        kept, lost = asked_before(out, {})
        assert lost == []
        again = judged(kept, out)
        assert [vars(verdict) for verdict in listed(again)] == [vars(verdict) for verdict in listed(result)]

    def test_the_same_study_again_trains_nothing(self, finished: tuple[Path, StudyResult, str]):
        out, _, _ = finished
        before = {path: path.stat().st_mtime_ns for path in Store(out).files()}
        first = rows(out)
        kept, _ = asked_before(out, {})
        page = (out / "report.html").stat()
        events = {path: path.stat().st_mtime_ns for path in out.rglob("events.out.*")}
        _, said = done(kept, out)
        assert "units of work" not in said
        assert (out / "report.html").stat().st_ino == page.st_ino, "nor draws what would come out the same"
        assert {path: path.stat().st_mtime_ns for path in out.rglob("events.out.*")} == events
        assert {path: path.stat().st_mtime_ns for path in Store(out).files()} == before
        assert rows(out) == first

    def test_a_board_is_made_anew_from_the_rows(self, finished: tuple[Path, StudyResult, str], monkeypatch):
        out, _, _ = finished
        before = {path.parent: path.name for path in out.rglob("events.out.*")}
        (out / "tensorboard" / "tiny").rename(out / "tensorboard" / "lost")
        shown = list[Path]()
        monkeypatch.setattr(tensorboard, "board", lambda directory, port: shown.append(directory))
        cli.main(["board", str(out), "--rebuild"])
        again = {path.parent: path.name for path in out.rglob("events.out.*")}
        assert shown == [out]
        assert again.keys() == before.keys()
        assert not set(again.values()) & set(before.values())


NOT_THE_SAME = [
    "2 of 2 units are not there; `rlnorm run` does them.",
    "verdicts.json: the row of tiny, overall is not what is judged again.",
    "verdicts.json: the row of tiny, digits, common rate is not what is judged again.",
]


def test_damaged_rows_are_said_set_aside_and_computed_again(tmp_path: Path):
    out, one = tmp_path / "out", asked(tmp_path)
    done([one], out)
    first, whole = rows(out), {path: path.read_bytes() for path in Store(out).files()}
    flipped, cut = whole
    flipped.write_bytes(whole[flipped].replace(b"0.", b"1.", 1))
    cut.write_bytes(whole[cut][:300])
    kept = Store(out, any_version=True)
    assert verify(out, [one], kept)[1] == [*(f"{path}: {why}." for path, why in kept.damaged.items()), *NOT_THE_SAME]
    assert len(kept.damaged) == 2
    assert verify(out, [], kept)[1][2:] == NOT_THE_SAME[1:], "nor where nothing can be judged"
    _, said = done([one], out)
    assert verify(out, [one], Store(out, any_version=True)) == (
        "2 units, every one as it was written; 2 verdicts, judged again, are the same.",
        [],
    )
    said = " ".join(said.split())
    assert "is damaged (its sum is another): it is now" in said
    assert "is damaged (it is cut off): it is now" in said
    assert "2 units of work, 0 already settled." in said
    assert rows(out) == first
    for path, content in whole.items():
        assert [json.loads(line) for line in content.splitlines()[:-1]] == [
            json.loads(line) for line in path.read_bytes().splitlines()[:-1]
        ]
    assert len(list((out / "units").glob("*.damaged"))) == 2


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
    shown = judged(kept, out)
    assert [verdict.outcome for verdict in listed(shown)] == [row["verdict"] for row in first]
    # ... also where a command asks for other parts of the claim ...
    with monkeypatch.context() as patch:
        patch.setattr(module, "_run_all", lambda *_: [])
        result, _ = done([one], out)
    assert [verdict.outcome for verdict in listed(result)] == [row["verdict"] for row in first]
    # ... but never computed on: the same arms are trained again, beside the old ones.
    _, said = done([two], out, before=kept)
    assert "2 units of work, 0 already settled." in said
    assert before < set((out / "units").iterdir())
    assert len(Store(out).files()) == 4
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
        own = asked(tmp_path, parts=("digits",), seeds=3, after=8)
        train = compared("CartPole-v1", ["none", "layer"], 2, 2_000, 0.01)
        remember([own, train], tmp_path / "out")
        kept, lost = asked_before(tmp_path / "out", {})
        assert lost == []
        assert [(one.file.id, one.preset, one.parts, one.seeds, one.after) for one in kept] == [
            ("tiny", "smoke", ("digits",), 3, 8),
            (train.file.id, "smoke", (), 2, 0),
        ]
        assert list(replaced([replace(own, after=0)], tmp_path / "out")) == [
            "tiny was asked here at preset smoke with 3 seeds after the first 8 before, and at preset smoke with 3 "
            "seeds now: what is asked now is shown. The earlier units are kept, and shown again when they are asked "
            "for."
        ]
        other = compared("CartPole-v1", ["none", "layer"], 2, 2_000, 0.02)
        assert "was asked here with lr 0.01 before: what is asked now" in next(replaced([other], tmp_path / "out"))
        assert list(replaced([own, train], tmp_path / "out")) == []
        assert kept[1].arguments == train.arguments
        assert kept[0].file.own

    def test_keeps_who_steps_the_environments(self, tmp_path: Path):
        """Of a claim and of a comparison; asked for anew by another, a claim's parts are no more those of before."""
        claim = Request(load.shipped()["dqn-inputs"], "smoke", ("CartPole-v1",), environments="gymnasium")
        train = compared("CartPole-v1", ["none", "layer"], 8, 2_000, environments="gymnasium")
        out = tmp_path / "out"
        remember([claim, train], out)
        kept, lost = asked_before(out, load.shipped())
        assert lost == []
        assert [one.command for one in kept] == [claim.command, train.command]
        assert "--environments gymnasium" in claim.command
        assert remember([replace(claim, environments=None, parts=("Acrobot-v1",))], out) == {claim.id: ("Acrobot-v1",)}

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
        (tmp_path / "units").write_text("")
        assert "units' is a file, not a folder" in next(out_errors(tmp_path))

    def test_of_a_disk_without_room(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(module, "LEAST_FREE", 10**18)
        (said,) = out_errors(tmp_path / "out")
        assert re.fullmatch(
            rf"cannot write results to --out '{tmp_path}/out': [\d.]+ MB are free .* at least .* MB\.", said
        )


def test_an_interrupted_study_says_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run", interrupted)
    with pytest.raises(Interrupted) as caught:
        done([asked(tmp_path)], tmp_path / "out")
    assert (caught.value.done, caught.value.left) == (0, 2)


def test_a_selection_that_fails_leaves_its_part_insufficient_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tiny.effect(tmp_path, "rates", more=", rates=(0.01, 0.05)")
    monkeypatch.setattr(module, "run", lambda missing, *_: dict.fromkeys(missing, "there was no luck."))
    with pytest.raises(Failed) as caught:
        done([Request(load.by_path(path), "smoke")], tmp_path / "out")
    assert len(caught.value.sentences) == 2
    assert all("there was no luck" in sentence for sentence in caught.value.sentences)
    assert rows(tmp_path / "out")[0]["verdict"] == "insufficient"


def test_why_units_failed_is_said_though_the_report_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    one = asked(tmp_path)
    monkeypatch.setattr(module, "run", lambda missing, *_: dict.fromkeys(missing, "there was no luck."))
    with pytest.raises(Failed) as caught:
        done([one], tmp_path / "out")
    first, second, third = caught.value.sentences
    assert "there was no luck" in first
    assert "there was no luck" in second
    assert third == f"the report cannot be written to '{tmp_path}/out': Is a directory."


def test_a_rerun_in_another_size_says_what_it_replaces(tmp_path: Path):
    out, one = tmp_path / "out", asked(tmp_path)
    done([one], out)
    assert list(replaced([one], out)) == []
    other = replace(one, seeds=9)
    assert list(replaced([other], out)) == [
        "tiny was asked here at preset smoke before, and at preset smoke with 9 seeds now: what is asked now is shown. "
        "The earlier units are kept, and shown again when they are asked for."
    ]


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
    shown = judged([one], out)
    assert shown.commit == "another"
    assert shown.claims[0].parts[0].commits == ((made,) if made else ())
