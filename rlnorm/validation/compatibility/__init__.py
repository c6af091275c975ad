"""What people do with modules (copy, compile, export, shard, ...), done with those of rlnorm.nn and with torch's.

`USES` and `SUBJECTS` are the columns and rows of docs/compatibility.md, `outcomes` does them, `page` writes them down.
"""

from rlnorm.validation.compatibility.outcome import NothingToDo, Otherwise, Outcome, Subject, Use, outcome
from rlnorm.validation.compatibility.page import entry, page, read
from rlnorm.validation.compatibility.run import CELLS, USES, missing, outcomes
from rlnorm.validation.compatibility.subjects import SUBJECTS

__all__ = [
    "CELLS",
    "SUBJECTS",
    "USES",
    "NothingToDo",
    "Otherwise",
    "Outcome",
    "Subject",
    "Use",
    "entry",
    "missing",
    "outcome",
    "outcomes",
    "page",
    "read",
]
