"""The doctor: finds what goes wrong with normalization in a network that learns by reinforcement.

    from rlnorm.doctor import check

    print(check(model))

`CHECKS` is the table of what it looks for. What a norm does is found out by running copies of it, so that torch's norms
and those of others are examined too. What the doctor was given stays as it was, to the bit.
"""

from rlnorm.doctor.checks import CHECKS, Check
from rlnorm.doctor.examine import check
from rlnorm.doctor.findings import LEVELS, Finding, Report, Threshold

__all__ = ["CHECKS", "LEVELS", "Check", "Finding", "Report", "Threshold", "check"]
