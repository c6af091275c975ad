"""The supervised engine: a generator of records, of the same shape as the DQN engine's."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from rlnorm.population import RECORDS, per_member
from rlnorm.supervised.bodies import build
from rlnorm.supervised.data import Data
from rlnorm.supervised.learners import Learners, classification_loss, regression_loss
from rlnorm.supervised.perturbation import Draws
from rlnorm.supervised.probing import Probing
from rlnorm.supervised.settings import Settings

Record = dict[str, Any]


def train(**settings: Any) -> Iterator[Record]:
    """Train len(seeds) networks as one population, member i from `seeds[i]` at learning rate `rates[i]`.

    `settings` are the fields of `Settings`, which documents them; those that are left out have its defaults.
    A member's seed decides its initial weights, its split (a fifth is the test set), its wrong labels, its order of
    mini-batches, its dropout and its noise. So members with one seed and several rates see the same data.

    Yields records. Each holds step (updates so far) and per member
        loss                      mean over the updates since the last record, in training mode
        test_loss, test_accuracy  in eval mode; regression has no accuracy
        diverged                  whether a loss or a parameter has become non-finite
    and what `evaluate` adds: train_loss, train_accuracy, and each with the suffix _batch for statistics of the batch.
    The last record always holds train_loss and train_accuracy, and with `reestimate` the test's with the suffix
    _reestimated. Records after a probe hold probes: layer -> probe -> a number per member
    (`rlnorm.supervised.probing`); a few of them a snapshot of the first member too (`rlnorm.probes.snapshots`).

    Raises ConfigError with every error at once.
    """
    own = Settings.checked(settings)
    seeds, batch, updates = own.seeds, own.batch_size(), own.total_updates
    data = Data(own)
    learners = Learners(
        lambda: build(own, data.shape, data.outputs, batch),
        seeds,
        own.rates,
        loss=classification_loss if data.classes else regression_loss,
        optimizer=own.optimizer,
        momentum=own.momentum,
        weight_decay=own.weight_decay,
        clip=own.clip,
        init=own.init,
        init_scale=own.init_scale,
        compile=own.compile,
    )
    learners.start_scales_at(own.gamma)
    if own.data_init:
        learners.start_from_data(data.train(torch.from_numpy(data.rows[:, :batch]))[0])
    draws = Draws(learners.population, {kind: per_member(getattr(own, kind), len(seeds)) for kind in own.perturbations})
    probing = Probing(learners, data, list(own.measure), times=own.probes, updates=updates, batch=batch)
    total, count = torch.zeros(len(seeds)), 0
    for step, rows in enumerate(data.batches(batch, updates), start=1):
        draws.renew()
        total += probing.update(step, *data.train(rows))
        count += 1
        if step == updates or _due(step, updates, own.every):
            learners.check()
            last = step == updates
            yield {
                "step": step,
                "loss": (total / count).tolist(),
                **evaluations(learners, data, {*own.evaluate, *(("test", "train") if last else ("test",))}, batch),
                **(reestimated(learners, data, own.reestimate, batch) if last and own.reestimate else {}),
                "diverged": learners.diverged.tolist(),
                **probing.take(),
            }
            total.zero_()
            count = 0


def _due(step: int, updates: int, every: int | None) -> bool:
    if every is not None:
        return step % every == 0
    return step * RECORDS // updates > (step - 1) * RECORDS // updates


def evaluations(learners: Learners, data: Data, wanted: set[str], batch: int) -> dict[str, list[float]]:
    """Loss and accuracy of the `wanted` sets, by the names of a record; with "batch" under batch statistics too."""
    found: dict[str, list[float]] = {}
    for name, rows, take in (
        ("test", data.test_rows, data.test),
        ("train", torch.from_numpy(data.rows), data.train),
    ):
        if name not in wanted:
            continue
        inputs, targets = take(rows)
        found |= scores(learners, data, name, learners.population(inputs), targets)
        if "batch" in wanted:
            whole = in_batches(inputs, batch)
            outputs = learners.population.in_batches(whole).flatten(1, 2)
            batched = scores(learners, data, name, outputs, targets[:, : outputs.shape[1]])
            found |= {f"{key}_batch": values for key, values in batched.items()}
    return found


def reestimated(learners: Learners, data: Data, source: str, batch: int) -> dict[str, list[float]]:
    """Test loss and accuracy with running statistics taken anew from all batches of `source` ("train" or "test")."""
    inputs, targets = data.test(data.test_rows)
    seen = inputs if source == "test" else data.train(torch.from_numpy(data.rows))[0]
    buffers = learners.reestimated(in_batches(seen, batch))
    with torch.no_grad():
        outputs = learners.population.apply(learners.population.parameters.views, buffers, inputs, "eval")
    return {f"{key}_reestimated": value for key, value in scores(learners, data, "test", outputs, targets).items()}


def in_batches(inputs: Tensor, batch: int) -> Tensor:
    """(N, n, ...) -> as many batches of that size as there are, (N, K, B, ...), or one smaller batch."""
    size = min(batch, inputs.shape[1])
    whole = inputs.shape[1] // size * size
    return inputs[:, :whole].unflatten(1, (-1, size))


def scores(learners: Learners, data: Data, name: str, outputs: Tensor, targets: Tensor) -> dict[str, list[float]]:
    """Loss and, for classes, accuracy: outputs (N, n, outputs) and their targets -> a number per member each."""
    found = {f"{name}_loss": learners.loss(outputs, targets).tolist()}
    if data.classes:
        found[f"{name}_accuracy"] = (outputs.argmax(-1) == targets).float().mean(-1).tolist()
    return found
