"""A network is its layers in order; training is forward, loss, backward, one small step down, again.

x -> layer 1 -> layer 2 -> ... -> z -> L        forward, each layer keeps what its backward needs
dL/dx <- layer 1 <- layer 2 <- ... <- dL/dz     backward, each layer finds the gradients of its own
theta <- theta - lr dL/dtheta                   stochastic gradient descent, for every parameter theta
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from rlnorm.textbook.arrays import Array
from rlnorm.textbook.losses import SoftmaxCrossEntropy, SquaredError


class Layer(Protocol):
    """What every layer of the textbook offers; the gradient of parameter `W` is its attribute `dW`."""

    @property
    def parameters(self) -> tuple[str, ...]: ...
    def forward(self, x: Array, training: bool = True) -> Array: ...
    def backward(self, dy: Array) -> Array: ...


class Network:
    """Layers in order; itself a layer without parameters of its own."""

    def __init__(self, *layers: Layer):
        self.layers = layers

    def forward(self, x: Array, training: bool = True) -> Array:
        """Input of the first layer -> output z of the last."""
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy: Array) -> Array:
        """dL/dz -> dL/dx; afterwards every layer holds the gradients of its parameters."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


class SGD:
    """theta <- theta - lr dL/dtheta for every parameter of every layer."""

    def __init__(self, network: Network, lr: float):
        self.network, self.lr = network, lr

    def step(self) -> None:
        """One step down the gradients that the last backward pass left."""
        for layer in self.network.layers:
            for name in layer.parameters:
                setattr(layer, name, getattr(layer, name) - self.lr * getattr(layer, "d" + name))


def train(
    network: Network,
    loss: SoftmaxCrossEntropy | SquaredError,
    x: Array,
    t: Array,
    *,
    epochs: int,
    batch: int,
    lr: float,
    rng: np.random.Generator,
) -> Iterator[float]:
    """Train on rows x (n, ...) and targets t (n, ...), each epoch in a new order; gives each epoch's mean loss.

    The rows that fill no whole batch are left out of that epoch.
    """
    optimizer = SGD(network, lr)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        losses = []
        for rows in order[: len(x) // batch * batch].reshape(-1, batch):
            losses.append(loss.forward(network.forward(x[rows], training=True), t[rows]))
            network.backward(loss.backward())
            optimizer.step()
        yield float(np.mean(losses))


def accuracy(network: Network, x: Array, t: Array) -> float:
    """Share of rows whose largest output is that of the true class t (n,), in test mode."""
    return float((network.forward(x, training=False).argmax(axis=1) == t).mean())
