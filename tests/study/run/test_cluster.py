"""Units as tasks of a cluster, seen from the process that asks, with a stand-in for Ray: streams that a test writes.

tests/study/run/test_on_ray.py has the real thing.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny

from rlnorm.errors import ConfigError
from rlnorm.study.plan import Unit
from rlnorm.study.plan.unit import like
from rlnorm.study.run import Store, cluster, rows, run
from rlnorm.study.run.cluster import Cluster
from rlnorm.study.run.remote import Chunk
from rlnorm.study.run.worker import Outcome

ROWS = [{"step": step, "loss": [0.1 + step]} for step in (1, 2, 3)]
MACHINE = "a", "10.0.0.7"
BEGUN = MACHINE, Chunk((), 0.0, 0)
DONE = Chunk(ROWS, 2.5, 7_000, last=True)
NODES = [{"NodeID": name, "Alive": True, "Resources": {"CPU": 1.0, "memory": 6_000.0}} for name in ("a", "b")]
NODES += [{"NodeID": "head", "Alive": True, "Resources": {}}, {"NodeID": "c", "Alive": False, "Resources": {"CPU": 1}}]


class Lost(Exception):
    """Of Ray: the base of all its errors."""


class Failed(Lost):
    """Of Ray: an error in a task."""


class Stream:
    """What a task sends, in order: a number stands for seconds in which nothing comes."""

    def __init__(self, sent: Sequence[Any]):
        self.sent, self.cancelled = list(sent), False
        self.next_at = time.monotonic()

    def ready(self) -> bool:
        while self.sent and isinstance(self.sent[0], float):
            self.next_at = max(self.next_at, time.monotonic()) + self.sent.pop(0)
        return time.monotonic() >= self.next_at

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self.sent:
            raise StopIteration
        return self.sent.pop(0)


class Ray:
    """Stands in for the package: the next task that is submitted sends the next of `streams`."""

    def __init__(self, *streams: Sequence[Any]):
        self.streams = [Stream(each) for each in streams]
        self.left, self.options = [*self.streams], list[dict[str, Any]]()
        self.exceptions = SimpleNamespace(RayError=Lost, RayTaskError=Failed)

    def remote(self, **_: Any) -> Any:
        def options(**given: Any) -> Any:
            self.options.append(given)
            return SimpleNamespace(remote=lambda packed, header: self.left.pop(0))

        return lambda function: SimpleNamespace(options=options)

    def wait(self, streams: list[Stream], timeout: float, fetch_local: bool) -> tuple[list[Stream], list[Stream]]:
        end = time.monotonic() + timeout
        while not streams[0].ready():
            if time.monotonic() > end:
                return [], streams
            time.sleep(0.01)
        return streams, []

    def get(self, found: Any) -> Any:
        if isinstance(found, Exception):
            raise found
        return found

    def cancel(self, stream: Stream, force: bool) -> None:
        stream.cancelled = force

    def nodes(self) -> list[dict[str, Any]]:
        return NODES

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "TICK", 0.05)
    monkeypatch.setattr("rlnorm.study.run.pool.TICK", 0.05)


class Study:
    """Units done on such a cluster, one at a time."""

    def __init__(self, folder: Path, *streams: Sequence[Any], memory: int = 0):
        self.ray, self.store, self.told, self.unit = Ray(*streams), Store(folder), tiny.Told(), tiny.unit()
        known = {like(self.unit.engine, self.unit.settings): memory} if memory else {}
        shipment: Any = SimpleNamespace(relative=lambda unit: unit)
        self.cluster = Cluster(self.ray, shipment, known)

    def run(self, *units: Unit, patience: float = 60) -> dict[Unit, str]:
        return run(units or [self.unit], self.store, 1, self.told, patience, self.cluster.start)

    @property
    def endings(self) -> list[str]:
        return [how for _, how in self.told.endings]


def test_what_is_streamed_is_written_as_it_would_be_here(tmp_path: Path):
    study = Study(tmp_path, [*BEGUN, Chunk(ROWS[:1], 1.0, 5_000), 0.2, Chunk(ROWS[1:], 2.5, 7_000, last=True)])
    assert study.run() == {}
    assert study.endings == ["finished"]
    found = Store(tmp_path).read(study.unit)
    assert [dict(record) for record in found.records] == ROWS
    assert found.seconds == 2.5
    assert rows.memory(study.store.path(study.unit)) == 7_000
    assert {path.suffix for path in study.store.units.iterdir()} == {".jsonl"}
    here = Store(tmp_path / "here")
    here.write(study.unit, ROWS, iter([0.0, 2.5]).__next__, lambda: 7_000)
    assert here.path(study.unit).read_bytes() == study.store.path(study.unit).read_bytes()


class TestLost:
    def test_once_is_begun_anew(self, tmp_path: Path):
        study = Study(tmp_path, [*BEGUN, Chunk(ROWS[:2], 1.0, 1), Lost()], [*BEGUN, DONE])
        assert study.run() == {}
        assert study.endings == ["died, to be begun anew", "finished"]
        assert len(study.store.read(study.unit).records) == 3

    def test_twice_fails(self, tmp_path: Path):
        lost = type("NodeDiedError", (Lost,), {})()
        study = Study(tmp_path, [lost], [*BEGUN, lost], [*BEGUN, DONE])
        assert study.run() == {study.unit: "its machine was lost, 2 times."}
        assert not study.store.finished(study.unit)
        assert {path.suffix for path in study.store.units.iterdir()} == set()

    def test_with_its_machine_is_noticed_where_the_task_still_looks_alive(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(cluster, "LOOK_EVERY", 0.05)
        study = Study(tmp_path, [("c", "10.0.0.9"), BEGUN[1], 60.0, DONE], [*BEGUN, DONE])
        assert study.run() == {}
        assert study.endings == ["died, to be begun anew", "finished"]
        assert study.ray.streams[0].cancelled

    def test_a_stream_that_ends_before_its_last_record_is_not_stored(self, tmp_path: Path):
        study = Study(tmp_path, [*BEGUN, Chunk(ROWS, 1.0, 1)], [*BEGUN, DONE])
        assert study.run() == {}
        assert study.endings == ["died, to be begun anew", "finished"]

    def test_a_late_result_is_not_written(self, tmp_path: Path):
        """The machine is silent past the patience, its unit is begun anew elsewhere, and then it answers."""
        late, first = [*BEGUN, 1.0, DONE], [*BEGUN, Chunk([ROWS[0]], 9.0, 1, last=True)]
        study = Study(tmp_path, late, first)
        assert study.run(patience=0.3) == {}
        assert study.endings == ["died, to be begun anew", "finished"]
        assert study.ray.streams[0].cancelled
        time.sleep(1.2)
        assert Store(tmp_path).read(study.unit).seconds == 9.0
        assert {path.suffix for path in study.store.units.iterdir()} == {".jsonl"}


def test_a_unit_that_waits_for_a_machine_is_not_silent(tmp_path: Path):
    study = Study(tmp_path, [0.6, *BEGUN, DONE])
    assert study.run(patience=0.2) == {}
    assert study.endings == ["finished"]


def test_that_no_unit_could_begin_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rlnorm.study.run.pool.QUIET", 0.2)
    study = Study(tmp_path, [0.8, *BEGUN, DONE])
    assert study.run() == {}
    assert study.told.notes == ["no unit could begin for 0 s: there is no free place for one."]


class TestFailing:
    def test_a_units_own_failure_is_its_reason_and_is_not_tried_again(self, tmp_path: Path):
        study = Study(tmp_path, [*BEGUN, Outcome("failed", "ValueError: no such thing", "Traceback of there")])
        kept = study.store.units / f"{study.unit.id}.error"
        assert study.run() == {study.unit: f"ValueError: no such thing; the traceback is in {str(kept)!r}."}
        assert kept.read_text() == "tiny\n\nTraceback of there"

    def test_an_error_around_it_is_too(self, tmp_path: Path):
        study = Study(tmp_path, [Failed("ray::task()\n  File ...\nImportError: no module")])
        (reason,) = study.run().values()
        assert reason.startswith("ImportError: no module; the traceback is in ")


class TestRefusing:
    WHY = "it has torch 2.0, and 2.13.0 is expected"

    def test_machine_is_said_and_gets_no_more_units(self, tmp_path: Path):
        study = Study(tmp_path, [MACHINE, self.WHY], [*BEGUN, DONE])
        assert study.run() == {}
        assert study.endings == ["finished"]
        assert study.told.notes == [f"machine 10.0.0.7 does no unit of this study: {self.WHY}."]
        assert study.ray.options == [{"num_cpus": 1}, {"num_cpus": 1, "label_selector": {"ray.io/node-id": "!in(a)"}}]

    def test_machines_that_are_all_there_are_end_the_study(self, tmp_path: Path):
        study = Study(tmp_path, [MACHINE, self.WHY], [("b", "10.0.0.8"), self.WHY], [*BEGUN, DONE])
        with pytest.raises(ConfigError) as found:
            study.run()
        one, other = (f"machine {name} does no unit of this study: {self.WHY}." for name in ("10.0.0.7", "10.0.0.8"))
        assert found.value.sentences == (f"no machine is left. {one} {other}",)


class TestMemory:
    def test_is_asked_for_as_units_of_the_kind_had_it(self, tmp_path: Path):
        other = tiny.unit(seed=1)
        study = Study(tmp_path, [*BEGUN, DONE], [*BEGUN, DONE], memory=5_000)
        assert study.run(study.unit) == study.run(other) == {}
        assert study.ray.options == [{"num_cpus": 1, "memory": 5_000}, {"num_cpus": 1, "memory": 6_000}], (
            "no more than the largest machine has"
        )

    def test_of_the_past_is_read_from_the_store(self, tmp_path: Path):
        store, known, bare = Store(tmp_path), tiny.unit(), tiny.unit(dataset="spirals")
        for unit, most in ((known, 3_000), (tiny.unit(seed=1), 4_000)):
            store.write(unit, ROWS, lambda: 0.0, lambda most=most: most)
        store.write(bare, ROWS, lambda: 0.0)
        (store.units / "damaged.jsonl").write_text("{")
        kinds = {like(unit.engine, unit.settings): most for unit, most in ((known, 4_000), (bare, 0))}
        assert cluster._memory(store) == kinds


def test_ctrl_c_ends_the_tasks_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    study = Study(tmp_path, [*BEGUN, 60.0, DONE])
    monkeypatch.setattr(study.told, "running", lambda at_work: at_work and os.kill(os.getpid(), signal.SIGINT))
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        study.run()
    assert time.monotonic() - begin < 20
    assert study.ray.streams[0].cancelled
    assert list(study.store.units.iterdir()) == []
