"""The supervised engine: a generator of records, of the same shape as the DQN engine's."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from rlnorm.compiling import compiled
from rlnorm.errors import raise_if_any, too_few, unknown
from rlnorm.networks import mlp, network_errors
from rlnorm.optimizers import OPTIMIZERS
from rlnorm.population import RECORDS, Population, member_errors
from rlnorm.tasks.datasets import DATASETS, split

Record = dict[str, Any]
TEST_SHARE = 0.2


def train(
    *,
    dataset: str,
    seeds: Sequence[int],
    rates: Sequence[float],
    steps: int,
    train_size: int | None = None,
    norm: str = "none",
    place: str = "before",
    hidden: Sequence[int] = (64, 64),
    activation: str = "relu",
    bias: bool = True,
    init: str = "torch",
    init_scale: float = 1.0,
    optimizer: str = "sgd",
    batch: int = 64,
    compile: bool = False,
) -> Iterator[Record]:
    """Train len(seeds) classifiers as one population for `steps` updates, member i at learning rate `rates[i]`.

    A member's seed decides its initial weights, its split (a fifth is the test set; `train_size` of the rest are used,
    all by default) and its order of mini-batches, so that members with one seed and several rates see the same data.

    Yields 100 records (one per update, where there are fewer): step; per member loss (mean since the last record),
    test_accuracy (eval mode), diverged; the last one also train_accuracy. Raises ConfigError with every error at once.
    """
    raise_if_any(errors(**locals()))
    data = DATASETS[dataset]()
    streams = [np.random.default_rng([seed, 0]) for seed in seeds]
    splits = [split(len(data), TEST_SHARE, stream) for stream in streams]
    train_rows = np.stack([train[:train_size] for train, _ in splits])
    test_rows = torch.from_numpy(np.stack([test for _, test in splits]))
    population = Population(
        lambda: mlp(
            data.inputs.shape[1],
            data.classes,
            hidden=hidden,
            norm=norm,
            place=place,
            activation=activation,
            bias=bias,
        ),
        seeds,
        init=init,
        init_scale=init_scale,
    )
    rule = OPTIMIZERS[optimizer](population.flat, rates)
    diverged = torch.zeros(len(seeds), dtype=torch.bool)

    def update(inputs: Tensor, labels: Tensor) -> Tensor:
        leaves = population.leaves()
        logits = population.apply(leaves, population.buffers.views, inputs, "train")
        loss = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape).mean(-1)
        gradients = torch.autograd.grad(loss.sum(), list(leaves.values()))
        with torch.no_grad():
            rule.step(torch.cat([g.flatten(1) for g in gradients], dim=1))
            diverged.logical_or_(~loss.isfinite())
        return loss.detach()

    def accuracy(rows: Tensor) -> list[float]:
        predicted = population(data.inputs[rows]).argmax(-1)
        return (predicted == data.labels[rows]).float().mean(-1).tolist()

    step_all = compiled(update) if compile else update
    total, count = torch.zeros(len(seeds)), 0
    for step, rows in enumerate(_batches(train_rows, batch, steps, streams), start=1):
        total += step_all(data.inputs[rows], data.labels[rows])
        count += 1
        if step * RECORDS // steps > (step - 1) * RECORDS // steps:
            # An update may have been the last one before its damage was seen.
            diverged.logical_or_(~population.flat.isfinite().all(1))
            record: Record = {
                "step": step,
                "loss": (total / count).tolist(),
                "test_accuracy": accuracy(test_rows),
                "diverged": diverged.tolist(),
            }
            if step == steps:
                record["train_accuracy"] = accuracy(torch.from_numpy(train_rows))
            yield record
            total.zero_()
            count = 0


def _batches(rows: np.ndarray, batch: int, steps: int, streams: Sequence[np.random.Generator]) -> Iterator[Tensor]:
    """Mini-batches of row numbers (N, batch), each member shuffled anew every epoch by its own stream."""
    per_epoch, done = rows.shape[1] // batch, 0
    while done < steps:
        shuffled = np.stack([stream.permutation(own) for own, stream in zip(rows, streams)])
        for i in range(min(per_epoch, steps - done)):
            yield torch.from_numpy(shuffled[:, i * batch : (i + 1) * batch])
        done += per_epoch


def errors(
    *,
    dataset: str,
    seeds: Sequence[int],
    rates: Sequence[float],
    steps: int,
    train_size: int | None,
    optimizer: str,
    batch: int,
    norm: str,
    place: str,
    hidden: Sequence[int],
    activation: str,
    init: str,
    init_scale: float,
    **_: object,
) -> Iterator[str]:
    """One sentence for each setting of `train` that cannot be used."""
    yield from network_errors(
        hidden=hidden,
        norm=norm,
        place=place,
        activation=activation,
        init=init,
        init_scale=init_scale,
        batch=batch,
    )
    yield from member_errors(seeds=seeds, rates=rates)
    for kind, got, valid in (("data set", dataset, DATASETS), ("optimizer", optimizer, OPTIMIZERS)):
        if got not in valid:
            yield unknown(kind, got, valid)
    yield from too_few({"steps": steps, "batch": batch})
    if dataset in DATASETS:
        size = len(DATASETS[dataset]())
        most = size - round(size * TEST_SHARE)
        used = most if train_size is None else train_size
        if not 1 <= used <= most:
            yield f"train_size must lie between 1 and {most} for {dataset!r}, got {train_size}."
        elif batch > used:
            yield f"a batch of {batch} cannot be drawn from {used} training examples."
