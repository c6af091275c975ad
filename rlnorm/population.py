"""N networks of one architecture, trained as one.

A loop over N small networks spends its time in Python. Here the parameters of all members are the rows of one matrix
(N, P), their buffers the rows of another, and a forward pass is `vmap` of the plain module over the rows. Copying a
target network, clipping, the optimizer and the search for diverged members are then operations on whole matrices.
`member(i)` returns one row as a plain `nn.Module`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from rlnorm.networks import initialize
from rlnorm.nn import MODES, Mode, set_mode

Tensors = dict[str, Tensor]
PerMember = float | Sequence[float]
"""One number for all members, or one per member."""
RECORDS = 100  # per run of an engine: enough for a curve, too few to cost anything


class Rows:
    """Named tensors of N members, stacked: one matrix (N, sum of sizes) per dtype, and views into it by name.

    `views[name]` has shape (N, *shape) and shares memory with the matrix.
    """

    def __init__(self, members: int, like: Mapping[str, Tensor]):
        sizes: dict[torch.dtype, int] = {}
        for tensor in like.values():
            sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.numel()
        self.matrices = {dtype: torch.zeros(members, size, dtype=dtype) for dtype, size in sizes.items()}
        self.views: Tensors = {}
        start = dict.fromkeys(sizes, 0)
        for name, tensor in like.items():
            at = start[tensor.dtype]
            columns = self.matrices[tensor.dtype][:, at : at + tensor.numel()]
            self.views[name] = columns.view(members, *tensor.shape)
            start[tensor.dtype] += tensor.numel()

    @torch.no_grad()
    def set_row(self, i: int, tensors: Mapping[str, Tensor]) -> None:
        """Member i takes the values of `tensors` (same names)."""
        for name, view in self.views.items():
            view[i].copy_(tensors[name])

    @torch.no_grad()
    def copy_(self, other: "Rows") -> None:
        """Take every value of `other`, in place."""
        for dtype, matrix in self.matrices.items():
            matrix.copy_(other.matrices[dtype])


class _Patches(nn.Conv2d):
    """A convolution as one product of the weights with all patches of a batch.

    `vmap` turns torch's convolution into one with a group per member, which takes two to three times as long on a CPU
    (8 members, 32 images 10 x 10 x 4, 16 channels, forward: 0.55 ms against 1.4).
    """

    @classmethod
    def put_into(cls, network: nn.Module) -> nn.Module:
        """Convert every convolution without padding, dilation and groups, in place; returns `network`."""
        for module in network.modules():
            if type(module) is nn.Conv2d and (module.padding, module.dilation, module.groups) == ((0, 0), (1, 1), 1):
                module.__class__ = cls
        return network

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        (tall, wide), (down, right) = self.kernel_size, self.stride
        *_, high, broad = input.shape
        # Slice by slice: as one strided view of all patches the update of MinAtar's network takes an eighth longer.
        rows = [slice(i, high - tall + i + 1, down) for i in range(tall)]
        columns = [slice(j, broad - wide + j + 1, right) for j in range(wide)]
        x = input.transpose(0, 1)
        patches = torch.stack([x[..., row, column] for row in rows for column in columns], 1)  # (C, tall wide, B, ...)
        y = weight.flatten(1) @ patches.flatten(2).flatten(0, 1)
        y = y if bias is None else bias.unsqueeze(1) + y
        return y.unflatten(1, patches.shape[2:]).transpose(0, 1)


class Population:
    """The members' parameters and buffers, and how to run them.

    build       makes one network (its weights are drawn anew below)
    seeds       one per member; its initial weights are drawn from it
    init_scale  one factor for all members, or one per member

    Parameters are float32. Shapes: `parameters.views[name]` (N, *shape); `flat` (N, P).
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        seeds: Sequence[int],
        *,
        init: str = "torch",
        init_scale: float | Sequence[float] = 1.0,
    ):
        # torch initializes from the global RNG. Fork it, so that we neither use nor move it.
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            network = build()
        scales = per_member(init_scale, len(seeds))
        self.seeds = tuple(seeds)
        self.parameters = Rows(len(seeds), dict(network.named_parameters()))
        self.buffers = Rows(len(seeds), dict(network.named_buffers()))
        for i, (seed, scale) in enumerate(zip(seeds, scales, strict=True)):
            initialize(network, torch.Generator().manual_seed(seed), init, scale)
            self.parameters.set_row(i, dict(network.named_parameters()))
            self.buffers.set_row(i, dict(network.named_buffers()))
        self._network = network
        # The architecture in each mode, without values; `apply` runs the rows through it.
        template = _Patches.put_into(deepcopy(network).to("meta"))
        self._templates = {mode: set_mode(deepcopy(template), mode) for mode in MODES}

    @property
    def flat(self) -> Tensor:
        """All parameters, (N, P); in place changes are the members' changes."""
        return self.parameters.matrices[torch.float32]

    def leaves(self) -> Tensors:
        """The parameters as autograd leaves that share memory with them, each (N, *shape)."""
        return {name: view.detach().requires_grad_() for name, view in self.parameters.views.items()}

    def apply(self, parameters: Tensors, buffers: Tensors, x: Tensor, mode: Mode) -> Tensor:
        """Every member on its own inputs: (N, B, ...) -> (N, B, outputs). `mode`: see `rlnorm.nn.modes`.

        Modes that update running statistics do so in place, in `buffers`.
        """
        return vmap(self._member_pass(mode))(parameters, buffers, x)

    def _member_pass(self, mode: Mode) -> Callable[[Tensors, Tensors, Tensor], Tensor]:
        network = self._templates[mode]

        def one(p: Tensors, b: Tensors, x: Tensor) -> Tensor:
            return functional_call(network, (p, b), (x,))

        return one

    def __call__(self, x: Tensor, mode: Mode = "eval") -> Tensor:
        """`apply` with the members' own parameters and buffers, without gradients."""
        with torch.no_grad():
            return self.apply(self.parameters.views, self.buffers.views, x, mode)

    def in_batches(
        self, x: Tensor, mode: Mode = "batch", parameters: Tensors | None = None, buffers: Tensors | None = None
    ) -> Tensor:
        """Every member on K batches of its own: (N, K, B, ...) -> (N, K, B, outputs), without gradients.

        `mode` is one that updates no running statistics ("batch" or "eval"). `parameters` and `buffers` stand in for
        the members' own.
        """
        own = self.parameters.views if parameters is None else parameters
        with torch.no_grad():
            return vmap(vmap(self._member_pass(mode), (None, None, 0)))(own, buffers or self.buffers.views, x)

    def state(self) -> tuple[Rows, Rows]:
        """A copy of all parameters and buffers, from which a target network can start."""
        return deepcopy(self.parameters), deepcopy(self.buffers)

    def member(self, i: int) -> nn.Module:
        """Member i as a plain module of its own, in eval mode."""
        module = deepcopy(self._network)
        rows = {**self.parameters.views, **self.buffers.views}
        with torch.no_grad():
            for name, tensor in chain(module.named_parameters(), module.named_buffers()):
                tensor.copy_(rows[name][i])
        return module.eval()


def per_member(value: PerMember, members: int) -> list[float]:
    """One number for all members, or one each -> one each. Raises ValueError for another number of them."""
    values = [float(value)] * members if isinstance(value, int | float) else [float(each) for each in value]
    if len(values) != members:
        raise ValueError(f"expected one number or {members} of them, got {len(values)}")
    return values


def per_member_errors(
    name: str, value: PerMember, members: int, low: float, high: float = float("inf"), *, above: bool = False
) -> Iterator[str]:
    """The sentence for a setting that is not one number, or one per member, in [low, high).

    above  whether `low` itself is excluded
    """
    values = [value] if isinstance(value, int | float) else list(value)
    if not isinstance(value, int | float) and len(values) != members:
        yield f"{name} must be one number or one per member, got {len(values)} numbers for {members} members."
    wrong = [each for each in values if not (low < each < high if above else low <= each < high)]
    if wrong:
        expected = f"{'above' if above else 'at least'} {low:g}"
        expected += " and finite" if high == float("inf") else f" and below {high:g}"
        yield f"{name} must be {expected}, got {wrong[0]}."


def member_errors(*, seeds: Sequence[int], rates: Sequence[float], **_: object) -> Iterator[str]:
    """One sentence for each reason why members cannot train from `seeds` at learning rates `rates`."""
    if not seeds:
        yield "number of seeds must be at least 1, got 0."
    if any(seed < 0 for seed in seeds):
        yield f"seeds must not be negative, got {min(seeds)}."
    if len(rates) != len(seeds):
        yield f"one learning rate per seed is needed, got {len(rates)} rates for {len(seeds)} seeds."
    for rate in rates:
        if not 0 < rate < float("inf"):
            yield f"learning rates must be positive and finite, got {rate}."
