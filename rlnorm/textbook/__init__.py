"""The notes' own network, step by step, in numpy: to read, and to check everything else against.

Read it in this order: `linear`, `activations`, `losses`, `batch`, `layer`, `weight`, `conv`, `network`.

Every layer has `forward(x, training)`, which gives y, and `backward(dy)`, which gives dx. In between it keeps every
quantity of the notes under its name: `mu, var, std, xhat, y` on the way up; `dxhat, dgamma, dbeta, dvar, dmu, dx, dW,
db` on the way down. `dname` always means dL/dname. `parameters` names what training changes.

x is (m, d): m rows (examples), d columns (features); maps are (m, c, h, w). Nothing is cast to real or to float64, so
the forward passes also take complex numbers, which gives exact numerical derivatives (`complex_step.derivative`).
"""

from rlnorm.textbook.activations import ReLU, Sigmoid, Tanh
from rlnorm.textbook.batch import BatchNorm, MeanOnlyBatchNorm, input_gradient, short_input_gradient
from rlnorm.textbook.conv import Conv2d
from rlnorm.textbook.layer import LayerNorm
from rlnorm.textbook.linear import Linear
from rlnorm.textbook.losses import SoftmaxCrossEntropy, SquaredError
from rlnorm.textbook.network import SGD, Layer, Network, accuracy, train
from rlnorm.textbook.weight import WeightNormLinear

__all__ = [
    "SGD",
    "BatchNorm",
    "Conv2d",
    "Layer",
    "LayerNorm",
    "Linear",
    "MeanOnlyBatchNorm",
    "Network",
    "ReLU",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "Tanh",
    "WeightNormLinear",
    "accuracy",
    "input_gradient",
    "short_input_gradient",
    "train",
]
