"""A process that does units: one at a time, each when it is told to.

Processes are forked from a server that has imported every engine but run nothing. Each has a pipe of its own to the
process that started it, so that what happens to one is nothing to the others. Ctrl-C and the like reach a whole process
group: only the process that started the others acts on them, and ends those. None outlives it, even when it is killed.
"""

import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, Literal, NamedTuple

from rlnorm.files import Held
from rlnorm.stops import STOPS
from rlnorm.study.claim import Cost, Exact, Record
from rlnorm.study.claim.engines import TRAINING
from rlnorm.study.claim.load import load
from rlnorm.study.plan import Unit
from rlnorm.study.run import exact, timing
from rlnorm.study.run.blame import looked_into
from rlnorm.study.run.store import Store

PR_SET_PDEATHSIG = 1
LONGEST_FOLDER = 60  # of a socket's path of at most 107 bytes
ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")
LONGEST_TRACEBACK = 10_000
LONGEST_MESSAGE = 1_000


def records(unit: Unit) -> Iterator[Record]:
    """The unit's records, as its engine yields them."""
    if unit.engine in TRAINING:
        train = TRAINING[unit.engine].train
        return looked_into(unit, train(**unit.settings, seeds=unit.seeds, rates=unit.rates, steps=unit.steps))
    found = load(unit.files[0])
    part = found.claim.parts[unit.settings["part"]]
    assert isinstance(part, Exact | Cost)
    if isinstance(part, Cost):
        return timing.run(part, found.id, unit.seeds[0])
    return exact.run(part, found.id, unit.seeds[0])


class Outcome(NamedTuple):
    """What a place says: that it is ready, or how its unit ended, why, and the traceback.

    A unit is stored, failed by itself, cannot be stored, or is held by another process. On a cluster it may also have
    died ({times} in the reason stands for how often), or be refused by the machine that was to do it, or by all.
    """

    how: Literal["ready", "finished", "failed", "unwritable", "held", "died", "refused", "refused by all"]
    reason: str = ""
    traceback: str = ""
    errno: int | None = None


class EndedElsewhere(Exception):
    """The records of a unit end early, for what another process said."""

    def __init__(self, outcome: Outcome):
        super().__init__(outcome.reason)
        self.outcome = outcome


class Source(NamedTuple):
    """Where the records of units come from, the seconds that they took, and the memory of the process, in bytes."""

    records: Callable[[Unit], Iterator[Record]]
    clock: Callable[[], float]
    memory: Callable[[], int]


def peak_memory() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


HERE = Source(records, time.monotonic, peak_memory)


def execute(unit: Unit, directory: Path, source: Source = HERE) -> Outcome:
    """Do one unit and store it."""
    own = list[BaseException]()

    def watched() -> Iterator[Record]:
        try:
            yield from source.records(with_agents(unit, directory))
        except BaseException as error:
            own.append(error)
            raise

    try:
        Store(directory).write(unit, watched(), source.clock, source.memory)
    except Held as other:
        return Outcome("held", str(other))
    except EndedElsewhere as end:
        return end.outcome
    except BaseException as error:
        if isinstance(error, OSError) and error not in own:
            return Outcome("unwritable", error.strerror or str(error), errno=error.errno)
        return failure(error)
    return Outcome("finished")


def failure(error: BaseException) -> Outcome:
    """What is said of a unit whose own code raised `error`; called while it is handled."""
    message = _message(error)
    lines = traceback.format_exc()[-LONGEST_TRACEBACK:]
    return Outcome("failed", f"{type(error).__name__}: {message}" if message else type(error).__name__, lines)


def _message(error: BaseException) -> str:
    """What an error says, in one line; errors of a unit's own code may be unable to."""
    try:
        message = " ".join(str(error).split())
    except BaseException as other:
        return f"its message raises {type(other).__name__}"
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]} …"


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
    import torch  # here alone: who starts this process can do without

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


class Place:
    """Where one unit at a time is done, seen from the process that wants them; a pipe leads there.

    unit     what it was given to do; None: nothing
    ready    whether it waits for a unit
    silent   seconds since it was last seen to get on; `longest`: the longest that its unit recorded nothing before
    """

    def __init__(self, pipe: Any):
        self._pipe = pipe
        self.unit: Unit | None = None
        self.ready = False
        self._look_anew()

    def _look_anew(self) -> None:
        self.count, self.silent, self.longest = 0, 0.0, 0.0

    @property
    def at_work(self) -> Unit | None:
        """The unit that has begun."""
        return self.unit

    def events(self) -> Sequence[Any]:
        """What becomes ready when it says something or ends."""
        return (self._pipe,)

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
        return None

    def end(self) -> None:
        """End it now, with what it does; nothing is stored of that any more."""
        raise NotImplementedError


class Worker(Place):
    """A process on this machine."""

    def __init__(self, directory: Path, modules: Sequence[str]):
        """Start it. Raises OSError or EOFError where that cannot be."""
        context = _Context()
        engines = [engine.module for engine in TRAINING.values()]
        context.set_forkserver_preload([__name__, *engines, *modules])
        ours, theirs = context.Pipe()
        with _stops_blocked(), _short_temporary_folder(), theirs:
            self._process = context.Process(target=serve, args=(theirs, directory))
            self._process.start()
        super().__init__(ours)

    @property
    def pid(self) -> int | None:
        """Of its process."""
        return self._process.pid

    def events(self) -> Sequence[Any]:
        return self._pipe, self._process.sentinel

    def exitcode(self) -> int | None:
        return self._process.exitcode

    def end(self) -> None:
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
    """The folder of the server's socket lies elsewhere where that for temporary files has too long a path, or is none.

    The path of a socket may have 107 bytes. Raises FileNotFoundError where no folder takes files.
    """
    usual, others = tempfile.tempdir, [each for each in ELSEWHERE if os.access(each, os.W_OK | os.X_OK)]
    if others and not _takes_sockets():
        tempfile.tempdir = others[0]
    try:
        util.get_temp_dir()  # made once, and kept by this process
        yield
    finally:
        tempfile.tempdir = usual


def _takes_sockets() -> bool:
    try:
        return len(os.fsencode(tempfile.gettempdir())) <= LONGEST_FOLDER
    except FileNotFoundError:
        return False


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
