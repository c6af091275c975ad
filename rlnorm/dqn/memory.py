"""How glibc's allocator, where that is the system's, is told to keep memory for the next update and to return the rest.

Every update frees its tensors and asks for the same ones again. By itself glibc may hand large blocks back to the
system at once, which clears and maps their pages anew: an update of 8 agents on MinAtar took 17.2 ms where it did and
10.9 where it did not. So blocks are kept (M_TRIM_THRESHOLD), and large ones come from the heap too (M_MMAP_THRESHOLD,
32 MiB at most).

What was freed in the middle of the heap would stay for ever. LunarLander builds a world of many small pieces for every
episode; some outlive the tensors that are freed around them, so that the next tensors find no gap that holds them and
the heap grows without end: 40 agents with 10 environments each by 60 MB in 1 000 steps, to 18.8 GB late in a run of
200 000. So all free pages go back every few seconds, and it stays at 0.4 to 0.6 GB. That takes 10 ms, most of it to
fetch the pages of the next update. What keeps tensors out of the heap instead (M_TOP_PAD, which also fixes
M_MMAP_THRESHOLD at 128 kB) holds it as small, but every tensor then fetches its pages anew: 30.0 s for 6 000 steps
against 23.9.
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
    """A function of glibc's; where the system has another C library, one that does nothing."""
    return getattr(ctypes.CDLL(None), name) if platform.libc_ver()[0] == "glibc" else lambda *_: None


class Heap:
    """The heap of this process: keeps what is freed, and gives all free pages back every `SECONDS`."""

    def __init__(self) -> None:
        glibc("mallopt")(M_TRIM_THRESHOLD, 2**30)
        glibc("mallopt")(M_MMAP_THRESHOLD, 2**25)
        self._last = time.monotonic()

    def give_back(self) -> None:
        """Do so if it is time; nothing in use is touched."""
        now = time.monotonic()
        if now - self._last >= SECONDS:
            glibc("malloc_trim")(0)
            self._last = now
