"""A norm for every law that breaks it, and what the law says: that each law can fail, and for its own reason.

Each is one of ours with one thing wrong.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from rlnorm.nn import BatchNorm1d, BatchNorm2d, LayerNorm, Norm, WeightNorm
from rlnorm.nn._autograd import Kernel, join
from rlnorm.nn._standardize import backward, forward
from rlnorm.nn._torch import is_tracing
from rlnorm.nn.laws import Case, ScaledBackward
from rlnorm.nn.running import Statistics


def layer(change: Callable[[Tensor], Tensor]) -> Callable[[int], nn.Module]:
    """A layer norm by a formula of its own, with no parameters."""

    class Changed(nn.Module):
        def __init__(self, width: int):
            super().__init__()
            self.width = width

        def forward(self, x: Tensor) -> Tensor:
            return change(x)

    return Changed


def standardized(x: Tensor, axes: tuple[int, ...] = (-1,)) -> Tensor:
    return (x - x.mean(axes, keepdim=True)) * (x.var(axes, correction=0, keepdim=True) + 1e-5).rsqrt()


def forgets_the_means_gradient(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True).detach()) * (x.var(-1, correction=0, keepdim=True) + 1e-5).rsqrt()


class WrongForwardMode(Function):
    """2x, whose forward-mode derivative alone is wrong."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return 2 * grads[0]

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return 2.1 * tangents[0]


class HiddenIntermediate(Function):
    """x^2 with a right backward pass that takes what it kept as a constant."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.square(), 2 * x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * ctx.saved_tensors[0]


class OneDirectionOfVmap(Function):
    """The identity, which under vmap takes the first axis for the members' wherever it is."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        return OneDirectionOfVmap.apply(*args), 0


class BatchIsEval(BatchNorm1d):
    @property
    def uses_batch(self) -> bool:
        return self.mode == "train"


class Rebinds(BatchNorm1d):
    def average(self, **new: Tensor) -> None:
        self.running_mean = new["running_mean"]


class CountsEmptyBatches(BatchNorm1d):
    def forward(self, input: Tensor) -> Tensor:
        y = super().forward(input)
        if self.training and not input.numel() and self.running_mean is not None:
            self.running_mean.mul_(0.9)
        return y


class UpdatesFirst(BatchNorm1d):
    def check_input(self, x: Tensor, kept: Statistics) -> None:
        if self.updates_running and self.running_mean is not None:
            self.running_mean.mul_(0.9)
        super().check_input(x, kept)


class AnotherEps(LayerNorm):
    def __init__(self, width: int):
        super().__init__(width, eps=1e-3)


class KeptOutsideOfTheState(LayerNorm):
    def __init__(self, width: int):
        super().__init__(width)
        self.shift = torch.rand(1).item()

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + self.shift


class LosesItsLayout(BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).contiguous()


class KeepsItsOutput(Function):
    """The exponential, whose backward pass reads the output that it handed out."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.exp()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.kept = output.detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * ctx.kept


class TracksAsItWasBuilt(BatchNorm1d):
    @property
    def moves(self) -> bool:
        return self.updates_running


class FollowsBatchesSideBySide(BatchNorm1d):
    def average(self, **new: Tensor) -> None:
        if torch._C._are_functorch_transforms_active():
            return
        super().average(**new)


axes_from_the_front = join(
    Kernel(
        lambda x: forward(x, (0,), 1e-5),
        lambda grads, saved: backward(grads, saved, (0,), 1e-5),
    )
)


def norm(make: Callable[..., nn.Module], ndim: int = 0, **facts: Any) -> Case:
    return Case(Norm("broken", {ndim: make}, **facts), ndim)


BROKEN: dict[str, tuple[Case, str]] = {
    "backward_is_the_adjoint_of_the_derivative": (
        norm(layer(forgets_the_means_gradient)),
        r"<g, Jt> = .* but <J'g, t>",
    ),
    "a_backward_off_by_one_in_a_thousand_is_caught": (
        norm(lambda width: ScaledBackward(LayerNorm(width), 1 / 1.001)),
        "a backward scaled by 1.001 passes the adjoint test",
    ),
    "first_derivatives_are_right": (norm(layer(WrongForwardMode.apply)), "mode train, x: Jacobian"),
    "second_derivatives_are_right": (norm(layer(lambda x: HiddenIntermediate.apply(x)[0])), "mode train, x: Jacobian"),
    "an_output_may_be_overwritten": (norm(layer(KeepsItsOutput.apply)), "mode train: gradient of x: off by"),
    "invariant_as_declared": (norm(LayerNorm), "sample shift: declared False, found True"),
    "invariant_to_the_weights_scale_as_declared": (
        Case(Norm("broken", wrap_layer=WeightNorm), 0),
        "found True",
    ),
    "couples_the_batch_as_declared": (norm(BatchNorm1d), "mode train: declared False, found True"),
    "statistics_are_updated_in_place": (norm(Rebinds), "mode train: running_mean was re-bound"),
    "attributes_are_read_at_each_call": (
        norm(TracksAsItWasBuilt),
        "mode train: running_mean moved without tracking",
    ),
    "modes_are_two_switches": (norm(BatchIsEval), "batch against train: off by"),
    "single_precision_is_near_double": (
        norm(
            layer(lambda x: x * (x.square().mean(-1, keepdim=True) - x.mean(-1, keepdim=True).square() + 1e-5).rsqrt())
        ),
        "mean 10000.0 std: off by",
    ),
    "half_precision_takes_statistics_in_single": (
        norm(layer(lambda x: standardized(x.float()))),
        "float16 in, torch.float32 out",
    ),
    "layouts_give_the_same": (norm(LosesItsLayout, 2), "mode train: channels_last in, not out"),
    "an_empty_batch_passes": (norm(CountsEmptyBatches), "mode train: running_mean changed"),
    "bad_input_is_refused_before_anything_changes": (norm(UpdatesFirst), "mode train: int64 changed the state"),
    "equals_its_reference": (norm(AnotherEps, reference={0: nn.LayerNorm}), "training True, step 0: off by"),
    "members_stacked_are_members_alone": (
        norm(layer(lambda x: axes_from_the_front(x)[0])),
        "train: output of member 0: off by",
    ),
    "inputs_stacked_are_inputs_alone": (norm(layer(OneDirectionOfVmap.apply)), "train: batch 0: off by"),
    "recorded_is_eager": (
        norm(layer(lambda x: x * 2 if is_tracing() else x)),
        "torch.jit.trace: off by",
    ),
    "compiled_is_eager": (
        norm(layer(lambda x: x * 2 if torch.compiler.is_compiling() else x)),
        "train: output: off by",
    ),
    "copies_are_equal": (norm(KeptOutsideOfTheState), "state dict: off by"),
}
"""Law -> a norm that breaks it, and what the law then says (a regular expression)."""
