"""The convolution: one small window of weights, laid over every place of the map.

    Z[n, o, r, s] = b[o] + sum over channels c and window places (i, j) of  W[o, c, i, j] X[n, c, r+i, s+j]

X (m, c, h, w), with `padding` rows and columns of zeros around; W (o, c, k, k); Z (m, o, h + 2 padding - k + 1, ...).
As is usual in this field the window is not turned over, so this is a cross-correlation.

Backward. For one place (i, j) of the window this is a Linear layer between the shifted map X[.., r+i, s+j] and Z, the
same for every pixel. So each place has the rules of `linear`, and what the places share adds up:

    dL/dW[:, :, i, j] = sum over examples and pixels of dL/dZ X_shifted,    dL/db = sum of dL/dZ,
    dL/dX_shifted    += dL/dZ W[:, :, i, j]
"""

import numpy as np

from rlnorm.textbook.arrays import Array


class Conv2d:
    """Z = X * W + b with k x k windows, stride 1; W is normal with variance 2 / (c k k), b = 0."""

    parameters = ("W", "b")

    def __init__(self, inputs: int, outputs: int, k: int, rng: np.random.Generator, padding: int = 0):
        self.W: Array = rng.normal(0.0, np.sqrt(2 / (inputs * k * k)), (outputs, inputs, k, k))
        self.b: Array = np.zeros(outputs)
        self.k, self.padding = k, padding

    def forward(self, x: Array, training: bool = True) -> Array:
        """X (m, c, h, w) -> Z (m, o, h', w')."""
        edge = (self.padding, self.padding)
        self.x = np.pad(x, ((0, 0), (0, 0), edge, edge))
        self.height, self.width = self.x.shape[2] - self.k + 1, self.x.shape[3] - self.k + 1
        self.y = self.b[:, None, None]
        for i in range(self.k):
            for j in range(self.k):
                shifted = self.x[:, :, i : i + self.height, j : j + self.width]
                self.y = self.y + np.einsum("ncrs,oc->nors", shifted, self.W[:, :, i, j])
        return self.y

    def backward(self, dy: Array) -> Array:
        """dL/dZ (m, o, h', w') -> dL/dX (m, c, h, w)."""
        self.db = dy.sum(axis=(0, 2, 3))
        self.dW = np.zeros_like(self.W)
        padded = np.zeros_like(self.x)
        for i in range(self.k):
            for j in range(self.k):
                shifted = self.x[:, :, i : i + self.height, j : j + self.width]
                self.dW[:, :, i, j] = np.einsum("nors,ncrs->oc", dy, shifted)
                back = np.einsum("nors,oc->ncrs", dy, self.W[:, :, i, j])
                padded[:, :, i : i + self.height, j : j + self.width] += back
        inside = slice(self.padding, -self.padding or None)
        self.dx = padded[:, :, inside, inside]
        return self.dx
