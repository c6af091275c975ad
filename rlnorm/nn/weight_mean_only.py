"""Weight normalization with mean-only batch normalization: the first fixes the scale, the second the mean.

Source: Salimans & Kingma 2016, arXiv:1602.07868, sec. 4. Definitions and derivations: `rlnorm.nn.weight`,
`rlnorm.nn.mean_only`.
"""

from rlnorm.nn import mean_only, weight
from rlnorm.nn.norm import Norm

NORM = Norm(
    "weight_mean_only",
    mean_only.NORM.modules,
    weight.WeightNorm,
    invariant_to=frozenset({"weight scale", "channel shift"}),
    couples_batch=True,
    source="Salimans & Kingma 2016, arXiv:1602.07868",
)
