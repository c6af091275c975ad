"""What a study would do: units, what is reused, and the time by past runs."""

from pathlib import Path

import pytest
import tiny

from rlnorm.study.claim import load
from rlnorm.study.forecast import forecast
from rlnorm.study.plan import Request
from rlnorm.study.run import Store, rows


def test_units_are_listed_and_nothing_is_written(tmp_path: Path):
    asked = Request(load.by_path(tiny.effect(tmp_path, "tiny", 3, ", rates=(0.01, 0.05)")), "smoke")
    found = forecast([asked], tmp_path / "out")
    assert (len(found.units), len(found.missing), found.later, found.seconds) == (2, 2, 2, None)
    lines = list(found.lines(2))
    assert lines[0].startswith("to do: tiny, digits, common rate: none, 2 rates, seeds")
    assert lines[2:] == [
        "2 units of work, 0 of them finished and reused.",
        "Units of 2 arms follow, once their own best rates are chosen.",
        "How long it takes is unknown: nothing like it has been run here.",
    ]
    assert not (tmp_path / "out").exists()


def test_what_is_finished_is_reused_and_tells_the_time_of_the_rest(tmp_path: Path):
    asked = Request(load.by_path(tiny.effect(tmp_path)), "smoke")
    store = Store(tmp_path)
    first, second = forecast([asked], tmp_path).missing
    (tmp_path / "units").mkdir()
    # the pace of the second: as if it had been done at half the steps, in 4 seconds
    for unit, steps, seconds in ((first, first.steps, 1.0), (second, second.steps / 2, 4.0)):
        name = unit.id if unit is first else "other"
        head, clock = {**unit.header(), "steps": steps, "unit": name}, iter([0.0, seconds])
        (store.units / f"{name}.jsonl").write_text("".join(rows.lines(head, [{"step": 1}], clock.__next__)))
    (tmp_path / "units" / "damaged.jsonl").write_text("no\n")
    found = forecast([asked], tmp_path)
    assert [unit.id for unit in found.missing] == [second.id]
    assert found.seconds == pytest.approx(8.0)
    assert list(found.lines(2))[-1] == "About 4 s with 2 at a time, by past runs in this folder."
