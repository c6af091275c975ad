"""Weight normalization sets a weight vector's length apart from its direction."""

import numpy as np

from rlnorm.study.claim import Claim, Exact
from rlnorm.textbook import WeightNormLinear
from rlnorm.textbook.random_cases import Array, Case, log_uniform, scale, size, values


def draw(rng: np.random.Generator) -> Case:
    """Rows x (m, d) and dL/dz (m,) of one unit, its v (d,) of any length, its g, a learning rate."""
    m, d = size(rng), size(rng, 2, 64)
    return {
        "x": values(rng, m, d),
        "dz": rng.normal(size=m),
        "v": scale(rng) * rng.normal(size=d),
        "g": float(rng.choice([-1, 1])) * log_uniform(rng, 0.1, 10),
        "lr": log_uniform(rng, 1e-6, 10),
    }


def unit(case: Case, **changed: Array) -> WeightNormLinear:
    """The textbook's layer after forward and backward pass."""
    case = {**case, **changed}
    layer = WeightNormLinear(len(case["v"]), 1, np.random.default_rng(0))
    layer.v, layer.g = case["v"][:, None], np.reshape(case["g"], 1)
    layer.forward(case["x"])
    layer.backward(case["dz"][:, None])
    return layer


def stepped(case: Case, name: str) -> WeightNormLinear:
    """The layer after a gradient step of the size lr relative to the parameter `name` (v or g)."""
    layer = unit(case)
    old, slope = getattr(layer, name), getattr(layer, "d" + name)
    rate = case["lr"] * np.linalg.norm(old) / np.linalg.norm(slope)
    return unit(case, **{name: (old - rate * slope)[:, 0] if name == "v" else old - rate * slope})


def direction(layer: WeightNormLinear) -> Array:
    """w / |w| (d,), its sign made that of g positive."""
    return (np.sign(layer.g) * layer.W / np.linalg.norm(layer.W))[:, 0]


def gradient_size(case: Case) -> float:
    """The size of the terms of dL/dv, times |v|."""
    return float(abs(case["g"]) * np.linalg.norm(np.abs(case["x"]).T @ np.abs(case["dz"])))


CLAIM = Claim(
    title="Weight norm separates length from direction",
    statement="With w = g v/|v| weight normalization sets length apart from direction: |w| = |g|; the gradient at v "
    "is at a right angle to v, so |v| grows under gradient steps; a step on v leaves |w|, a step on g "
    "leaves the direction.",
    source="Salimans & Kingma 2016, arXiv:1602.07868, sec. 2",
    notes=("N4",),
    kind="exact",
    parts={
        "length": Exact(
            statement="|w| = |g|",
            formula=lambda case: abs(case["g"]),
            truth=lambda case: np.linalg.norm(unit(case).W),
            draw=draw,
            scale=lambda case: abs(case["g"]),
        ),
        "right angle": Exact(
            statement="dL/dv . v = 0",
            formula=lambda case: 0.0,
            truth=lambda case: unit(case).dv[:, 0] @ case["v"],
            draw=draw,
            scale=gradient_size,
        ),
        "|v| grows": Exact(
            statement="|v - lr dL/dv|^2 = |v|^2 + lr^2 |dL/dv|^2: never less than |v|^2 (lr in units of |v| / |dL/dv|)",
            formula=lambda case: 1 + case["lr"] ** 2,
            truth=lambda case: (np.linalg.norm(stepped(case, "v").v) / np.linalg.norm(case["v"])) ** 2,
            draw=draw,
            scale=lambda case: 1 + case["lr"] ** 2,
        ),
        "step on v": Exact(
            statement="|w| stays |g|",
            formula=lambda case: abs(case["g"]),
            truth=lambda case: np.linalg.norm(stepped(case, "v").W),
            draw=draw,
            scale=lambda case: abs(case["g"]),
        ),
        "step on g": Exact(
            statement="w/|w| stays, up to its sign",
            formula=lambda case: direction(unit(case)),
            truth=lambda case: direction(stepped(case, "g")),
            draw=draw,
            scale=lambda case: 1.0,
        ),
    },
)
