"""Derivatives by a complex step against central differences, and exact to rounding."""

from collections.abc import Callable

import numpy as np
import pytest

from rlnorm.textbook import random_cases
from rlnorm.textbook.complex_step import derivative, derivative_by_column, input_slope

FUNCTIONS: dict[str, Callable[[np.ndarray], complex]] = {
    "polynomial": lambda x: (x**3 - 2 * x).sum(),
    "quotient": lambda x: x[0] / np.sqrt((x**2).sum()),
    "exponential": lambda x: np.exp(x).prod(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_complex_step_agrees_with_central_differences(name: str):
    function, x = FUNCTIONS[name], np.array([0.3, -1.2, 0.7])
    differences = [(function(x + h) - function(x - h)) / 2e-6 for h in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(derivative(function, x), np.real(differences), rtol=1e-8)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_complex_step_is_exact_to_rounding(size: float):
    x = size * np.array([0.3, -1.2, 0.7])
    np.testing.assert_allclose(derivative(lambda x: (x**3).sum(), x), 3 * x**2, rtol=1e-15)
    np.testing.assert_allclose(derivative_by_column(lambda x: (x**3).sum(axis=0), x), 3 * x**2, rtol=1e-15)


def test_the_slope_of_batch_norm_agrees_with_central_differences():
    case = {"x": np.array([0.3, -1.2, 0.7]), "dy": np.array([1.0, 2, -3]), "gamma": 2.0, "beta": 1.0, "eps": 0.1}

    def loss(x: np.ndarray) -> float:
        return case["dy"] @ random_cases.normalized(case, x[:, None]).y[:, 0]

    differences = [(loss(case["x"] + h) - loss(case["x"] - h)) / 2e-6 for h in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(input_slope(case), differences, atol=1e-8)
