r"""Recurrent cells and layers with a norm in each step.

With N_x and N_h the norms of the input's and the state's contributions (the identity for `none`):

    tanh    h_t = tanh(N_x(W_x x_t) + N_h(W_h h_tm1) + b)
    gru     r = sigmoid(N_x(W_xr x_t) + N_h(W_hr h_tm1) + b_r)
            z = sigmoid(N_x(W_xz x_t) + N_h(W_hz h_tm1) + b_z)
            n = tanh(N_x(W_xn x_t) + b_xn + r (N_h(W_hn h_tm1) + b_hn))
            h_t = (1 - z) n + z h_tm1

Each gate has its own norms, and no norm stands on the path from h_tm1 to h_t that carries memory. Without a norm these
are torch's RNNCell and GRUCell, weights by the same names. Norms that couple the batch may keep statistics for each
step (`steps` of them, the last for all later ones) or share one set (`steps=1`): statistics of the first steps, when
the state is still near zero, differ from those of later ones.

Backward, through time. With g = dL/dh_t, from the loss and from step t+1, the gradients of the brackets:

    tanh    da = g (1 - h_t^2)
    gru     da_n = g (1 - z) (1 - n^2),    da_z = g (h_tm1 - n) z (1 - z)
            da_r = da_n s r (1 - r),    s = N_h(W_hn h_tm1) + b_hn, which itself has the gradient da_n r

Each goes on alike, rows being samples, N' a norm's own backward pass (in its file): with u = N_x'(da), v = N_h'(da)

    dW_x = u^T x_t,    dx_t = u W_x,    dW_h = v^T h_tm1,    dh_tm1 = v W_h,    db = sum da

summed over gates, for the gru plus g z on the path that carries memory. torch chains these, so none is written twice.

Source: Cho et al. 2014, arXiv:1406.1078 (GRU, in the variant of torch's GRUCell); Cooijmans et al. 2017,
arXiv:1603.09025 (BN separately for input and state; statistics per step, the last ones for longer sequences); Ba et al.
2016, arXiv:1607.06450 (LN in RNNs).
"""

from math import sqrt
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlnorm.errors import ConfigError
from rlnorm.nn import _require as require
from rlnorm.nn import none
from rlnorm.nn.norm import Norm

Cell = Literal["tanh", "gru"]
GATES = {"tanh": 1, "gru": 3}


class RecurrentCell(nn.Module):
    """One step of a recurrent network with a norm: (x, h) -> h.

    input_size   features of x
    hidden_size  features of h
    cell         "tanh" or "gru"
    norm         a norm that stands after a layer; None is `none`
    steps        sets of statistics: one per step up to this many, 1 = shared
    """

    def __init__(
        self, input_size: int, hidden_size: int, cell: Cell = "tanh", norm: Norm | None = None, steps: int = 1
    ):
        super().__init__()
        if cell not in GATES:
            raise ConfigError(f"unknown recurrent cell {cell!r}. Expected one of: {', '.join(GATES)}.")
        norm = none.NORM if norm is None else norm
        if not isinstance(norm, Norm):
            raise ConfigError(f"a recurrent cell takes a Norm, as rlnorm.nn.get_norm('layer') gives it, got {norm!r}.")
        if norm.wrap_layer is not None:
            raise ConfigError(
                f"norm {norm.name!r} wraps a layer; a recurrent cell takes one that stands after a layer."
            )
        if steps < 1:
            raise ConfigError(f"a recurrent cell needs at least 1 set of statistics, but got steps={steps}.")
        self.input_size, self.hidden_size, self.cell = input_size, hidden_size, cell
        gates = GATES[cell]
        # Names, shapes and initialization of torch's cells.
        bound = 1 / sqrt(hidden_size)
        for name, shape in (
            ("weight_ih", (gates * hidden_size, input_size)),
            ("weight_hh", (gates * hidden_size, hidden_size)),
            ("bias_ih", (gates * hidden_size,)),
            ("bias_hh", (gates * hidden_size,)),
        ):
            self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))
        self.weight_ih: nn.Parameter
        self.weight_hh: nn.Parameter
        self.bias_ih: nn.Parameter
        self.bias_hh: nn.Parameter
        self.norms = nn.ModuleList(
            nn.ModuleList(norm.make(hidden_size) for _ in range(2 * gates)) for _ in range(steps)
        )

    def forward(self, x: Tensor, h: Tensor, step: int = 0) -> Tensor:
        """x (N, input_size), h (N, hidden_size) -> h of the next step; `step` chooses the statistics."""
        require.floating(x, "RecurrentCell")
        if x.shape != (h.shape[0], self.input_size) or h.shape[1] != self.hidden_size:
            raise RuntimeError(
                f"RecurrentCell: expected x (N, {self.input_size}) and h (N, {self.hidden_size}), "
                f"got {tuple(x.shape)} and {tuple(h.shape)}"
            )
        require.alike(x, self.weight_ih, "RecurrentCell", "weight_ih", require.autocast(x))
        require.alike(h, self.weight_hh, "RecurrentCell's state", "weight_hh", require.autocast(h))
        norms = self.norms[min(step, len(self.norms) - 1)]
        assert isinstance(norms, nn.ModuleList)
        gates = GATES[self.cell]
        from_x = F.linear(x, self.weight_ih).chunk(gates, 1)
        from_h = F.linear(h, self.weight_hh).chunk(gates, 1)
        # Under autocast layers give half precision, and gates stay in it, as in torch's cells.
        i = [norm(v) + b.to(v.dtype) for norm, v, b in zip(norms[:gates], from_x, self.bias_ih.chunk(gates))]
        s = [norm(v) + b.to(v.dtype) for norm, v, b in zip(norms[gates:], from_h, self.bias_hh.chunk(gates))]
        if self.cell == "tanh":
            return torch.tanh(i[0] + s[0])
        r, z = torch.sigmoid(i[0] + s[0]), torch.sigmoid(i[1] + s[1])
        n = torch.tanh(i[2] + r * s[2])
        return (1 - z) * n + z * h


class Recurrent(nn.Module):
    """A recurrent layer over sequences; arguments as `RecurrentCell`'s."""

    def __init__(
        self, input_size: int, hidden_size: int, cell: Cell = "tanh", norm: Norm | None = None, steps: int = 1
    ):
        super().__init__()
        self.cell = RecurrentCell(input_size, hidden_size, cell, norm, steps)

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (N, T, input_size), h (N, hidden_size) or zeros -> all states (N, T, hidden_size) and the last one."""
        if x.ndim != 3:
            raise RuntimeError(f"Recurrent: expected x (N, T, {self.cell.input_size}), got {tuple(x.shape)}")
        state = x.new_zeros(x.shape[0], self.cell.hidden_size) if h is None else h
        states: list[Tensor] = []
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state, step)
            states.append(state)
        return torch.stack(states, 1), state
