"""A process that does units: one at a time, each when it is told to.

Processes are forked from a server that has imported everything but run nothing. Each has a pipe of its own to the
process that started it, so that what happens to one is nothing to the others. Ctrl-C and the like reach a whole process
group: only the process that started the others acts on them, and ends those. None outlives it, even when it is killed.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, Literal, NamedTuple

import torch

from rlnorm.files import Held
from rlnorm.stops import STOPS
from rlnorm.study.claim import Cost, Exact, Record
from rlnorm.study.claim.engines import TRAINING
from rlnorm.study.claim.load import load
from rlnorm.study.plan import Unit
from rlnorm.study.run import exact, timing
from rlnorm.study.run.store import Store

PR_SET_PDEATHSIG = 1
LONGEST_FOLDER = 60  # of a socket's path of at most 107 bytes
LONGEST_TRACEBACK = 10_000


def records(unit: Unit) -> Iterator[Record]:
    """The unit's records, as its engine yields them."""
    if unit.engine in TRAINING:
        return TRAINING[unit.engine].train(**unit.settings, seeds=unit.seeds, rates=unit.rates, steps=unit.steps)
    found = load(unit.files[0])
    part = found.claim.parts[unit.settings["part"]]
    assert isinstance(part, Exact | Cost)
    if isinstance(part, Cost):
        return timing.run(part, found.id, unit.seeds[0])
    return exact.run(part, found.id, unit.seeds[0])


class Outcome(NamedTuple):
    """What a process says: that it is ready, or how its unit ended, why, and the traceback.

    A unit is stored, failed by itself, cannot be stored, or is held by another process.
    """

    how: Literal["ready", "finished", "failed", "unwritable", "held"]
    reason: str = ""
    traceback: str = ""
    errno: int | None = None


def execute(unit: Unit, directory: Path) -> Outcome:
    """Do one unit and store it."""
    own = list[BaseException]()

    def watched() -> Iterator[Record]:
        try:
            yield from records(with_agents(unit, directory))
        except BaseException as error:
            own.append(error)
            raise

    try:
        Store(directory).write(unit, watched(), time.monotonic)
    except Held as other:
        return Outcome("held", str(other))
    except BaseException as error:
        if isinstance(error, OSError) and error not in own:
            return Outcome("unwritable", error.strerror or str(error), errno=error.errno)
        message = " ".join(str(error).split())
        lines = traceback.format_exc()[-LONGEST_TRACEBACK:]
        return Outcome("failed", f"{type(error).__name__}: {message}" if message else type(error).__name__, lines)
    return Outcome("finished")


def serve(pipe: Connection, directory: Path) -> None:
    """Do the units that come through `pipe`; this is what a process of its own does."""
    if sys.platform == "linux":  # ended by the kernel with the server, even while it is stopped
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # And the server ends with who started it: processes hold this end of a pipe too, for servers are shared.
        server: Any = forkserver._forkserver
        if getattr(server, "_forkserver_alive_fd", None) is not None:
            os.close(server._forkserver_alive_fd)
            server._forkserver_alive_fd = None
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    # What a unit prints would stand in the middle of the bars; what it writes to standard error is there to be seen.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with suppress(EOFError, OSError):  # the other end is gone
        pipe.send(Outcome("ready"))
        while True:
            pipe.send(execute(pipe.recv(), directory))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class _Process(ForkServerProcess):
    """A process that does not import the program that was started: it needs rlnorm only.

    A program may then call `rlnorm.train` anywhere, not only under `if __name__ == "__main__"`.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return ForkServerProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


class _Context(ForkServerContext):
    Process = _Process


class Worker:
    """A process that does units, seen from the one that wants them.

    unit     what it is at work on; None: nothing
    ready    whether it waits for a unit
    silent   seconds since it was last seen to get on; `longest`: the longest that its unit recorded nothing before
    """

    def __init__(self, directory: Path, modules: Sequence[str]):
        """Start it. Raises OSError or EOFError where that cannot be."""
        context = _Context()
        context.set_forkserver_preload([__name__, *modules])
        self._pipe, theirs = context.Pipe()
        with _stops_blocked(), _short_temporary_folder(), theirs:
            self._process = context.Process(target=serve, args=(theirs, directory))
            self._process.start()
        self.unit: Unit | None = None
        self.ready = False
        self._look_anew()

    def _look_anew(self) -> None:
        self.count, self.silent, self.longest = 0, 0.0, 0.0

    @property
    def pid(self) -> int | None:
        """Of its process."""
        return self._process.pid

    def events(self) -> tuple[Any, int]:
        """What becomes ready when it says something or ends."""
        return self._pipe, self._process.sentinel

    def begin(self, unit: Unit) -> None:
        """Let it do `unit`; it has to be ready."""
        self.ready, self.unit = False, unit
        self._look_anew()
        with suppress(OSError):  # it has just died, as is seen next
            self._pipe.send(unit)

    def told(self) -> Outcome | None:
        """What it has said since the last call, if anything."""
        try:
            if not self._pipe.poll():
                return None
            told = self._pipe.recv()
        except (EOFError, OSError):
            return None
        self.ready, self.unit = True, None
        self._look_anew()
        return told

    def seen(self, count: int, seconds: float) -> None:
        """It has recorded `count` records so far, `seconds` after the last look."""
        if count > self.count:
            self.longest, self.count, self.silent = max(self.longest, self.silent), count, 0.0
        else:
            self.silent += seconds

    def exitcode(self) -> int | None:
        """How its process ended: a status, or a signal as a negative number; None while it is there."""
        return self._process.exitcode

    def end(self) -> None:
        """End its process now."""
        with suppress(OSError):
            self._process.kill()
        self._process.join(10)
        self._pipe.close()


@contextmanager
def _stops_blocked() -> Iterator[None]:
    """The server is started, and its processes are forked, with these signals blocked."""
    resource_tracker.ensure_running()  # or the server starts it, and unblocks them
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@contextmanager
def _short_temporary_folder() -> Iterator[None]:
    """The folder of the server's socket, whose path may have 107 bytes, lies elsewhere where TMPDIR is too long."""
    usual = tempfile.gettempdir()
    if len(os.fsencode(usual)) > LONGEST_FOLDER:
        tempfile.tempdir = next(
            (folder for folder in ("/tmp", "/var/tmp", "/dev/shm") if os.access(folder, os.W_OK | os.X_OK)), usual
        )
    try:
        util.get_temp_dir()  # made once, and kept by this process
        yield
    finally:
        tempfile.tempdir = usual


AGENTS = "agents"
"""The folder of a study that holds trained agents; they are saved where it is there."""


def agents_of(unit: Unit, directory: Path) -> Path:
    """Where the agents of a unit are saved, if anywhere: in a folder of DIR/agents, which is named by arm and seeds."""
    arm = unit.label.rpartition(": ")[2].replace(",", " ")
    return directory / AGENTS / f"{'-'.join(arm.split())}-{unit.id[:6]}"


def with_agents(unit: Unit, directory: Path) -> Unit:
    """The unit as its engine is given it: told to save its agents where DIR/agents is there and it trains any."""
    if unit.engine != "dqn" or not (directory / AGENTS).is_dir():
        return unit
    return replace(unit, settings={**unit.settings, "save": agents_of(unit, directory)})
