"""The doctor: finds what goes wrong with normalization in a network that learns by reinforcement.

    from rlnorm.doctor import check

    print(check(model))

`CHECKS` is the table of its checks. It runs copies of norms to see what they do, so it examines those of torch and of
users too. The model stays as it was, to the bit.
"""

from rlnorm.doctor.checks import CHECKS, Check
from rlnorm.doctor.examine import check
from rlnorm.doctor.findings import LEVELS, Finding, Report, Threshold

__all__ = ["CHECKS", "LEVELS", "Check", "Finding", "Report", "Threshold", "check"]
