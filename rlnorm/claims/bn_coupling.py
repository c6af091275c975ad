"""What batch normalization ties together: the examples of a batch, and (as without it) the layers."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import BatchNorm, LayerNorm, Network, Tanh
from rlnorm.textbook.complex_step import derivative_by_column
from rlnorm.textbook.random_cases import Array, Case, batch, epsilon, linear, normalized, size, values


def three_rows(rng: np.random.Generator) -> Case:
    """A `batch` case of at least 3 rows (at 2 rows and eps 0 the outputs are +-gamma + beta, whatever x is)."""
    return batch(rng, 3)


def jacobian(case: Case) -> Array:
    """dy_i/dx_j (m, m) by complex steps, times std/gamma."""
    bn = normalized(case)
    return derivative_by_column(lambda x: normalized(case, x).y, case["x"]) * bn.std / bn.gamma


def derived(case: Case) -> Array:
    """[i = j] - 1/m - xhat_i xhat_j / m."""
    bn = normalized(case)
    return np.eye(bn.m) - 1 / bn.m - bn.xhat * bn.xhat.T / bn.m


def others(case: Case) -> float:
    """The largest effect of one row on another."""
    effects = np.abs(jacobian(case))
    np.fill_diagonal(effects, 0)
    return float(effects.max())


def least_effect(case: Case) -> float:
    """(1 - 1/(m-1)) / m: since the xhat add up to 0, some pair has xhat_i xhat_j >= -1/(m-1)."""
    m = len(case["x"])
    return (1 - 1 / (m - 1)) / m


def neighbours(rng: np.random.Generator) -> Case:
    """Rows x (m, d) and other rows to take the place of all but the first."""
    m, d = size(rng), size(rng, 2, 16)
    return {"x": values(rng, m, d), "others": values(rng, m - 1, d), "eps": epsilon(rng)}


def first_row(case: Case, *, replaced: bool) -> Array:
    """LN's output for the first row, (d,), with the other rows as they are or replaced."""
    rows = np.concatenate([case["x"][:1], case["others"] if replaced else case["x"][1:]])
    return LayerNorm(rows.shape[1], eps=case["eps"]).forward(rows)[0]


def two_layers(rng: np.random.Generator) -> Case:
    """Rows x (m, d), weights of two layers, and other weights for the lower one."""
    m, d = size(rng, 3), size(rng, 2, 16)
    return {"x": values(rng, m, d)} | {name: rng.normal(size=(d, d)) for name in ("lower", "upper", "other lower")}


def second_layer(case: Case, lower: str, *, norm: bool) -> Array:
    """What the second Linear layer gives for the first row, (d,)."""
    d = case["x"].shape[1]
    first, second = linear(case[lower], np.zeros(d)), linear(case["upper"], np.zeros(d))
    between = (BatchNorm(d, eps=0.0), Tanh()) if norm else (Tanh(),)
    return Network(first, *between, second).forward(case["x"])[0]


def change_of_second_layer(case: Case) -> float:
    """How far the second layer's output moves when only the lower weights change, behind BN."""
    old, new = (second_layer(case, lower, norm=True) for lower in ("lower", "other lower"))
    return float(np.abs(new - old).max() / np.abs(case["upper"]).sum(axis=0).max())


CLAIM = Claim(
    title="BatchNorm couples examples and layers",
    statement="Batch normalization makes the output for one row depend on the other rows of its batch, as LN does not; "
    "and it makes a layer depend on the layer below, which without it that layer would not.",
    source="study note N0",
    notes=("N0",),
    kind="exact",
    parts={
        "examples, how": Exact(
            group="examples",
            statement="dy_i/dx_j = gamma/std ([i = j] - 1/m - xhat_i xhat_j / m)",
            formula=derived,
            truth=jacobian,
            draw=three_rows,
            scale=lambda case: 1 + np.abs(case["x"]).max() / normalized(case).std[0],
        ),
        "examples, with BN": Exact(
            group="examples",
            statement="some |dy_i/dx_j| with i not j is at least gamma/std (1 - 1/(m-1)) / m",
            formula=others,
            truth=least_effect,
            draw=three_rows,
            scale=least_effect,
            relation=">=",
        ),
        "examples, with LN": Exact(
            group="examples",
            statement="LN's output for a row stays when all other rows are replaced",
            formula=lambda case: first_row(case, replaced=True),
            truth=lambda case: first_row(case, replaced=False),
            draw=neighbours,
            scale=lambda case: 1.0,
        ),
        "layers, with BN": Exact(
            group="layers",
            statement="other weights below change what the next layer gives, by more than 1e-6 of its weights",
            formula=change_of_second_layer,
            truth=lambda case: 1e-6,
            draw=two_layers,
            scale=lambda case: 1.0,
            rationale="a change of 1e-6 is far above rounding",
            relation=">=",
        ),
        "layers, without BN": Exact(
            group="layers",
            statement="without BN other weights below do not change what the next layer gives",
            formula=lambda case: second_layer(case, "other lower", norm=False),
            truth=lambda case: second_layer(case, "lower", norm=False),
            draw=two_layers,
            scale=lambda case: np.abs(case["upper"]).sum(axis=0),
        ),
    },
)
