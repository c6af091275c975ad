"""Being told to end: Ctrl-C, SIGTERM and a closed terminal end a command in one way, and the second time at once."""

import os
import signal
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = b"\x1b[?25h"


class Stopped(KeyboardInterrupt):
    """A signal told the process to end; `exit_code` is what a shell expects then."""

    def __init__(self, number: int = signal.SIGINT):
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def listen() -> None:
    """Let signals raise Stopped from now on; one that is ignored, as under nohup, stays so."""
    for each in STOPS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _stop)


def exit_code(stop: KeyboardInterrupt) -> int:
    """The exit code of what was interrupted."""
    return stop.exit_code if isinstance(stop, Stopped) else 128 + signal.SIGINT


def _stop(number: int, _: FrameType | None) -> None:
    for each in STOPS:
        signal.signal(each, _leave)
    raise Stopped(number)


def _leave(number: int, _: FrameType | None) -> None:
    """End now. Processes that do units end with this one."""
    if os.isatty(2):
        os.write(2, SHOW_CURSOR)  # which bars hide
    os._exit(128 + number)
