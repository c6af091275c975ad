"""What each member trains on and is tested with: its split of the data set, and the options of `Settings` on it."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rlnorm.supervised.settings import TEST_FRACTION, Settings
from rlnorm.tasks.datasets import Dataset, dataset, split


class Data:
    """One data set for N members, each with a split of its own, drawn from its seed.

    rows       numbers of the training examples, (N, n)
    test_rows  of the test examples, (N, tests)
    classes    number of classes; None for regression

    The same seed gives the same split, the same wrong labels and the same order of mini-batches, whatever else differs.
    """

    def __init__(self, settings: Settings):
        seeds = settings.seeds
        source = dataset(settings.dataset, settings.data_seed)
        self.shape, self.outputs, self.classes = source.shape, source.outputs, source.classes
        self._streams = [np.random.default_rng([seed, 0]) for seed in seeds]
        splits = [split(len(source), TEST_FRACTION, stream) for stream in self._streams]
        self.rows = np.stack([train[: settings.train_size] for train, _ in splits])
        self.test_rows = torch.from_numpy(np.stack([test for _, test in splits]))
        self._members = torch.arange(len(seeds)).unsqueeze(1)
        scales = feature_scales(source, settings)
        self._inputs = source.inputs * scales
        shift = settings.test_shift * source.inputs.std()
        self._test_inputs = (settings.test_gain * source.inputs + shift) * scales
        self._targets = self._train_targets = source.targets.expand(len(seeds), *source.targets.shape)
        self._moments: tuple[Tensor, Tensor] | None = None
        if settings.standardize:
            own = self._inputs[torch.from_numpy(self.rows)]
            spread = own.std(1, correction=0, keepdim=True)
            # A feature that never varies is only centred.
            self._moments = own.mean(1, keepdim=True), torch.where(spread > 0, spread, 1)
        noise = [float(x) for x in np.broadcast_to(settings.label_noise, len(seeds))]
        if any(noise):
            self._train_targets = torch.stack([mislabeled(source, *each) for each in zip(noise, seeds)])

    def train(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Training examples by their numbers (N, B) -> inputs (N, B, *shape), targets (N, B) or (N, B, outputs)."""
        return self._standardized(self._inputs[rows]), self._train_targets[self._members, rows]

    def test(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Test examples by their numbers, likewise."""
        return self._standardized(self._test_inputs[rows]), self._targets[self._members, rows]

    def batches(self, batch: int, steps: int) -> Iterator[Tensor]:
        """Mini-batches of numbers of training examples (N, batch), each member shuffled anew every epoch."""
        per_epoch, done = self.rows.shape[1] // batch, 0
        while done < steps:
            shuffled = np.stack([stream.permutation(own) for own, stream in zip(self.rows, self._streams)])
            for i in range(min(per_epoch, steps - done)):
                yield torch.from_numpy(shuffled[:, i * batch : (i + 1) * batch])
            done += per_epoch

    def _standardized(self, inputs: Tensor) -> Tensor:
        if self._moments is None:
            return inputs
        mean, std = self._moments
        return (inputs - mean) / std


def feature_scales(source: Dataset, settings: Settings) -> Tensor:
    """A factor for each input number, (*shape): 10^u with u uniform in +-scale_decades / 2, by `data_seed`."""
    rng = np.random.default_rng([settings.data_seed, 3])
    exponents = settings.scale_decades * rng.uniform(-0.5, 0.5, size=source.shape)
    return torch.from_numpy((10.0**exponents).astype(np.float32))


def mislabeled(source: Dataset, noise: float, seed: int) -> Tensor:
    """Targets of the whole data set with the fraction `noise` of the classes made another one, all others as likely.

    In regression, `noise` is the standard deviation of what is added to each number.
    """
    rng = np.random.default_rng([seed, 2])
    if source.classes is None:
        return source.targets + noise * torch.from_numpy(rng.normal(size=source.targets.shape).astype(np.float32))
    wrong = torch.from_numpy(rng.random(len(source)) < noise)
    others = torch.from_numpy(rng.integers(1, source.classes, size=len(source)))
    return torch.where(wrong, (source.targets + others) % source.classes, source.targets)
