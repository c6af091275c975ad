"""Activations: one curve, applied to every number on its own.

Since y_i depends on x_i alone, the backward pass multiplies each gradient by the slope of the curve at that place.

    ReLU      y = max(x, 0)               slope 1 where x > 0, else 0
    sigmoid   y = 1 / (1 + e^-x)          slope y (1 - y), at most 1/4
    tanh      y = tanh x                  slope 1 - y^2, at most 1
"""

import numpy as np

from rlnorm.textbook.arrays import Array


class ReLU:
    """y = max(x, 0). At x = 0, where there is no slope, 0 is used, as torch does."""

    parameters = ()

    def forward(self, x: Array, training: bool = True) -> Array:
        """x -> y, any shape."""
        self.positive = np.real(x) > 0
        self.y = np.where(self.positive, x, 0)
        return self.y

    def backward(self, dy: Array) -> Array:
        """dL/dy -> dL/dx."""
        self.slope = np.where(self.positive, 1.0, 0.0)
        self.dx = dy * self.slope
        return self.dx


class Sigmoid:
    """y = 1 / (1 + e^-x), written as (1 + tanh(x/2)) / 2, which no x can overflow."""

    parameters = ()

    def forward(self, x: Array, training: bool = True) -> Array:
        """x -> y, any shape."""
        self.y = (1 + np.tanh(x / 2)) / 2
        return self.y

    def backward(self, dy: Array) -> Array:
        """dL/dy -> dL/dx."""
        self.slope = self.y * (1 - self.y)
        self.dx = dy * self.slope
        return self.dx


class Tanh:
    """y = tanh x."""

    parameters = ()

    def forward(self, x: Array, training: bool = True) -> Array:
        """x -> y, any shape."""
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy: Array) -> Array:
        """dL/dy -> dL/dx."""
        self.slope = 1 - self.y**2
        self.dx = dy * self.slope
        return self.dx
