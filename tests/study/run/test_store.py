import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny

from rlnorm.study.claim import Record
from rlnorm.study.claim.load import by_path
from rlnorm.study.claim.scored import series
from rlnorm.study.plan import Request, unit
from rlnorm.study.run import Store, store

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
        assert end == {"end": True, "seconds": 2.5}

    def test_grows_line_by_line_and_has_its_name_only_when_complete(self, tmp_path: Path):
        kept, seen = Store(tmp_path), list[str]()

        def watched() -> Iterator[Record]:
            for i, row in enumerate(ROWS):
                (partial,) = kept.units.glob("*.partial")
                text = partial.read_text()
                assert text.startswith(seen[-1] if seen else "")
                assert text.count("\n") == i + 1
                assert not kept.finished(UNIT)
                assert kept.records_so_far(UNIT) == i
                seen.append(text)
                yield row

        kept.write(UNIT, watched(), lambda: 0.0)
        assert [path.name for path in kept.units.iterdir()] == [f"{UNIT.id}.jsonl"]
        assert kept.path(UNIT).read_text().startswith(seen[-1])
        assert kept.finished(UNIT)
        assert kept.records_so_far(UNIT) == 0

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

        monkeypatch.setattr(store.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            Store(tmp_path).write(UNIT, ROWS, lambda: 0.0)
        assert not Store(tmp_path).finished(UNIT)
        assert list((tmp_path / "units").iterdir()) == []


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
        assert Store(tmp_path).records_so_far(UNIT) == 0

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


def test_partial_files_of_the_dead_are_cleared_and_those_of_the_living_are_not(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    units = tmp_path / "units"
    units.mkdir()
    dead, living, other, finished = (
        units / name
        for name in (f"a.{process.pid}.partial", f"a.{os.getpid()}.partial", "notes.partial", f"{UNIT.id}.jsonl")
    )
    for path in (dead, living, other, finished):
        path.write_text("{}\n")
    Store(tmp_path).clear_partial()
    assert sorted(units.iterdir()) == sorted([living, other, finished])

    def test_older_rows_of_an_exact_part_are_found_by_what_they_answer(self, tmp_path: Path):
        """Older headers named a question that also held the text of the claim's file."""
        path = tiny.own(tmp_path, "def case(case):\n    return 0.0", ["case"])
        (unit,) = tiny.units([Request(by_path(path), "smoke")], Store(tmp_path))
        Store(tmp_path).write(unit, [{"step": 1, "size": 1, "error": 0.0}], lambda: 0.0)
        (written,) = (tmp_path / "units").iterdir()
        written.write_text(written.read_text().replace(unit.question, "x" * 20).replace(unit.id, "y" * 20))
        written.rename(written.with_stem("y" * 20))
        assert Store(tmp_path).find(unit) is None
        assert Store(tmp_path, any_version=True).find(unit) is not None
