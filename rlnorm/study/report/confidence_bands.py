"""Mean and 95 % band over seeds, for curves and points. This is drawn, never judged."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rlnorm import stats

SEED = 0
"""The same study gives the same picture."""


class Drawn(NamedTuple):
    """One curve as it is drawn, each (T,): NaN where there is nothing to draw.

    mean, low, high   over all runs: only where every run has a value (low, high also need two runs)
    rest              mean of the runs still going, where some have none: after the first one diverged, say
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rest: np.ndarray


def curve(values: np.ndarray) -> Drawn:
    """values (n, T), one row per run, NaN = not available -> what is drawn. A gap inside a run is bridged."""
    if not values.size:
        return Drawn(*np.full((4, values.shape[1]), np.nan))
    return _curve(np.ascontiguousarray(values, dtype=float).tobytes(), values.shape[1])


@lru_cache(10_000)  # claims share arms
def _curve(content: bytes, steps: int) -> Drawn:
    values = _without_gaps(np.frombuffer(content).reshape(-1, steps))
    band = stats.band(values, np.random.default_rng(SEED))
    known = np.isfinite(values)
    count = known.sum(axis=0)
    some = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    return Drawn(*band, rest=np.where((count > 0) & ~known.all(axis=0), some, np.nan))


def point(scores: np.ndarray) -> stats.Interval:
    """Mean of the finite scores (n,) with its 95 % interval; NaN where there are too few."""
    known = np.asarray(scores, dtype=float)[np.isfinite(scores)]
    return _point(known.tobytes()) if len(known) else stats.Interval(np.nan, np.nan, np.nan)


@lru_cache(10_000)
def _point(content: bytes) -> stats.Interval:
    known = np.frombuffer(content)
    found = stats.mean(known, np.random.default_rng(SEED))
    low, high = found.interval()
    return stats.Interval(float(found.value), float(low), float(high))


def _without_gaps(values: np.ndarray) -> np.ndarray:
    """Fill each gap between two known values of a run with the first of them; both ends of a run stay as they are."""
    still_going = np.logical_or.accumulate(np.isfinite(values)[:, ::-1], axis=1)[:, ::-1]
    return np.where(still_going, stats.forward_filled(values), np.nan)
