"""The `rlnorm` command, also as `python -m rlnorm`: what has to be so before the rest is imported."""

import gc
import os
import sys
from collections.abc import Sequence

from rlnorm.stops import Stopped, exit_code, listen


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; being told to end while it is still imported is a sentence too.

    `arguments` are those of the process where None.
    """
    # A command imports and reads hundreds of thousands of objects that stay. Looking through them for garbage as often
    # as is usual takes a sixth of a report's time.
    gc.set_threshold(20_000)
    listen()
    _mend_streams()
    try:
        from rlnorm import cli
    except Stopped as stop:
        print("rlnorm: interrupted before anything began.", file=sys.stderr)  # noqa: T201
        sys.exit(exit_code(stop))
    cli.main(arguments)


def _mend_streams() -> None:
    """Output that is closed swallows what is written, and one that is not UTF-8 shows what it can."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if "utf" not in (stream.encoding or "").lower():
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]


if __name__ == "__main__":
    main()
