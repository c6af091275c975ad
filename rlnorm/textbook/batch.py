r"""Batch normalization, with every step of the notes kept by name (Ioffe & Szegedy 2015, arXiv:1502.03167, alg. 1).

Forward, for each feature (column) on its own, over the m rows of the batch:

    mu    = 1/m sum_i x_i                       the batch's mean
    var   = 1/m sum_i (x_i - mu)^2              the batch's variance sigma^2, biased: divided by m, not m-1
    std   = (var + eps)^(1/2)
    xhat  = (x - mu) / std                      mean 0, variance var/(var+eps), nearly 1
    y     = gamma xhat + beta                   mean beta, standard deviation nearly gamma

Backward (note N1). Go down the forward steps, last one first. Each step hands back what it was given, times its slope.

    y = gamma xhat + beta:        dxhat  = dy gamma,   dgamma = sum_i dy_i xhat_i,   dbeta = sum_i dy_i
    xhat = (x-mu)(var+eps)^(-1/2), by var:
                                  dvar   = -1/2 sum_i dxhat_i (x_i-mu) (var+eps)^(-3/2)
    by mu, directly and by way of var:
                                  dmu    = -(var+eps)^(-1/2) sum_i dxhat_i  +  dvar * (-2/m) sum_i (x_i-mu),
                                           and the second term is 0, because deviations from a mean add up to 0
    x_i reaches L on three ways, through xhat_i, through var (slope 2(x_i-mu)/m) and through mu (slope 1/m):
                                  dx_i   = dxhat_i (var+eps)^(-1/2) + dvar 2(x_i-mu)/m + dmu/m

The same in one line, as a projection: put dvar and dmu in, and write <a> for the mean of a over the batch,

    dx = (dxhat - <dxhat> - xhat <dxhat xhat>) / std.

Along the mean and along xhat no gradient passes: shifting or stretching the batch would change nothing.

Behind a convolution (m, c, h, w) each channel is a feature and each pixel of each example is a row: m h w rows.
"""

from collections.abc import Callable

import numpy as np

from rlnorm.textbook.arrays import Array


def input_gradient(bn: "BatchNorm") -> Array:
    """dL/dx of the whole derivation (note N1): dx = dxhat (var+eps)^(-1/2) + dvar 2(x-mu)/m + dmu/m."""
    return bn.dxhat / bn.std + bn.dvar * 2 * (bn.x - bn.mu) / bn.m + bn.dmu / bn.m


def short_input_gradient(bn: "BatchNorm") -> Array:
    """dL/dx as note N0 has it: dx = dxhat (var+eps)^(-1/2) - dgamma sum 2(x-mu)/(m(m-1)(var+eps)^(1/2)) - dbeta/m."""
    total = (2 * (bn.x - bn.mu)).sum(axis=0)
    return bn.dxhat / bn.std - bn.dgamma * total / (bn.m * (bn.m - 1) * bn.std) - bn.dbeta / bn.m


def as_rows(x: Array) -> Array:
    """Maps (m, c, h, w) -> one row per pixel (m h w, c); rows stay as they are."""
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1]) if x.ndim == 4 else x


def as_maps(rows: Array, shape: tuple[int, ...]) -> Array:
    """The way back from `as_rows` to the given shape of x."""
    if len(shape) == 2:
        return rows
    m, c, h, w = shape
    return rows.reshape(m, h, w, c).transpose(0, 3, 1, 2)


class BatchNorm:
    """Batch normalization of rows x (m, features) or of maps x (m, features, h, w); all it keeps is in rows.

    In training there must be at least 2 rows.

    gamma, beta         (features,) scale and shift, learnt; they start at 1 and 0
    running_mean, _var  (features,) exponential averages of the batches' mean and *unbiased* variance, for use at test:
                        running <- (1 - momentum) running + momentum batch
    dx                  the formula for dL/dx; give `short_input_gradient` to train as note N0 says
    """

    parameters = ("gamma", "beta")

    def __init__(
        self,
        features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        dx: "Callable[[BatchNorm], Array]" = input_gradient,
    ):
        self.gamma: Array = np.ones(features)
        self.beta: Array = np.zeros(features)
        self.running_mean: Array = np.zeros(features)
        self.running_var: Array = np.ones(features)
        self.eps, self.momentum, self.input_gradient = eps, momentum, dx

    def forward(self, x: Array, training: bool = True) -> Array:
        """x -> y. Training: statistics of this batch, else the running ones. ValueError if one row is all there is."""
        self.shape, self.training = x.shape, training
        x = self.x = as_rows(x)
        self.m = len(x)
        if training:
            if self.m < 2:
                raise ValueError(f"a batch to train on needs at least 2 rows to have a variance, got {self.m}")
            self.mu = x.sum(axis=0) / self.m
            self.var = ((x - self.mu) ** 2).sum(axis=0) / self.m
            unbiased = self.var * self.m / (self.m - 1)
            self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * self.mu
            self.running_var = (1 - self.momentum) * self.running_var + self.momentum * unbiased
        else:
            self.mu, self.var = self.running_mean, self.running_var
        self.std = np.sqrt(self.var + self.eps)
        self.xhat = (x - self.mu) / self.std
        self.y = self.gamma * self.xhat + self.beta
        return as_maps(self.y, self.shape)

    def backward(self, dy: Array) -> Array:
        """dL/dy, the shape of y -> dL/dx. At test mu and var are constants, and dx is dxhat / std alone."""
        dy = self.dy = as_rows(dy)
        self.dxhat = dy * self.gamma
        self.dgamma = (dy * self.xhat).sum(axis=0)
        self.dbeta = dy.sum(axis=0)
        if not self.training:
            self.dvar, self.dmu = np.zeros_like(self.var), np.zeros_like(self.mu)
            self.dx = self.dxhat / self.std
            return as_maps(self.dx, self.shape)
        self.dvar = -1 / 2 * (self.dxhat * (self.x - self.mu)).sum(axis=0) * (self.var + self.eps) ** (-3 / 2)
        self.dmu = -((self.var + self.eps) ** (-1 / 2)) * self.dxhat.sum(axis=0)
        self.dx = self.input_gradient(self)
        return as_maps(self.dx, self.shape)


class MeanOnlyBatchNorm:
    """y = x - mu + beta: BN's mean without its variance, made for weight-normalized layers (note N4).

    Every x_j moves y_i by [i = j] - 1/m, so dx = dy - (mean of dy over the batch).
    Source: Salimans & Kingma 2016, arXiv:1602.07868, sec. 4.
    """

    parameters = ("beta",)

    def __init__(self, features: int, momentum: float = 0.1):
        self.beta: Array = np.zeros(features)
        self.running_mean: Array = np.zeros(features)
        self.momentum = momentum

    def forward(self, x: Array, training: bool = True) -> Array:
        """x (m, features) -> y. Training: the mean of this batch; else the running one."""
        self.training = training
        if training:
            self.mu = x.sum(axis=0) / len(x)
            self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * self.mu
        else:
            self.mu = self.running_mean
        self.y = x - self.mu + self.beta
        return self.y

    def backward(self, dy: Array) -> Array:
        """dL/dy (m, features) -> dL/dx."""
        self.dbeta = dy.sum(axis=0)
        self.dmu = -dy.sum(axis=0) if self.training else np.zeros_like(self.mu)
        self.dx = dy + self.dmu / len(dy)
        return self.dx
