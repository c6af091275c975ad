"""A study in TensorBoard while it runs: what can be read when, what is left of it, and that no fault stops work."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rlnorm.study import study as module
from rlnorm.study.claim import load
from rlnorm.study.plan import Request, Unit, plan
from rlnorm.study.report import live as live_module
from rlnorm.study.report import tensorboard
from rlnorm.study.report.live import EVERY, SHARE, Live, runs_of
from rlnorm.study.run import Store, Watcher

UNIT = tiny.unit()
SNAPSHOT = {
    "norm1": {"gamma": {"min": 1.0, "max": 2.0, "counts": [1, 0, 3]}},
    "output": {"gradient": {"min": 0.0, "max": 0.0, "counts": [4]}},
}
ROWS = [
    {"step": 1, "loss": [float("nan"), 0.25, 7.0], "diverged": [False, False, True], "snapshot": SNAPSHOT},
    {"step": 2, "loss": [0.5, 0.25, 7.0], "diverged": [False, False, True]},
    {"step": 3, "loss": [None] * 3, "diverged": [True] * 3, "probes": {"norm1": {"mode_gap": [1.0, 2.0, 3.0]}}},
    {"step": 4, "loss": [1.0, 2.0, 3.0], "diverged": [False] * 3, "probes": {"norm1": {"mode_gap": [1.0, 2.0, 3.0]}}},
]


class Scene:
    """A unit at work in a store, a live view of it, and a clock that passes as told."""

    def __init__(self, folder: Path):
        self.now, self.told = 0.0, list[str]()
        self.store = Store(folder)
        self.live = Live(self.store, {UNIT.id: "claim/part/arm"}, self.told.append, lambda: self.now)
        self.run = folder / "tensorboard" / "live" / "claim" / "part" / "arm"

    def work(self, between: Callable[[int], object]) -> None:
        """Write all rows; before each and after the last, `between` is called with how many there are."""

        def rows() -> Iterator[dict[str, Any]]:
            for count, row in enumerate(ROWS):
                between(count)
                yield row
            between(len(ROWS))

        self.store.write(UNIT, rows(), lambda: 0.0)

    def look(self) -> None:
        self.live.running({UNIT: 0})

    def loss(self) -> list[tuple[int, float]]:
        if not self.run.is_dir():
            return []
        found = EventAccumulator(str(self.run)).Reload()
        return [(each.step, each.value) for each in found.Scalars("train/loss")]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_what_is_recorded_so_far_can_be_read_while_the_unit_is_at_work(scene: Scene):
    seen = list[list[tuple[int, float]]]()

    def between(_: int) -> None:
        scene.look()
        seen.append(scene.loss())
        scene.now += EVERY

    with scene.live:
        scene.work(between)
        scene.live.ended(UNIT, "finished")
        # Means over the runs that have not diverged and have a value.
        assert seen == [[], [(1, 0.25)], [(1, 0.25), (2, 0.375)], [(1, 0.25), (2, 0.375)], scene.loss()]
        assert scene.loss()[-1] == (4, 2.0)
        found = EventAccumulator(str(scene.run)).Reload()
        assert [each.value for each in found.Scalars("norm/norm1/mode_gap")] == [2.0]
        (gamma,) = found.Histograms("gamma/1")
        assert gamma.histogram_value.bucket == [0, 1, 0, 3]
        assert found.Histograms("gradients/output")
    assert scene.told == []
    assert not scene.run.parents[3].exists(), "nothing is left of it"


def test_it_looks_from_time_to_time_and_less_often_where_that_takes_long(scene: Scene, monkeypatch):
    looks = list[float]()

    def slow(_: object) -> None:
        looks.append(scene.now)
        scene.now += 1.0

    monkeypatch.setattr(scene.live, "_look", slow)
    for _ in range(1000):
        scene.look()
        scene.now += 0.5
    assert np.diff(looks).min() >= 1.0 / SHARE
    assert len(looks) >= 4


def test_a_folder_that_was_emptied_meanwhile_is_filled_again(scene: Scene):
    def between(count: int) -> None:
        if count == 2:
            tensorboard.events.clear(scene.run)
        scene.look()
        scene.now += EVERY

    with scene.live:
        scene.work(between)
        assert [step for step, _ in scene.loss()] == [1, 2, 4]


def test_what_died_is_shown_anew(scene: Scene):
    def between(count: int) -> None:
        scene.look()
        scene.now += EVERY
        if count == 2:
            scene.live.ended(UNIT, "died, to be begun anew")
            assert not scene.run.exists()

    with scene.live:
        scene.work(between)
        assert [step for step, _ in scene.loss()] == [1, 2, 4]


def test_no_more_are_shown_than_tensorboard_ticks_and_those_that_ended_leave_first(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tensorboard, "MOST", 2)
    units = [tiny.unit(seed) for seed in range(4)]
    store, now = Store(tmp_path), [0.0]
    for unit in units:
        store.units.mkdir(exist_ok=True)
        (store.units / f"{unit.id}.jsonl.0.partial").write_text('{"unit": 1}\n{"step": 1, "loss": [1.0]}\n')
    with Live(store, {unit.id: f"run-{i}" for i, unit in enumerate(units)}, pytest.fail, lambda: now[0]) as live:
        live.running(dict.fromkeys(units[:3], 1))
        assert shown(tmp_path) == {"run-0", "run-1"}
        live.ended(units[0], "finished")
        now[0] += EVERY
        live.running(dict.fromkeys(units[1:], 1))
        assert shown(tmp_path) == {"run-1", "run-2"}


def shown(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.rglob("*tfevents*")}


def test_runs_are_named_after_their_arms(tmp_path: Path):
    one = Request(load.by_path(tiny.effect(tmp_path, "rates", 3, ", rates=(0.01, 0.05)")), "smoke")
    planned = plan(one, Store(tmp_path).records)
    assert sorted(runs_of([planned]).values()) == ["rates/digits-common/layer-rates", "rates/digits-common/none-rates"]
    assert set(runs_of([planned])) == {unit.id for unit in tiny.units([one], Store(tmp_path))}


def test_a_study_at_work_is_visible_a_writer_that_fails_stops_nothing_and_the_results_take_its_place(
    tmp_path: Path, monkeypatch
):
    out, seen = tmp_path / "out", list[set[str]]()

    def broken(_: Mapping[str, Any]) -> Iterator[Any]:
        raise OSError(28, "No space left on device")

    def at_work(units: Sequence[Unit], store: Store, jobs: int, watcher: Watcher, *_: object) -> dict[Unit, str]:
        for unit in units:
            watcher.running({})
            tiny.fill(store, [unit], lambda unit: [0.5] * len(unit.seeds))
            partial = store.path(unit).rename(store.path(unit).with_suffix(".jsonl.0.partial"))
            watcher.running({unit: 1})
            seen.append({path.parent.name for path in (out / "tensorboard" / "live").rglob("*tfevents*")})
            monkeypatch.setattr(live_module, "values", broken)
            partial.rename(store.path(unit))
            watcher.ended(unit, "finished")
        return {}

    monkeypatch.setattr(module, "run", at_work)
    monkeypatch.setattr(live_module, "EVERY", 0.0)
    monkeypatch.setattr(live_module, "SHARE", 1e9)
    said = Console(file=io.StringIO(), width=200)
    asked = Request(load.by_path(tiny.effect(tmp_path)), "smoke")
    module.study([asked], out, jobs=1, console=said)
    assert seen[0] == {"none"}
    text = said.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert text.count("TensorBoard does not show the work while it runs (OSError: [Errno 28] No space left") == 1
    assert (out / "verdicts.json").exists()
    assert {path.parent.name for path in out.rglob("*tfevents*")} == {"tensorboard", "none", "layer"}
    assert not (out / "tensorboard" / "live").exists()
