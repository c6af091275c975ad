"""Layer normalization: batch normalization turned by a quarter (Ba et al. 2016, arXiv:1607.06450).

The same steps as in `batch`, but each row over its own d features instead of each feature over the m rows:

    mu_i  = 1/d sum_k x_ik,    var_i = 1/d sum_k (x_ik - mu_i)^2,    std_i = (var_i + eps)^(1/2)
    xhat  = (x - mu) / std,    y     = gamma xhat + beta             gamma_k and beta_k belong to the features

So no row knows of another, and training and test are the same. Backward as in `batch`, with sums over features:

    dxhat = dy gamma,          dgamma = sum over rows of dy xhat,    dbeta = sum over rows of dy
    dvar  = -1/2 sum_k dxhat (x-mu) (var+eps)^(-3/2),                dmu   = -(var+eps)^(-1/2) sum_k dxhat
    dx    = dxhat (var+eps)^(-1/2) + dvar 2(x-mu)/d + dmu/d
"""

import numpy as np

from rlnorm.textbook.arrays import Array


class LayerNorm:
    """Layer normalization of rows x (m, features); mu, var, std are (m, 1)."""

    parameters = ("gamma", "beta")

    def __init__(self, features: int, eps: float = 1e-5):
        self.gamma: Array = np.ones(features)
        self.beta: Array = np.zeros(features)
        self.eps, self.d = eps, features

    def forward(self, x: Array, training: bool = True) -> Array:
        """x (m, features) -> y, the same in training and at test."""
        self.x = x
        self.mu = x.sum(axis=1, keepdims=True) / self.d
        self.var = ((x - self.mu) ** 2).sum(axis=1, keepdims=True) / self.d
        self.std = np.sqrt(self.var + self.eps)
        self.xhat = (x - self.mu) / self.std
        self.y = self.gamma * self.xhat + self.beta
        return self.y

    def backward(self, dy: Array) -> Array:
        """dL/dy (m, features) -> dL/dx."""
        self.dxhat = dy * self.gamma
        self.dgamma = (dy * self.xhat).sum(axis=0)
        self.dbeta = dy.sum(axis=0)
        along_x = (self.dxhat * (self.x - self.mu)).sum(axis=1, keepdims=True)
        self.dvar = -1 / 2 * along_x * (self.var + self.eps) ** (-3 / 2)
        self.dmu = -((self.var + self.eps) ** (-1 / 2)) * self.dxhat.sum(axis=1, keepdims=True)
        self.dx = self.dxhat / self.std + self.dvar * 2 * (self.x - self.mu) / self.d + self.dmu / self.d
        return self.dx
