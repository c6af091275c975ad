"""No normalization: the identity, the arm every other norm is compared with."""

from rlnorm.nn.norm import Identity, Norm

NORM = Norm("none", dict.fromkeys(range(4), Identity))
