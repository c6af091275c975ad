"""The settings of a supervised run, and the check that finds every error in them before anything runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rlnorm.config import NormConfig
from rlnorm.errors import ConfigError, too_few, unknown
from rlnorm.networks import network_errors, standing
from rlnorm.nn.recurrent import GATES
from rlnorm.optimizers import OPTIMIZERS
from rlnorm.population import PerMember, member_errors, per_member_errors
from rlnorm.supervised.perturbation import DRAWS
from rlnorm.tasks.datasets import DATASETS, Dataset, dataset

TEST_FRACTION = 0.2
BUDGETS = ("updates", "epochs")
EVALUATED = ("test", "train", "batch")
REESTIMATED = ("train", "test")
MEASURES = ("layers", "below", "line", "hessian", "batches", "linearity")


@dataclass(frozen=True, kw_only=True)
class Settings(NormConfig):
    """Everything that decides a run: its data, network, optimization and records.

    Member i is trained from `seeds[i]` at learning rate `rates[i]`; `steps` counts updates, or epochs (`budget`).

    Settings marked (*) are one number for all members or one number per member: a grid over them is one population.

    Data
    dataset        a name in `rlnorm.tasks.datasets.DATASETS`; `data_seed` chooses among the generated ones of that name
    train_size     examples used of the four fifths that are not the test set; None: all
    label_noise    (*) fraction of the training labels that become another class; in regression the standard deviation
                   of what is added to the training targets
    scale_decades  input features are multiplied by 10^u, u uniform in +-half of this, so that their scales differ
    standardize    whether features are standardized with the mean and standard deviation of the member's training set
    test_shift     added to every feature of test inputs, in standard deviations of all raw inputs together
    test_gain      multiplies the raw test inputs before the shift

    Network (see `rlnorm.networks.network` for those not named here)
    affine         whether norms have a scale and shift
    gamma          (*) the value at which the norms' scales start
    cell           "tanh" or "gru" for sequences: `hidden` are the widths of recurrent layers with a norm in each step
    per_step       whether recurrent norms keep running statistics for each step, or share one set
    init_scale     (*) factor on all initial weights
    data_init      whether weight norm starts from a training batch (Salimans & Kingma 2016, sec. 3)
    dropout, alpha_dropout, noise
                   (*) see `rlnorm.supervised.perturbation`

    Optimization
    momentum       (*) of "sgd"; 0 is plain gradient descent, None torch's habitual 0.9
    weight_decay   (*) L2 penalty's factor, added to the gradient of weights; norms, gains and biases are left alone
    clip           (*) the largest norm of a member's gradient; None: no limit
    batch          examples per update; None: the whole training set
    budget         whether `steps` counts "updates" or "epochs"

    Records
    every          updates between two records; None: 100 records over the run
    evaluate       what each record evaluates: "test" and "train" in eval mode, "batch" both with the statistics of
                   batches of the training size as well; the last record always evaluates the first two
    reestimate     "train" or "test": the last record also evaluates test inputs with running statistics taken anew from
                   all batches of the training or of the test inputs
    probes         how many probes are taken over the run, evenly spread, the first at the start
    measure        groups of probes, of `MEASURES`; see `rlnorm.supervised.probing`
    """

    seeds: Sequence[int]
    rates: Sequence[float]
    steps: int
    dataset: str
    data_seed: int = 0
    train_size: int | None = None
    label_noise: PerMember = 0.0
    scale_decades: float = 0.0
    standardize: bool = False
    test_shift: float = 0.0
    test_gain: float = 1.0
    norm_kwargs: Mapping[str, Any] | None = None
    affine: bool = True
    gamma: PerMember = 1.0
    place: str = "before"
    sites: Sequence[str] = ("hidden",)
    hidden: Sequence[int] = (64, 64)
    channels: Sequence[int] = (16,)
    kernel: int = 3
    cell: str | None = None
    per_step: bool = False
    activation: str = "relu"
    bias: bool = True
    init: str = "torch"
    init_scale: PerMember = 1.0
    data_init: bool = False
    dropout: PerMember = 0.0
    alpha_dropout: PerMember = 0.0
    noise: PerMember = 0.0
    optimizer: str = "sgd"
    momentum: PerMember | None = None
    weight_decay: PerMember = 0.0
    clip: PerMember | None = None
    batch: int | None = 64
    budget: str = "updates"
    every: int | None = None
    evaluate: Sequence[str] = ("test",)
    reestimate: str | None = None
    probes: int = 0
    measure: Sequence[str] = ("layers",)
    compile: bool = False

    @classmethod
    def per_member(cls) -> frozenset[str]:
        """The settings that may differ between members of one population."""
        return frozenset(field.name for field in fields(cls) if field.type in (PerMember, PerMember | None))

    @property
    def perturbations(self) -> list[str]:
        """The kinds of perturbation that any member has."""
        return [kind for kind in DRAWS if any(each > 0 for each in _numbers(getattr(self, kind)))]

    def available(self) -> int:
        """Training examples that the data set has."""
        size = len(dataset(self.dataset, self.data_seed))
        return size - round(size * TEST_FRACTION)

    def training_examples(self) -> int:
        """Training examples that a run uses."""
        return self.available() if self.train_size is None else self.train_size

    def batch_size(self) -> int:
        """Examples per update."""
        return self.training_examples() if self.batch is None else self.batch

    @property
    def total_updates(self) -> int:
        """How many updates the budget comes to."""
        each = 1 if self.budget == "updates" else self.training_examples() // self.batch_size()
        return self.steps * each

    def errors(self) -> Iterator[str]:
        """One sentence for each setting that cannot be used."""
        yield from member_errors(seeds=self.seeds, rates=self.rates)
        counts = {"steps": self.steps, "batch": self.batch, "every": self.every}
        yield from too_few({name: count for name, count in counts.items() if count is not None})
        yield from self._number_errors(len(self.seeds))
        yield from self._name_errors()
        data = self._data
        if data is None:
            # Anything that the network's settings can be checked with.
            yield from self._network_errors((1,) if self.cell is None else (1, 1), 1, 2)
        else:
            yield from self._size_errors()
            yield from self._network_errors(data.shape, data.outputs, min(self.batch_size(), 2))

    def _number_errors(self, members: int) -> Iterator[str]:
        for name in ("label_noise", "dropout", "alpha_dropout", "momentum"):
            if getattr(self, name) is not None:
                regression = self._data is not None and self._data.classes is None
                high = float("inf") if name == "label_noise" and regression else 1.0
                yield from per_member_errors(name, getattr(self, name), members, 0, high)
        for name in ("noise", "weight_decay"):
            yield from per_member_errors(name, getattr(self, name), members, 0)
        for name in ("init_scale", "gamma", "clip"):
            if getattr(self, name) is not None:
                yield from per_member_errors(name, getattr(self, name), members, 0, above=True)
        for name in ("data_seed", "scale_decades", "probes"):
            if not 0 <= getattr(self, name) < float("inf"):
                yield f"{name} must be at least 0 and finite, got {getattr(self, name)}."
        for name in ("test_shift", "test_gain"):
            if not abs(getattr(self, name)) < float("inf"):
                yield f"{name} must be finite, got {getattr(self, name)}."

    @property
    def _data(self) -> Dataset | None:
        """The data set, or None where there is none of that name and seed."""
        known = self.dataset in DATASETS and self.data_seed >= 0
        return dataset(self.dataset, self.data_seed) if known else None

    def _name_errors(self) -> Iterator[str]:
        for kind, got, valid in (
            ("data set", self.dataset, DATASETS),
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("budget", self.budget, BUDGETS),
            *(("evaluation", each, EVALUATED) for each in self.evaluate),
            *(("measure", each, MEASURES) for each in self.measure),
            *((("source of statistics", self.reestimate, REESTIMATED),) if self.reestimate is not None else ()),
            *((("recurrent cell", self.cell, GATES),) if self.cell is not None else ()),
        ):
            if got not in valid:
                yield unknown(kind, got, valid)
        if self.momentum is not None and self.optimizer in OPTIMIZERS and self.optimizer != "sgd":
            yield f"momentum belongs to optimizer 'sgd', got optimizer {self.optimizer!r}; leave it None."

    def _size_errors(self) -> Iterator[str]:
        most = self.available()
        if self.train_size is not None and not 1 <= self.train_size <= most:
            yield f"train_size must lie between 1 and {most} for {self.dataset!r}, got {self.train_size}."
        elif self.batch is not None and self.batch > self.training_examples():
            yield f"a batch of {self.batch} cannot be drawn from {self.training_examples()} training examples."

    def _network_errors(self, shape: tuple[int, ...], outputs: int, batch: int) -> Iterator[str]:
        if len(shape) == 2:
            yield from self._recurrent_errors()
            shape = shape[1:]
        elif self.cell is not None:
            kind = "images" if len(shape) == 3 else "vectors"
            sequences = ", ".join(name for name in DATASETS if len(dataset(name).shape) == 2)
            yield (
                f"a recurrent net reads sequences, and {self.dataset!r} holds {kind} of shape {shape}; "
                f"sequences are: {sequences}."
            )
        if not self.hidden and (len(shape) < 3 or not self.channels):
            yield "a network needs at least one hidden layer, got hidden ()."
            return
        yield from network_errors(**{**self.values(), "init_scale": 1.0, "batch": batch}, shape=shape, outputs=outputs)
        if self.data_init and self._norm_wraps is False:
            yield f"data_init starts weight norms from data, and norm {self.norm!r} is none."

    @property
    def _norm_wraps(self) -> bool | None:
        """Whether the norm wraps layers; None for an unknown norm."""
        try:
            return standing(self.norm).wrap_layer is not None
        except ConfigError:
            return None

    def _recurrent_errors(self) -> Iterator[str]:
        if self.cell is None:
            yield f"{self.dataset!r} holds sequences, and a recurrent net reads them: cell must be one of: tanh, gru."
        if self._norm_wraps:
            yield f"norm {self.norm!r} wraps a layer; a recurrent cell takes a norm that stands after a layer."
        if self.place != "before" or tuple(self.sites) != ("hidden",):
            yield "a recurrent net has its norms inside the cells: leave place and sites as they are."
        if self.perturbations:
            yield f"a recurrent net takes no {' or '.join(self.perturbations)}."


def _numbers(value: PerMember) -> Sequence[float]:
    return [value] if isinstance(value, int | float) else value
