"""What batch normalization ties together: the examples of a batch, and how closely the layers."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import BatchNorm, LayerNorm, Network, Tanh
from rlnorm.textbook.complex_step import derivative_by_column
from rlnorm.textbook.random_cases import Array, Case, batch, epsilon, linear, log_uniform, normalized, size, values

FARTHER, NETWORKS = 1.25, 100


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


def many_networks(rng: np.random.Generator) -> Case:
    """Rows and units of networks of two layers, the fraction by which lower weights move, and the networks' seed."""
    return {
        "rows": size(rng, 8, 64),
        "units": size(rng, 4, 32),
        "by": log_uniform(rng, 1e-3, 0.1),
        "seed": int(rng.integers(1 << 31)),
    }


def upper_layer(x: Array, target: Array, lower: Array, upper: Array, *, norm: bool) -> dict[str, Array]:
    """The upper layer's output for the first row and its weights' gradient for that row's squared error."""
    b = np.zeros(len(target))
    below = (linear(lower, b), *((BatchNorm(len(b), eps=0.0),) if norm else ()), Tanh())
    a = Network(*below).forward(x)[0]
    output = linear(upper, b).forward(a[None])[0]
    return {"output": output, "gradient": np.outer(a, output - target)}


def moved(case: Case, what: str, *, norm: bool) -> float:
    """How far `what` moves when the lower weights move by the fraction `by`, in lengths of it; geometric mean.

    Signals keep their size without BN: inputs have variance 1 and a mean up to 1, weights variance 1 / units.
    """
    rng, m, d, moves = np.random.default_rng(case["seed"]), case["rows"], case["units"], []
    for _ in range(NETWORKS):
        x, target = rng.normal(size=(m, d)) + rng.uniform(-1, 1, size=d), rng.normal(size=d)
        lower, upper, direction = rng.normal(size=(3, d, d)) / d**0.5
        step = case["by"] * np.linalg.norm(lower) / np.linalg.norm(direction) * direction
        old, new = (upper_layer(x, target, weights, upper, norm=norm)[what] for weights in (lower, lower + step))
        moves.append(np.log(np.linalg.norm(new - old) / np.linalg.norm(old)))
    return np.exp(np.mean(moves))


def layers(what: str) -> Exact:
    """Does the upper layer's output, or gradient, move farther with BN than without?"""
    return Exact(
        group="layers",
        statement=f"one row's {what} in the layer above moves at least {FARTHER} times as far with BN as without; each "
        f"case is {NETWORKS} networks, so there are few",
        formula=lambda case: moved(case, what, norm=True) / moved(case, what, norm=False),
        truth=lambda case: FARTHER,
        draw=many_networks,
        scale=lambda case: 1.0,
        tolerance=0.05,
        rationale="ratios of means over 100 random networks scatter by a tenth",
        cases=50,
        relation=">=",
    )


CLAIM = Claim(
    title="BatchNorm couples examples and layers",
    statement="Batch normalization makes the output for one row depend on the other rows of its batch, as LN does not; "
    "and it ties a layer closer to the layer below: when the weights below move by a fraction of their length (0.1 to "
    "10 %), output and gradient of the layer above move at least a quarter farther with BN than without, for one row, "
    "as fractions of their own length, in random tanh networks. (Without BN, too, a layer depends on those below.)",
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
        "layers, output": layers("output"),
        "layers, gradient": layers("gradient"),
    },
)
