import hashlib
import json
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny

from rlnorm import files
from rlnorm.files import Held
from rlnorm.study.claim import Record
from rlnorm.study.claim.load import by_path
from rlnorm.study.claim.scored import series
from rlnorm.study.plan import Request, unit
from rlnorm.study.run import Store

UNIT = tiny.unit()
ROWS = [
    {"step": 1, "loss": [float("nan"), 0.1, float("inf")], "epsilon": 1.0, "diverged": [False, False, True]},
    {"step": 2, "loss": [0.5, 0.1, -float("inf")], "epsilon": 0.5, "diverged": [False, False, True]},
]


def written(folder: Path) -> Store:
    Store(folder).write(UNIT, ROWS, iter([10.0, 12.5]).__next__)
    return Store(folder)


class TestWriting:
    def test_what_was_written_is_read_and_what_is_no_number_is_nan(self, tmp_path: Path):
        rows = written(tmp_path).read(UNIT)
        assert rows.seconds == 2.5
        assert [record["step"] for record in rows.records] == [1, 2]
        np.testing.assert_equal(series(rows.records, "loss", 0), [np.nan, 0.5])
        np.testing.assert_equal(series(rows.records, "loss", 1), [0.1, 0.1])
        np.testing.assert_equal(series(rows.records, "loss", 2), [np.nan, np.nan])

    def test_the_file_is_json_lines_between_a_header_and_an_end(self, tmp_path: Path):
        lines = written(tmp_path).path(UNIT).read_text().splitlines()
        header, first, _, end = (json.loads(line, parse_constant=pytest.fail) for line in lines)
        assert header["unit"] == UNIT.id
        assert (header["engine"], header["seeds"], header["lrs"], header["steps"]) == ("supervised", [0], [0.05], 3)
        assert header["settings"]["hidden"] == [8]
        assert header["versions"] == unit.versions()
        assert first["loss"] == [None, 0.1, None]
        assert {**end, "sha256": ""} == {"end": True, "seconds": 2.5, "records": 2, "sha256": ""}
        summed = written(tmp_path).path(UNIT).read_text().partition(',"sha256"')[0]
        assert end["sha256"] == hashlib.sha256(summed.encode()).hexdigest()

    def test_grows_line_by_line_and_has_its_name_only_when_complete(self, tmp_path: Path):
        kept, seen = Store(tmp_path), list[str]()

        def watched() -> Iterator[Record]:
            for i, row in enumerate(ROWS):
                (partial,) = kept.units.glob("*.partial")
                text = partial.read_text()
                assert text.startswith(seen[-1] if seen else "")
                assert text.count("\n") == i + 1
                assert not kept.finished(UNIT)
                assert kept.records_so_far([UNIT]) == {UNIT: i}
                seen.append(text)
                yield row

        kept.write(UNIT, watched(), lambda: 0.0)
        assert [path.name for path in kept.units.iterdir()] == [f"{UNIT.id}.jsonl"], "nor a lock"
        assert kept.path(UNIT).read_text().startswith(seen[-1])
        assert kept.finished(UNIT)
        assert kept.records_so_far([UNIT]) == {UNIT: 0}

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x")])
    def test_what_stops_half_way_leaves_nothing(self, tmp_path: Path, error: BaseException):
        def broken() -> Iterator[Record]:
            yield ROWS[0]
            raise error

        with pytest.raises(type(error)):
            Store(tmp_path).write(UNIT, broken(), lambda: 0.0)
        assert list((tmp_path / "units").iterdir()) == []

    def test_a_full_disk_is_not_taken_for_a_finished_unit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            Store(tmp_path).write(UNIT, ROWS, lambda: 0.0)
        assert not Store(tmp_path).finished(UNIT)
        assert list((tmp_path / "units").iterdir()) == []

    def test_is_on_the_disk_before_it_has_its_name_and_its_name_after(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        synced, fsync = list[str](), os.fsync

        def seen(file: int) -> None:
            synced.append(Path(os.readlink(f"/proc/self/fd/{file}")).name)
            assert (synced[-1] == "units") == Store(tmp_path).finished(UNIT)
            fsync(file)

        monkeypatch.setattr(files.os, "fsync", seen)
        written(tmp_path)
        assert len(synced) == 2
        assert synced[0].endswith(".partial")

    def test_one_process_at_a_time_does_a_unit(self, tmp_path: Path):
        store = Store(tmp_path)

        def meanwhile() -> Iterator[Record]:
            assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in str(store.holder(UNIT))
            with pytest.raises(Held, match=f"process {os.getpid()} on"):
                Store(tmp_path).write(UNIT, ROWS, lambda: 0.0)
            Store(tmp_path).clear_partial()
            yield from ROWS

        store.write(UNIT, meanwhile(), lambda: 0.0)
        assert store.finished(UNIT)
        assert store.holder(UNIT) is None
        assert [path.name for path in store.units.iterdir()] == [f"{UNIT.id}.jsonl"]


class TestReading:
    def test_a_torn_file_is_never_read_as_finished(self, tmp_path: Path):
        path = written(tmp_path).path(UNIT)
        whole = path.read_bytes()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            torn = Store(tmp_path)
            assert not torn.finished(UNIT), length
            assert torn._older == Store(tmp_path, any_version=True)._older == {}
        with pytest.raises(FileNotFoundError, match="is not finished"):
            Store(tmp_path).read(UNIT)
        path.write_bytes(whole)
        assert Store(tmp_path).finished(UNIT)

    def test_a_missing_unit_is_not_finished(self, tmp_path: Path):
        assert not Store(tmp_path).finished(UNIT)
        assert not Store(tmp_path / "nowhere", any_version=True).finished(UNIT)
        assert Store(tmp_path / "nowhere").records_so_far([UNIT]) == {UNIT: 0}

    def test_of_two_attempts_the_newer_one_counts(self, tmp_path: Path):
        """The first was killed and left its file."""
        kept, other = written(tmp_path), tiny.unit(seed=1)
        for age, name, count in ((60, "0000000a", 5), (0, "00000000", 2)):
            partial = kept.units / f"{other.id}.jsonl.{name}.partial"
            partial.write_text("{}\n" * (1 + count))
            os.utime(partial, (time.time() - age, time.time() - age))
        assert kept.records_so_far([UNIT, other]) == {UNIT: 0, other: 2}
        assert kept.partial(other) == kept.units / f"{other.id}.jsonl.00000000.partial"

    def test_the_last_record_is_read_without_keeping_the_others(self, tmp_path: Path):
        kept = written(tmp_path)
        assert kept.last_record(UNIT) == {**kept.read(UNIT).records[-1]}
        assert kept.last_record(tiny.unit(seed=1)) == {}
        fresh = Store(tmp_path)
        assert fresh.last_record(UNIT)["step"] == 2
        assert not fresh._read
        Store(tmp_path).write(none := tiny.unit(seed=2), [], lambda: 0.0)
        assert kept.last_record(none) == {}

    def test_older_versions_are_found_only_where_asked_for_and_the_own_one_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        written(tmp_path)
        monkeypatch.setattr("rlnorm.study.plan.unit.code_hash", lambda roots: "changed")
        newer = tiny.unit()
        assert not Store(tmp_path).finished(newer)
        assert Store(tmp_path, any_version=True).read(newer).records[1]["epsilon"] == 0.5
        Store(tmp_path).write(newer, [{"step": 1, "epsilon": 0.25}], lambda: 0.0)
        for any_version in (False, True):
            (record,) = Store(tmp_path, any_version).read(newer).records
            assert record["epsilon"] == 0.25
        assert len(list((tmp_path / "units").glob("*.jsonl"))) == 2

    def test_another_question_is_not_answered_by_older_rows(self, tmp_path: Path):
        written(tmp_path)
        assert not Store(tmp_path, any_version=True).finished(tiny.unit(steps=4))

    def test_older_rows_of_an_exact_part_are_found_by_what_they_answer(self, tmp_path: Path):
        """Older headers named a question that also held the text of the claim's file."""
        path = tiny.own(tmp_path, "def case(case):\n    return 0.0", ["case"])
        (unit,) = tiny.units([Request(by_path(path), "smoke")], Store(tmp_path))
        Store(tmp_path).write(unit, [{"step": 1, "size": 1, "error": 0.0}], lambda: 0.0)
        (written,) = (tmp_path / "units").iterdir()
        without_sum(written)
        written.write_text(written.read_text().replace(unit.question, "x" * 20).replace(unit.id, "y" * 20))
        written.rename(written.with_stem("y" * 20))
        assert Store(tmp_path).find(unit) is None
        assert Store(tmp_path, any_version=True).find(unit) is not None

    def test_files_from_before_the_sum_are_read_if_they_hold_what_they_must(self, tmp_path: Path):
        path = written(tmp_path).path(UNIT)
        rows = Store(tmp_path).read(UNIT)
        without_sum(path)
        assert Store(tmp_path).read(UNIT) == rows
        kept = Store(tmp_path, any_version=True)
        path.unlink()
        assert kept.read(UNIT) == rows, "it had to be read to be checked, and is not read again"
        written(tmp_path)
        without_sum(path)
        header, first, second, end = path.read_bytes().splitlines(keepends=True)
        for lines in (
            (header, second, first, end),
            (header, first, first, second, end),
            (header, first, second[:-9] + b"\n", end),
            (header, first[:-1] + b"," + second, end),
            (header, first, b"[" + second[:-1] + b"]\n", end),
            (header, first, second, b'{"end":true}\n'),
            (header, first, second),
            (header.replace(UNIT.id.encode(), b"another"), first, second, end),
            (header, first, second, end.replace(b"}", b',"x":0}')),
        ):
            path.write_bytes(b"".join(lines))
            assert not Store(tmp_path).finished(UNIT)


def without_sum(path: Path) -> None:
    """Make a unit's file one of those from before the sum."""
    path.write_text(path.read_text().partition(',"records"')[0] + "}\n")


def crlf(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def lines_of(path: Path, *order: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[i] for i in order))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def forged(path: Path) -> None:
    """A file whose sum is right, and which is no unit's."""
    content = b'[1]\n{"end":true'
    path.write_bytes(content + f',"sha256":"{hashlib.sha256(content).hexdigest()}"}}\n'.encode())


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "cut off": (lambda path: os.truncate(path, 400), "it is cut off"),
    "a lost line": (lambda path: lines_of(path, 0, 2, 3), "its sum is another"),
    "a doubled line": (lambda path: lines_of(path, 0, 1, 1, 2, 3), "its sum is another"),
    "swapped lines": (lambda path: lines_of(path, 0, 2, 1, 3), "its sum is another"),
    "no end": (lambda path: lines_of(path, 0, 1, 2), "it has no end"),
    "CRLF": (crlf, "it is cut off"),
    "another digit": (lambda path: path.write_text(path.read_text().replace("0.5", "0.6")), "its sum is another"),
    "garbage": (lambda path: path.write_bytes(os.urandom(999) + b"}\n"), "a line is no record"),
    "no unit's": (forged, "it is no file of rlnorm's"),
    "a folder": (folder, "Is a directory"),
    "a circle of links": (loop, "Too many levels of symbolic links"),
}


class TestDamage:
    @pytest.mark.parametrize("what", DAMAGE)
    def test_is_never_read_but_said_set_aside_and_done_again(self, tmp_path: Path, what: str):
        path = written(tmp_path).path(UNIT)
        rows, (damage, why) = Store(tmp_path).read(UNIT), DAMAGE[what]
        damage(path)
        for any_version in (True, False):
            store = Store(tmp_path, any_version)
            assert store.find(UNIT) is None
            assert list(store.left_out()) == [
                f"{str(path)!r} is damaged ({why}) and left out; `rlnorm run` does its unit again."
            ]
        assert list(store.set_aside()) == [
            f"{str(path)!r} is damaged ({why}): it is now '{UNIT.id}.0.damaged', and its unit is done again."
        ]
        assert list(store.set_aside()) == []
        written(tmp_path)
        assert store.read(UNIT) == rows
        damage(path)
        again = Store(tmp_path)
        assert not again.finished(UNIT)
        assert f"'{UNIT.id}.1.damaged'" in next(again.set_aside())
        assert sorted(path.suffix for path in store.units.iterdir()) == [".damaged", ".damaged"]

    def test_of_one_bit_is_noticed_wherever_it_is(self, tmp_path: Path):
        path = written(tmp_path).path(UNIT)
        whole = path.read_bytes()
        assert len(whole) > 900
        for i in range(len(whole)):
            path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
            assert not Store(tmp_path).finished(UNIT), i

    def test_of_one_unit_leaves_the_others(self, tmp_path: Path):
        other = tiny.unit(seed=1)
        Store(tmp_path).write(other, ROWS, lambda: 0.0)
        path = written(tmp_path).path(UNIT)
        path.write_bytes(Store(tmp_path).path(other).read_bytes())
        for any_version in (False, True):
            store = Store(tmp_path, any_version)
            assert store.find(UNIT) is None
            assert store.find(other) is not None
            assert store.damaged == {path: f"it holds unit {other.id}"}


def test_partial_files_of_the_dead_are_cleared_and_those_of_the_living_are_not(tmp_path: Path):
    """The dead: a process killed while it writes. Files that are not ours stay."""
    units = tmp_path / "units"
    writing = multiprocessing.get_context("fork").Process(
        target=Store(tmp_path).write, args=(UNIT, for_ever(), time.monotonic)
    )
    writing.start()
    try:
        tiny.wait_until(lambda: list(units.glob("*.partial")), 20)
        Store(tmp_path).clear_partial()
        assert f"process {writing.pid} on" in str(Store(tmp_path).holder(UNIT))
    finally:
        writing.kill()
        writing.join()
    assert {path.suffix for path in units.iterdir()} == {".partial", ".lock"}
    (units / "notes.partial").touch()
    Store(tmp_path).clear_partial()
    assert [path.name for path in units.iterdir()] == ["notes.partial"]


def for_ever() -> Iterator[Record]:
    """Records that end with the process."""
    yield ROWS[0]
    time.sleep(600)
