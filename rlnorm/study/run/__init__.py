"""From units to rows: doing units in processes of their own, showing progress, storing what they give."""

from rlnorm.study.run.pool import PATIENCE, UnitsFailed, complete, run, unfinished
from rlnorm.study.run.progress import Bars, Ending, Watcher, Watchers
from rlnorm.study.run.rows import Rows
from rlnorm.study.run.store import Store

__all__ = [
    "PATIENCE",
    "Bars",
    "Ending",
    "Rows",
    "Store",
    "UnitsFailed",
    "Watcher",
    "Watchers",
    "complete",
    "run",
    "unfinished",
]
