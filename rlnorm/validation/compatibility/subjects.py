"""The modules of rlnorm.nn as subjects: every norm of `NORMS`, and what is no norm by name."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from rlnorm import nn as rn
from rlnorm.nn.laws import Case
from rlnorm.validation.compatibility.outcome import Make, Subject

ROWS = 6
PLACES = {0: "features", 1: "sequences", 2: "images", 3: "volumes"}
NEVER = 1e-30
"""A rate of dropout so small that the mask is drawn and nothing is dropped: values are known."""


def _places(norm: rn.Norm) -> list[int]:
    """Numbers of spatial dimensions: the fewest, and images or the fewest for each of its classes."""
    if not norm.modules:
        return [0, 2]
    of_class = dict[Make, list[int]]()
    for ndim, make in norm.modules.items():
        of_class.setdefault(make, []).append(ndim)
    return sorted({min(norm.modules)} | {2 if 2 in ndims else min(ndims) for ndims in of_class.values()})


def _of_norm(norm: rn.Norm, ndim: int) -> Subject:
    case = Case(norm, ndim)
    make = partial(case.module, torch.float32)
    inputs = (case.input(torch.float32, batch=ROWS),)
    name = f"{norm.name}, {PLACES[ndim]}"
    if norm.wrap_layer in TORCHS_WRAP and not norm.modules:
        return Subject(name, make, inputs, partial(TORCHS_WRAP[norm.wrap_layer], make), other_names=True)
    if ndim in norm.reference:
        return Subject(name, make, inputs, partial(_loaded, norm.reference[ndim], make, inputs[0].shape[1]))
    return Subject(name, make, inputs)


def _loaded(torchs: Callable[..., nn.Module], make: Make, *args: object) -> nn.Module:
    twin = torchs(*args)
    twin.load_state_dict(make().state_dict())
    return twin


@torch.no_grad()
def _torchs_weight_norm(make: Make) -> nn.Module:
    ours, following = make().children()
    assert isinstance(ours, rn.WeightNorm)
    twin: Any = parametrizations.weight_norm(ours.layer)
    length = twin.parametrizations.weight.original0
    length.copy_(ours.gain.reshape(length.shape))
    return nn.Sequential(twin, following)


@torch.no_grad()
def _torchs_spectral_norm(make: Make) -> nn.Module:
    ours, following = make().children()
    assert isinstance(ours, rn.SpectralNorm)
    twin: Any = parametrizations.spectral_norm(ours.layer)
    vectors = twin.parametrizations.weight[0]
    vectors._u.copy_(ours.running_u.flatten())
    vectors._v.copy_(ours.running_v.flatten())
    return nn.Sequential(twin, following)


TORCHS_WRAP = {rn.WeightNorm: _torchs_weight_norm, rn.SpectralNorm: _torchs_spectral_norm}


def _seeded(make: Make) -> Make:
    """`make` whose first parameters are the same in each call."""

    def made() -> nn.Module:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            return make()

    return made


def _draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def _subjects() -> Iterator[Subject]:
    for norm in rn.NORMS.values():
        yield from (_of_norm(norm, ndim) for ndim in _places(norm))
    vectors = (_draw(ROWS, 4),)
    yield Subject("SELU", rn.SELU, vectors, nn.SELU)
    yield Subject("Dropout", partial(rn.Dropout, NEVER), vectors, partial(nn.Dropout, NEVER))
    yield Subject("AlphaDropout", partial(rn.AlphaDropout, NEVER), vectors, partial(nn.AlphaDropout, NEVER))
    step, sequences = (_draw(ROWS, 4), _draw(ROWS, 3)), (_draw(ROWS, 2, 4),)
    tanh, gru = _seeded(partial(rn.RecurrentCell, 4, 3)), _seeded(partial(rn.RecurrentCell, 4, 3, "gru"))
    yield Subject("RecurrentCell, tanh", tanh, step, partial(_loaded, nn.RNNCell, tanh, 4, 3))
    yield Subject("RecurrentCell, gru", gru, step, partial(_loaded, nn.GRUCell, gru, 4, 3))
    layer, batch = rn.NORMS["layer"], rn.NORMS["batch"]
    yield Subject("Recurrent, gru, layer", _seeded(partial(rn.Recurrent, 4, 3, "gru", layer)), sequences)
    yield Subject("Recurrent, tanh, batch", _seeded(partial(rn.Recurrent, 4, 3, "tanh", batch)), sequences)
    yield Subject("ObservationNorm", partial(rn.ObservationNorm, 4), vectors)


SUBJECTS = {subject.name: subject for subject in _subjects()}
"""Name -> subject, in the order of the tables."""
