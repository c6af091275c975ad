"""Settings of glibc's allocator: keep memory for the next update, and return free pages now and then.

Every update frees its tensors and allocates the same sizes again. With its defaults glibc may return large blocks to
the system at once, and their pages are then cleared and mapped again: an update of 8 agents on MinAtar took 17.2 ms
with this and 10.9 ms without. So freed blocks are kept (M_TRIM_THRESHOLD), and large ones come from the heap too
(M_MMAP_THRESHOLD, 32 MiB at most).

Free blocks in the middle of the heap would then never be returned. LunarLander builds a world of many small pieces for
every episode. Some of these outlive the tensors around them, the next tensors do not fit into the gaps, and the heap
grows without end: with 40 agents of 10 environments by 60 MB in 1 000 steps, to 18.8 GB late in a run of 200 000. So
all free pages are returned every few seconds, and the heap stays at 0.4 to 0.6 GB. This takes 10 ms, most of it for
fetching the pages of the next update. M_TOP_PAD, which also fixes M_MMAP_THRESHOLD at 128 kB, would keep tensors out of
the heap and the heap as small, but every tensor would fetch its pages again: 30.0 s for 6 000 steps against 23.9 s.
"""

import ctypes
import platform
import time
from collections.abc import Callable
from functools import cache

SECONDS = 5.0
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as in malloc.h


@cache
def glibc(name: str) -> Callable[..., object]:
    """A function of glibc; a function that does nothing where the system has another C library."""
    return getattr(ctypes.CDLL(None), name) if platform.libc_ver()[0] == "glibc" else lambda *_: None


class Heap:
    """The heap of this process: keeps freed blocks, and returns all free pages every `SECONDS`."""

    def __init__(self) -> None:
        glibc("mallopt")(M_TRIM_THRESHOLD, 2**30)
        glibc("mallopt")(M_MMAP_THRESHOLD, 2**25)
        self._last = time.monotonic()

    def give_back(self) -> None:
        """Return all free pages to the system if `SECONDS` have passed."""
        now = time.monotonic()
        if now - self._last >= SECONDS:
            glibc("malloc_trim")(0)
            self._last = now
