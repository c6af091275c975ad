"""`rlnorm ...` as real processes that need no second to start: forks of the one that runs the tests.

That one has imported everything, which takes 5 s of a core each time; so has the server that the fork starts its own
processes from, which is a fork in turn. Work that trains is not for such forks where the tests have used autograd.
"""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, process, util
from pathlib import Path
from typing import Any

import tiny

from rlnorm import __main__ as door
from rlnorm.study.run import pool, worker

_imported = (pool, worker)


class Forked:
    """A command at work in `folder`, leader of a process group of its own. `prepare` is called in it first."""

    def __init__(self, folder: Path, *words: object, prepare: Callable[[], object] = lambda: None):
        self.folder, self.returncode = folder, None
        self.files = [folder / f"{name}.{time.monotonic_ns()}.log" for name in ("out", "err")]
        for file in self.files:
            file.touch()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                self._become(*map(str, words), prepare=prepare)
                door.main()
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                with suppress(OSError):  # there may be no room for it
                    sys.stdout.flush()
                os._exit(code)

    def _become(self, *words: str, prepare: Callable[[], object]) -> None:
        os.setsid()
        os.chdir(self.folder)
        for number, file in enumerate(self.files, 1):
            os.dup2(os.open(file, os.O_WRONLY), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
        sys.argv = ["rlnorm", *words]
        os.environ["COLUMNS"] = "80"
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_DFL)
        own_server()
        prepare()

    def poll(self) -> int | None:
        """The exit code; None while it is there."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def ends(self, seconds: float = 60) -> tuple[int, str, str]:
        """Wait for its end -> exit code, standard output, standard error."""
        tiny.wait_until(lambda: self.poll() is not None, seconds)
        assert self.returncode is not None
        out, err = (file.read_text() for file in self.files)
        return self.returncode, out, err

    def workers(self) -> list[int]:
        """Its processes that do units: the server's children."""
        return [pid for pid in tiny.members(self.pid) if parent(parent(pid)) == self.pid]

    def server(self) -> int:
        """The process that those are forked from."""
        return parent(self.workers()[0])

    def end(self) -> None:
        """Whatever a failing test may leave at work."""
        for pid in tiny.members(self.pid):
            with suppress(ProcessLookupError):  # it ends by itself meanwhile
                os.kill(pid, signal.SIGKILL)
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextmanager
def forked(folder: Path, *words: object, prepare: Callable[[], object] = lambda: None) -> Iterator[Forked]:
    """A command at work, and nothing of it afterwards."""
    running = Forked(folder, *words, prepare=prepare)
    try:
        yield running
    finally:
        running.end()


def parent(pid: int) -> int:
    """Of a process; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def own_server() -> None:
    """Let this process, a fork, start a server of its own, by forking."""
    fresh = forkserver.ForkServer()
    for name in ("ensure_running", "get_inherited_fds", "connect_to_new_process", "set_forkserver_preload"):
        setattr(forkserver, name, getattr(fresh, name))
    forkserver._forkserver = fresh
    process.current_process()._config.pop("tempdir", None)  # pyright: ignore[reportAttributeAccessIssue]
    util.spawnv_passfds = _forking


def _forking(_: bytes, arguments: Sequence[Any], kept: Sequence[int]) -> int:
    """Stands in for starting Python anew: a fork that runs the same `-c` program."""
    pid = os.fork()
    if pid == 0:
        try:
            first = 3
            for fd in [*sorted(kept), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]:
                os.closerange(first, fd)
                first = fd + 1
            exec(arguments[-1], {})
        finally:
            os._exit(1)
    return pid
