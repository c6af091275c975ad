"""The fully connected layer: every output is a weighted sum of all inputs.

    Z = X W + b                      X (m, inputs), W (inputs, outputs), b (outputs,), Z (m, outputs)

Backward. Z_ik = sum_j X_ij W_jk + b_k, so a change of W_jk moves Z_ik by X_ij, for every row i; of b_k by 1, in every
row; of X_ij by W_jk, for every output k. Summing over what each of them moves:

    dL/dW = X^T dL/dZ,      dL/db = sum over rows of dL/dZ,      dL/dX = dL/dZ W^T                          (note N0)
"""

import numpy as np

from rlnorm.textbook.arrays import Array


class Linear:
    """Z = X W + b, started as He et al. 2015 (arXiv:1502.01852) do: W normal with variance 2 / inputs, b = 0."""

    parameters = ("W", "b")

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator):
        self.W: Array = rng.normal(0.0, np.sqrt(2 / inputs), (inputs, outputs))
        self.b: Array = np.zeros(outputs)

    def forward(self, x: Array, training: bool = True) -> Array:
        """X (m, inputs) -> Z (m, outputs)."""
        self.x = x
        self.y = x @ self.W + self.b
        return self.y

    def backward(self, dy: Array) -> Array:
        """dL/dZ (m, outputs) -> dL/dX (m, inputs)."""
        self.dW = self.x.T @ dy
        self.db = dy.sum(axis=0)
        self.dx = dy @ self.W.T
        return self.dx
