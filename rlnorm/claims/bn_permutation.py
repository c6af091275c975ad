"""What order does to batch normalization: inside a batch nothing, between batches something."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import BatchNorm
from rlnorm.textbook.random_cases import Array, Case, batch, log_uniform, normalized, size, values


def shuffled(rng: np.random.Generator) -> Case:
    """A `batch` case and an order of its rows."""
    case = batch(rng)
    return {**case, "order": rng.permutation(len(case["x"]))}


def two_batches(rng: np.random.Generator) -> Case:
    """Two batches (2, m) of at least 3 rows and a momentum."""
    return {"x": values(rng, 2, size(rng, 3)), "momentum": log_uniform(rng, 1e-3, 0.9)}


def in_order(case: Case, order: tuple[int, int]) -> tuple[Array, BatchNorm]:
    """The outputs (2, m) of both batches, trained on in that order, and the BN afterwards."""
    bn = BatchNorm(1, momentum=case["momentum"])
    y = np.empty_like(case["x"])
    for which in order:
        y[which] = bn.forward(case["x"][which][:, None])[:, 0]
    return y, bn


def regrouped(case: Case) -> float:
    """The largest change of an xhat when every second row changes places between the two batches; 1 is its scale."""
    x, swapped = case["x"], case["x"].copy()
    swapped[:, ::2] = x[::-1, ::2]
    y, z = ((rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True) for rows in (x, swapped))
    z[:, ::2] = z[::-1, ::2].copy()
    return float(np.abs(y - z).max())


def running_difference(case: Case) -> float:
    """Running mean after first and second batch, less that after second and first."""
    return float(in_order(case, (0, 1))[1].running_mean[0] - in_order(case, (1, 0))[1].running_mean[0])


CLAIM = Claim(
    title="BatchNorm depends on the order of examples",
    statement="Batch normalization depends on order in this way: inside a batch it does not matter (outputs are "
    "permuted with their rows); which rows share a batch changes the outputs (from 3 rows on); and the order in which "
    "batches come changes the running statistics, though not the outputs in training.",
    source="study note N0",
    notes=("N0",),
    kind="exact",
    parts={
        "order inside a batch": Exact(
            statement="BN of the rows in another order = the outputs in that order",
            formula=lambda case: normalized(case, case["x"][case["order"], None]).y,
            truth=lambda case: normalized(case).y[case["order"]],
            draw=shuffled,
            scale=lambda case: abs(case["gamma"]) * np.abs(case["x"]).max() / normalized(case).std + abs(case["beta"]),
        ),
        "who shares a batch": Exact(
            statement="swapping half the rows of two batches changes some xhat by more than 1e-6",
            formula=regrouped,
            truth=lambda case: 1e-6,
            draw=two_batches,
            scale=lambda case: 1.0,
            rationale="a difference of 1e-6 standard deviations is far above rounding",
            relation=">=",
        ),
        "order of batches, running mean": Exact(
            group="order of batches",
            statement="running mean after A, B - after B, A = p^2 (mu_B - mu_A), p the momentum",
            formula=lambda case: case["momentum"] ** 2 * (case["x"][1].mean() - case["x"][0].mean()),
            truth=running_difference,
            draw=two_batches,
            scale=lambda case: case["momentum"] * np.abs(case["x"]).max(),
        ),
        "order of batches, outputs": Exact(
            group="order of batches",
            statement="in training each batch's outputs are the same whichever comes first",
            formula=lambda case: in_order(case, (0, 1))[0],
            truth=lambda case: in_order(case, (1, 0))[0],
            draw=two_batches,
            scale=lambda case: 1.0,
        ),
    },
)
