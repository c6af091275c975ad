"""Being told to end while nothing has begun yet, and at once: in forks of this process, for real."""

import os
import pty
import signal
import sys
import time
from pathlib import Path

import pytest
import tiny
from forked import forked

import rlnorm
from rlnorm import stops


class Slow:
    """Finds nothing, and takes a minute to find the command line."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "rlnorm.cli":
            Path("importing").touch()
            time.sleep(60)


def import_slowly() -> None:
    sys.meta_path.insert(0, Slow)
    sys.modules.pop("rlnorm.cli", None)
    rlnorm.__dict__.pop("cli", None)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_while_modules_are_imported_is_a_sentence_too(tmp_path: Path, number: signal.Signals, code: int):
    with forked(tmp_path, "list", prepare=import_slowly) as command:
        tiny.wait_until((tmp_path / "importing").exists, 60)
        os.kill(command.pid, number)
        assert command.ends() == (code, "", "rlnorm: interrupted before anything began.\n")


def test_at_once_leaves_the_terminal_with_its_cursor():
    ours, theirs = pty.openpty()
    pid = os.fork()
    if pid == 0:
        os.dup2(theirs, 2)
        stops._leave(signal.SIGTERM, None)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 143
    assert os.read(ours, 100) == stops.SHOW_CURSOR
    for each in (ours, theirs):
        os.close(each)


def test_what_is_ignored_stays_so():
    """As under nohup, which ignores that the terminal is closed."""
    before = {each: signal.signal(each, signal.SIG_IGN) for each in stops.STOPS}
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stops.listen()
        assert signal.getsignal(signal.SIGHUP) is signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        with pytest.raises(stops.Stopped, match="SIGTERM") as stopped:
            signal.raise_signal(signal.SIGTERM)
        assert stops.exit_code(stopped.value) == 143
        assert stops.exit_code(KeyboardInterrupt()) == 130
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
