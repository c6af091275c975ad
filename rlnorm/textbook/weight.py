"""Weight normalization: a Linear layer whose weights are a length times a direction (note N4).

    w_k = g_k v_k / |v_k|            for each output k: v_k (inputs,) gives the direction, g_k the length
    Z   = X W + b                    the columns of W are the w_k

Nothing is measured on the batch: the mean of Z is left as it is (see `MeanOnlyBatchNorm`), its spread is that of X.

Backward. With dL/dW = X^T dL/dZ as in `linear`:

    w_k by g_k has slope v_k / |v_k|:                 dg_k = dw_k . v_k / |v_k|
    w_k by v_k: |v| itself moves by v/|v|, so         dv_k = g_k/|v_k| (dw_k - v_k (dw_k . v_k) / |v_k|^2)

dv_k has lost its part along v_k, so a gradient step is at a right angle to v_k and makes it longer, never shorter.
Source: Salimans & Kingma 2016, arXiv:1602.07868, eq. 2 and 3.
"""

import numpy as np

from rlnorm.textbook.arrays import Array


class WeightNormLinear:
    """Z = X W + b with w_k = g_k v_k / |v_k|; v starts normal with spread 0.05 as in the paper, g at 1, b at 0."""

    parameters = ("v", "g", "b")

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator):
        self.v: Array = rng.normal(0.0, 0.05, (inputs, outputs))
        self.g: Array = np.ones(outputs)
        self.b: Array = np.zeros(outputs)

    def forward(self, x: Array, training: bool = True) -> Array:
        """X (m, inputs) -> Z (m, outputs)."""
        self.x = x
        self.length = np.sqrt((self.v**2).sum(axis=0))
        self.W = self.g * self.v / self.length
        self.y = x @ self.W + self.b
        return self.y

    def backward(self, dy: Array) -> Array:
        """dL/dZ (m, outputs) -> dL/dX (m, inputs)."""
        self.dW = self.x.T @ dy
        self.db = dy.sum(axis=0)
        along_v = (self.dW * self.v).sum(axis=0)
        self.dg = along_v / self.length
        self.dv = self.g / self.length * (self.dW - self.v * along_v / self.length**2)
        self.dx = dy @ self.W.T
        return self.dx
