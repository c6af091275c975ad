"""Derivatives that are exact to rounding, by a complex step.

    L(x + ih) = L(x) + ih dL/dx + O(h^2)

Nothing is subtracted, so h can be so small that the error is rounding alone.
Source: Squire & Trapp 1998, "Using complex variables to estimate derivatives of real functions", SIAM Review 40.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rlnorm.textbook.random_cases import Array, Case, normalized


def derivative(function: Callable[[Array], Any], x: Array) -> Array:
    """dL/dx of a real-analytic scalar function L, shape of x, by a complex step: L(x + ih) = L(x) + ih dL/dx + O(h^2).

    Nothing is subtracted, so h can be so small that the error is rounding alone.
    Source: Squire & Trapp 1998, "Using complex variables to estimate derivatives of real functions", SIAM Review 40.
    """
    x = np.asarray(x, dtype=float)
    h = step_of(x)
    slopes = np.empty(x.size)
    for k in range(x.size):
        moved = x.astype(complex).ravel()
        moved[k] += 1j * h
        slopes[k] = np.imag(function(moved.reshape(x.shape))) / h
    return slopes.reshape(x.shape)


def derivative_by_column(function: Callable[[Array], Array], x: Array) -> Array:
    """`derivative` for one feature x (m,), all at once: column k of the (m, m) given to `function` has x_k moved.

    `function` must treat columns alike and apart, as BN does, and give L for each column, (m,); or any number of them,
    (n, m), and then so is the answer.
    """
    h = step_of(x)
    return np.imag(function(x[:, None] + 1j * h * np.eye(len(x)))) / h


def step_of(x: Array) -> float:
    """The complex step: 1e-20 of the size of x."""
    return 1e-20 * float(np.abs(x).max() or 1.0)


def input_slope(case: Case) -> Array:
    """dL/dx (m,) of L = sum_i dL/dy_i y_i for a `batch` case, by a complex step through the textbook's forward pass."""
    return derivative_by_column(lambda x: (case["dy"][:, None] * normalized(case, x).y).sum(axis=0), case["x"])
