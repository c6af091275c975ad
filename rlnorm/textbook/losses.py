"""Losses: one number L that says how wrong the outputs z are, and dL/dz, where the backward pass begins.

    squared error            L = mean of (z - t)^2 over all numbers          dL/dz = 2 (z - t) / (how many numbers)

    softmax cross-entropy    p_ik = e^z_ik / sum_j e^z_ij                    (row i's probability of class k)
                             L = -1/m sum_i log p_i,t_i                      (t_i: the true class of row i)
                             dL/dz = (p - onehot(t)) / m

The last line: log p_it = z_it - log sum_j e^z_ij, whose derivative by z_ik is
[k = t] - e^z_ik / sum_j e^z_ij = [k = t] - p_ik.
"""

import numpy as np

from rlnorm.textbook.arrays import Array


class SquaredError:
    """L = mean of (z - t)^2 over all numbers."""

    def forward(self, z: Array, t: Array) -> Array:
        """Outputs z and targets t of one shape -> L, a scalar."""
        self.error = z - t
        self.L = (self.error**2).mean()
        return self.L

    def backward(self) -> Array:
        """dL/dz, the shape of z."""
        self.dz = 2 * self.error / self.error.size
        return self.dz


class SoftmaxCrossEntropy:
    """L = -mean of log p(true class), p = softmax(z)."""

    def forward(self, z: Array, t: Array) -> Array:
        """Outputs z (m, classes) and true classes t (m,) of integers -> L, a scalar."""
        rows = np.arange(len(z))
        shifted = z - np.real(z).max(axis=1, keepdims=True)  # e^(z-c) / sum e^(z-c) is the same p, and cannot overflow
        e = np.exp(shifted)
        total = e.sum(axis=1, keepdims=True)
        self.p = e / total
        self.onehot = np.zeros(z.shape)
        self.onehot[rows, t] = 1.0
        self.L = -(shifted[rows, t] - np.log(total[:, 0])).mean()
        return self.L

    def backward(self) -> Array:
        """dL/dz (m, classes)."""
        self.dz = (self.p - self.onehot) / len(self.p)
        return self.dz
