"""Note N1's formula for dL/dx, against the slope of the forward pass."""

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import input_gradient
from rlnorm.textbook.complex_step import input_slope
from rlnorm.textbook.random_cases import Array, Case, backpropagated, batch, input_terms


def note(case: Case) -> Array:
    """N1's formula, from the named intermediates of the textbook."""
    return input_gradient(backpropagated(case))[:, 0]


def projection(case: Case) -> Array:
    """The same in one line: dL/dxhat without its parts along 1 and along xhat, over std."""
    bn = backpropagated(case)
    return ((bn.dxhat - bn.dxhat.mean() - bn.xhat * (bn.dxhat * bn.xhat).mean()) / bn.std)[:, 0]


CLAIM = Claim(
    title="Gradient of the input, the derivation",
    statement="The input gradient of batch normalization is "
    "dL/dx_i = dL/dxhat_i (var+eps)^(-1/2) + dL/dvar 2(x_i-mu)/m + dL/dmu / m, for any m >= 2 and any eps.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3",
    notes=("N1",),
    kind="exact",
    parts={
        "formula": Exact(
            statement="dx = dxhat (var+eps)^(-1/2) + dvar 2(x-mu)/m + dmu/m",
            formula=note,
            truth=input_slope,
            draw=batch,
            scale=input_terms,
        ),
        "as a projection": Exact(
            statement="dx = (dxhat - <dxhat> - xhat <dxhat xhat>) / std, <.> the mean over the batch",
            formula=projection,
            truth=input_slope,
            draw=batch,
            scale=input_terms,
        ),
    },
)
