"""A population of classifiers or regressors, and its update as a pure function of tensors that can be compiled."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rlnorm.compiling import compiled
from rlnorm.nn import Mode, initialize_from_data, no_decay_parameters, update_bn
from rlnorm.optimizers import OPTIMIZERS, SGD, clip_by_norm, column
from rlnorm.population import PerMember, Population, Rows, Tensors, per_member


def classification_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of each batch: outputs (..., B, classes), targets (..., B) -> (...)."""
    each = cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="none")
    return each.view(targets.shape).mean(-1)


def regression_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of each batch, over examples and outputs: (..., B, outputs) twice -> (...)."""
    return (outputs - targets).square().mean((-2, -1))


class Learners:
    """N networks that learn from batches of their own; see `Settings` for the arguments.

    `diverged` (N,) bool stays set once a member's loss or one of its parameters is not finite. One member's NaN stays
    its own: no operation mixes members.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        seeds: Sequence[int],
        rates: Sequence[float],
        *,
        loss: Callable[[Tensor, Tensor], Tensor] = classification_loss,
        optimizer: str = "sgd",
        momentum: PerMember | None = None,
        weight_decay: PerMember = 0.0,
        clip: PerMember | None = None,
        init: str = "torch",
        init_scale: PerMember = 1.0,
        compile: bool = False,
    ):
        members = len(seeds)
        self.population = Population(build, seeds, init=init, init_scale=init_scale)
        flat = self.population.flat
        self.optimizer = OPTIMIZERS[optimizer](flat, rates) if momentum is None else SGD(flat, rates, momentum)
        self.rates, self.loss = column(rates), loss
        self.diverged = torch.zeros(members, dtype=torch.bool)
        self._clip = None if clip is None else column(per_member(clip, members))
        decay = column(per_member(weight_decay, members))
        self._decay = decay * self._decaying() if bool(decay.any()) else None
        self.update: Callable[[Tensor, Tensor], Tensor] = self._update
        self._learned_from: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = self._gradient
        if compile and clip is None:
            self.update = compiled(self._update)
        elif compile:
            # Inductor fails on the norm and an optimizer's state together (github.com/pytorch/pytorch/issues/196570).
            self._learned_from = compiled(self._gradient)

    def _decaying(self) -> Tensor:
        """1 for each parameter that weight decay shrinks, 0 for the others, (P,)."""
        module = self.population.member(0)
        spared = {id(parameter) for parameter in no_decay_parameters(module)}
        return torch.cat([torch.full((p.numel(),), float(id(p) not in spared)) for p in module.parameters()])

    def losses(self, parameters: Tensors, buffers: Tensors, inputs: Tensor, targets: Tensor, mode: Mode) -> Tensor:
        """Loss of each member on its batch, (N,). Modes that update running statistics do so in `buffers`."""
        return self.loss(self.population.apply(parameters, buffers, inputs, mode), targets)

    def _update(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step of every member on its batch -> the loss before it, (N,)."""
        gradient, loss = self._learned_from(inputs, targets)
        with torch.no_grad():
            self.optimizer.step(gradient)
            self.diverged.logical_or_(~loss.isfinite())
        return loss

    def _gradient(self, inputs: Tensor, targets: Tensor, buffers: Rows | None = None) -> tuple[Tensor, Tensor]:
        """Gradient as the optimizer is given it, (N, P), and loss (N,). `buffers` stand in for the population's."""
        leaves = self.population.leaves()
        loss = self.losses(leaves, (buffers or self.population.buffers).views, inputs, targets, "train")
        # No member's loss depends on another's parameters, so the sum's gradient is each member's own.
        gradients = torch.autograd.grad(loss.sum(), list(leaves.values()))
        with torch.no_grad():
            gradient = torch.cat([g.flatten(1) for g in gradients], dim=1)
            if self._clip is not None:
                gradient = clip_by_norm(gradient, self._clip)
            if self._decay is not None:
                gradient = gradient.addcmul(self._decay, self.population.flat)
        return gradient, loss.detach()

    def gradients(self, inputs: Tensor, targets: Tensor) -> Tensors:
        """What `update` would give the optimizer, by name of the parameter, (N, *shape) each; nothing changes."""
        rows = deepcopy(self.population.parameters)
        rows.matrices[torch.float32].copy_(self._gradient(inputs, targets, deepcopy(self.population.buffers))[0])
        return rows.views

    def check(self) -> None:
        """Mark members with a parameter that is not finite: the last update may have done damage not seen yet."""
        self.diverged.logical_or_(~self.population.flat.isfinite().all(1))

    @torch.no_grad()
    def start_scales_at(self, gamma: PerMember) -> None:
        """Multiply the scale of every norm by `gamma`; scales start at 1."""
        factors = per_member(gamma, len(self.diverged))
        for name, view in self.population.parameters.views.items():
            if is_scale(name, view):
                view.mul_(torch.tensor(factors).unsqueeze(1))

    def start_from_data(self, inputs: Tensor) -> None:
        """Initialize weight norms from a batch per member, (N, B, *shape). ValueError where a unit is constant."""
        for i, own in enumerate(inputs):
            module = self.population.member(i)
            initialize_from_data(module, own)
            self.population.parameters.set_row(i, dict(module.named_parameters()))

    def reestimated(self, inputs: Tensor) -> Tensors:
        """Buffers whose running statistics are plain averages over batches (N, K, B, *shape); our own stay."""
        buffers = deepcopy(self.population.buffers)
        for i, own in enumerate(inputs):
            module = self.population.member(i)
            update_bn(own, module)
            buffers.set_row(i, dict(module.named_buffers()))
        return buffers.views


def is_scale(name: str, view: Tensor) -> bool:
    """Whether a parameter of all members, (N, *shape), is a norm's scale: the only weights with a single axis."""
    return name.rpartition(".")[2] == "weight" and view.ndim == 2
