"""The laws every norm obeys, written once.

The test suite runs them over every norm and number of spatial dimensions, `rlnorm.nn.check.check_norm` over a norm of
one's own. A law is a function of a `Case` that raises AssertionError where the norm breaks it; all are in `LAWS`.
"""

from rlnorm.nn.laws import derivatives, facts, precision, transforms
from rlnorm.nn.laws.case import LAWS, Case, Law, call, close, law, state_of
from rlnorm.nn.laws.derivatives import ScaledBackward, assert_adjoint
from rlnorm.nn.laws.facts import INVARIANCES

__all__ = [
    "INVARIANCES",
    "LAWS",
    "Case",
    "Law",
    "ScaledBackward",
    "assert_adjoint",
    "call",
    "close",
    "derivatives",
    "facts",
    "law",
    "precision",
    "state_of",
    "transforms",
]
