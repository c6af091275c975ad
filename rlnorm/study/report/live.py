"""A running study in TensorBoard: what units at work have recorded so far, from the rows that they stream.

DIR/tensorboard/live/<claim>/<part>/<arm>   means over a unit's runs, and the distributions in its first agent

Only a view of a study that runs: the folder is removed with the end of the work, when the results take its place. It is
written from time to time, takes `SHARE` of the time at most, and never stops the work: after a fault it stays as it is.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from rlnorm.study.claim.scored import PROBES, unfold
from rlnorm.study.judge.assess import CURVES
from rlnorm.study.plan import ClaimPlan, Unit
from rlnorm.study.plan.plan import Run
from rlnorm.study.report import distributions, events, tensorboard
from rlnorm.study.run import Store
from rlnorm.study.run.progress import Ending

FOLDER = "live"
EVERY = 10.0
"""Seconds between two looks, where these take no longer than `SHARE` of them."""
SHARE = 0.01
"""Of the time, that is spent on it at most."""


class Live:
    """A watcher of the work that writes event files.

    store  where the units are written
    runs   id of a unit -> its run in TensorBoard, as `runs_of` gives them
    tell   is told once what went wrong
    """

    def __init__(
        self,
        store: Store,
        runs: Mapping[str, str],
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._folder = store.directory / tensorboard.FOLDER / FOLDER
        self._store, self._runs, self._tell, self._clock = store, runs, tell, clock
        self._streams: dict[str, _Stream] = {}
        self._next, self._works = clock(), True

    def __enter__(self) -> "Live":
        self._guarded(self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams.values():
            stream.close()
        with suppress(OSError):
            events.clear(self._folder)
        for folder in (self._folder, self._folder.parent):
            with suppress(OSError):  # something else is in it
                folder.rmdir()

    def running(self, records: Mapping[Unit, int]) -> None:
        """See `Watcher`."""
        begin = self._clock()
        if begin >= self._next:
            self._guarded(lambda: self._look(records))
            now = self._clock()
            self._next = now + max(EVERY, (now - begin) / SHARE)

    def ended(self, unit: Unit, how: Ending) -> None:
        """See `Watcher`."""
        stream = self._streams.get(unit.id)
        if stream:
            self._guarded(stream.advance)
            stream.close()
            if how != "finished":
                self._guarded(lambda: events.clear(self._streams.pop(unit.id).run))

    def note(self, sentence: str) -> None:
        """See `Watcher`."""

    def _begin(self) -> None:
        events.clear(self._folder)
        self._folder.mkdir(parents=True, exist_ok=True)  # so that a board can be opened before there is a record

    def _look(self, records: Mapping[Unit, int]) -> None:
        for unit in records:
            if unit.id in self._runs and unit.id not in self._streams and self._has_room():
                with suppress(FileNotFoundError):  # it has just been finished
                    if partial := self._store.partial(unit):
                        self._streams[unit.id] = _Stream(partial, self._folder / self._runs[unit.id])
        for stream in self._streams.values():
            stream.advance()

    def _has_room(self) -> bool:
        """Whether one more run can be shown; of as many as TensorBoard ticks, one that has ended leaves."""
        if len(self._streams) < tensorboard.MOST:
            return True
        ended = next((unit for unit, stream in self._streams.items() if stream.closed), None)
        if ended:
            events.clear(self._streams.pop(ended).run)
        return ended is not None

    def _guarded(self, act: Callable[[], object]) -> None:
        if self._works:
            try:
                act()
            except Exception as error:
                self._works = False
                self._tell(f"TensorBoard does not show the work while it runs ({type(error).__name__}: {error}).")


class _Stream:
    """The rows of one unit, from its file to its run."""

    def __init__(self, source: Path, run: Path):
        self.run, self._source, self._rest = run, source.open("rb"), b""

    @property
    def closed(self) -> bool:
        """Whether the unit has ended."""
        return self._source.closed

    def advance(self) -> None:
        """Write what has come since the last time."""
        if self.closed:
            return
        if not self.run.is_dir():  # the first time, or somebody removed it
            self._source.seek(0)
            self._rest = b""
        *lines, self._rest = (self._rest + self._source.read()).split(b"\n")
        records = [row for row in map(json.loads, lines) if "step" in row]  # neither header nor end
        if records:
            events.write(self.run, (events.event(record["step"], values(record)) for record in records))

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()


def values(record: Mapping[str, Any]) -> Iterator[events.Value]:
    """A record as values of one step: means over the runs that have not diverged, and the snapshot."""
    whole = ~np.array(record.get("diverged", False), dtype=bool)
    for key, value in unfold(record).items():
        if key in CURVES or key.startswith(PROBES):
            own = np.array(value, dtype=float)
            known = own[np.isfinite(own) & (whole if own.ndim else True)]
            if known.size:
                yield events.scalar(tensorboard.TAGS["sb3"].get(key, key), float(known.mean()))
    yield from distributions.values(record.get("snapshot", {}))


def runs_of(plans: Iterable[ClaimPlan]) -> dict[str, str]:
    """id of each unit that trains -> its run: that of its arm, with what tells it from others of the arm."""
    found = dict[str, str]()
    for plan in plans:
        names = tensorboard.part_names(part.name for part in plan.parts)
        for part in plan.parts:
            for arm, own in part.arms.items():
                run = f"{tensorboard.safe(plan.request.id)}/{names[part.name]}/{tensorboard.safe(arm)}"
                for runs, name in ((own.judge or (), run), (own.select, f"{run}-rates")):
                    for number, unit in enumerate(_units(runs), start=1):
                        found.setdefault(unit, name if number == 1 else f"{name}-{number}")
    return found


def _units(runs: Iterable[Run]) -> dict[str, None]:
    return dict.fromkeys(place.unit.id for run in runs for place in run.places)
