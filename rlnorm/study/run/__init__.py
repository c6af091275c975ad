"""From units to rows: doing units in processes here or on a cluster, showing progress, storing what they give."""

from rlnorm.study.run.backend import Backend, backend_errors, opened
from rlnorm.study.run.pool import PATIENCE, UnitsFailed, complete, run, unfinished
from rlnorm.study.run.progress import Bars, Ending, Watcher, Watchers
from rlnorm.study.run.rows import Rows
from rlnorm.study.run.store import Store

__all__ = [
    "PATIENCE",
    "Backend",
    "Bars",
    "Ending",
    "Rows",
    "Store",
    "UnitsFailed",
    "Watcher",
    "Watchers",
    "backend_errors",
    "complete",
    "opened",
    "run",
    "unfinished",
]
