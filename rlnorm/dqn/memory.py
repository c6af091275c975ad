"""Free memory given back to the system while a run goes on.

glibc keeps what was freed in the middle of its heap. LunarLander builds a world of many small pieces for every episode;
some outlive the tensors that are freed around them, so that the next tensors find no gap that holds them and the heap
grows without end: 40 agents with 10 environments each by 60 MB in 1 000 steps, to 18.8 GB late in a run of 200 000.
Given back in time it stays at 0.4 GB. That takes 10 ms, most of it to fetch the pages again: nothing where it is rare.
What keeps tensors out of the heap instead (`mallopt` with M_TOP_PAD, which also fixes M_MMAP_THRESHOLD) holds it as
small but takes a quarter more time (30.0 s for 6 000 steps against 23.9): every tensor then fetches its pages anew.
"""

import ctypes
import time
from collections.abc import Callable
from functools import cache

SECONDS = 5.0


@cache
def malloc_trim() -> Callable[[int], object]:
    """glibc's, or nothing where the system has another allocator."""
    return getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)


class Heap:
    """The heap of this process, all of whose free pages go back every `SECONDS`; nothing in use is touched."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def give_back(self) -> None:
        """Do so if it is time."""
        now = time.monotonic()
        if now - self._last >= SECONDS:
            malloc_trim()(0)
            self._last = now
