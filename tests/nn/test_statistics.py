"""Running statistics: estimated anew, guarded against what is not finite, and who is spared from decay."""

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from rlnorm.nn import (
    NORMS,
    BatchNorm1d,
    BatchRenorm1d,
    InstanceNorm1d,
    LayerNorm,
    MeanOnlyBatchNorm1d,
    ObservationNorm,
    WeightNorm,
    no_decay_parameters,
    set_mode,
    update_bn,
)
from tests.nn.foreign import FOREIGN

AVERAGING = [BatchNorm1d, nn.BatchNorm1d, BatchRenorm1d, MeanOnlyBatchNorm1d]


@pytest.mark.parametrize("make", AVERAGING)
def test_update_bn_takes_the_plain_average(make, rng):
    model = nn.Sequential(make(3), nn.Dropout()).eval()
    model(torch.full((4, 3), 100.0))
    batches = list(torch.randn(5, 8, 3, generator=rng) + 3)
    assert update_bn(iter(batches), model) == 1
    mean = model.get_buffer("0.running_mean")
    torch.testing.assert_close(mean, torch.stack(batches).mean((0, 1)))
    assert not model.training
    assert not any(m.training for m in model)


def test_update_bn_equals_torchs_on_torchs(rng):
    batches = list(torch.randn(5, 8, 3, generator=rng) + 3)
    ours, theirs = nn.Sequential(nn.BatchNorm1d(3)), nn.Sequential(nn.BatchNorm1d(3))
    update_bn(batches, ours)
    torch.optim.swa_utils.update_bn(batches, theirs)
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value)


@pytest.mark.parametrize("make", [InstanceNorm1d, nn.InstanceNorm1d])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_update_bn_takes_the_plain_average_of_instances(make, momentum, rng):
    norm = make(3, momentum=momentum, track_running_stats=True)
    batches = list(torch.randn(5, 8, 3, 4, generator=rng) + 3)
    assert update_bn(batches, nn.Sequential(norm, norm)) == 1
    seen = torch.stack([*batches, *(nn.functional.instance_norm(batch) for batch in batches)])
    torch.testing.assert_close(norm.get_buffer("running_mean"), seen.mean((0, 1, 3)))
    torch.testing.assert_close(norm.get_buffer("running_var"), seen.var(3).mean((0, 1)))
    assert norm.momentum == momentum
    assert not norm._forward_pre_hooks


@pytest.mark.parametrize("make", [InstanceNorm1d, nn.InstanceNorm1d])
def test_update_bn_of_refused_instances_gives_all_back(make, rng):
    norm = make(3, affine=True, track_running_stats=True)
    norm(torch.randn(4, 3, 2, generator=rng))
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    with pytest.raises((ValueError, RuntimeError)):
        update_bn([torch.randn(4, 3, 2, generator=rng), torch.randn(4, 5, 2, generator=rng)], norm)
    assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())
    assert norm.momentum == 0.1
    assert not norm._forward_pre_hooks


@pytest.mark.parametrize("kind", [tuple, list])
def test_update_bn_takes_what_torchs_takes(kind, rng):
    batches = list(torch.randn(5, 8, 3, generator=rng).double() + 3)
    loader = [kind((batch, torch.zeros(8))) for batch in batches]
    ours, theirs = nn.Sequential(nn.BatchNorm1d(3).double()), nn.Sequential(nn.BatchNorm1d(3).double())
    update_bn(loader, ours, device="cpu")
    torch.optim.swa_utils.update_bn(loader, theirs)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value)


def test_update_bn_sends_inputs_to_the_device(rng):
    seen: list[str] = []
    model = nn.Sequential(nn.Identity())
    model[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].device.type))
    update_bn([torch.randn(4, 3, generator=rng)] * 2, model, device="meta")
    assert seen == ["meta", "meta"]


def test_update_bn_gives_modes_and_momenta_back(rng):
    norm = set_mode(BatchNorm1d(3, momentum=0.3), "batch")
    update_bn([torch.randn(4, 3, generator=rng)], norm)
    assert (norm.mode, norm.momentum) == ("batch", 0.3)


def test_update_bn_of_nothing_forgets_nothing(rng):
    norm = BatchNorm1d(3)
    norm(torch.randn(4, 3, generator=rng))
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    with pytest.raises(ValueError, match="at least one batch"):
        update_bn([], norm)
    assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())


def tracking_instance_norm(width: int, **kwargs: Any) -> InstanceNorm1d:
    return InstanceNorm1d(width, track_running_stats=True, **kwargs)


GUARDED = [(BatchNorm1d, (4, 3)), (BatchRenorm1d, (4, 3)), (tracking_instance_norm, (4, 3, 2))]


@pytest.mark.parametrize(("make", "shape"), GUARDED)
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_guard_leaves_statistics_and_counts(make, shape, momentum, bad, rng):
    guarded, plain = make(3, momentum=momentum, guard=True), make(3, momentum=momentum)
    for i in range(3):
        x = torch.randn(shape, generator=rng)
        guarded(x)
        plain(x)
        if i == 1:
            x[0, 0] = bad
            before = {k: v.clone() for k, v in guarded.state_dict().items()}
            guarded(x)
            assert all(torch.equal(v, before[k]) for k, v in guarded.state_dict().items())
    assert guarded.skipped_batches.item() == 1
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(guarded.state_dict()[key], value)


@pytest.mark.parametrize(("make", "shape"), GUARDED)
def test_without_guard_one_bad_batch_poisons_them(make, shape):
    norm = make(3)
    norm(torch.full(shape, float("nan")))
    assert norm.running_mean.isnan().all()


def test_guard_costs_no_key_in_the_state_dict():
    assert set(BatchNorm1d(3, guard=True).state_dict()) == set(nn.BatchNorm1d(3).state_dict())


def test_no_decay_parameters():
    model = nn.Sequential(
        nn.Linear(3, 4), NORMS["batch"].make(4), WeightNorm(nn.Linear(4, 4)), LayerNorm((2, 2)), nn.Conv2d(1, 1, 2)
    )
    spared = {id(p) for p in no_decay_parameters(model)}
    names = {name for name, p in model.named_parameters() if id(p) not in spared}
    assert names == {"0.weight", "4.weight"}


def test_update_bn_keeps_the_schedule_of_batch_renormalization(rng):
    norm = BatchRenorm1d(3)
    norm.running_updates.fill_(7_000)
    update_bn([torch.randn(4, 3, generator=rng)], norm)
    assert norm.running_updates.item() == 7_000


@pytest.mark.parametrize("make", AVERAGING)
def test_update_bn_forgets_nothing_when_a_batch_is_refused(make, rng):
    norm = make(3)
    norm(torch.randn(4, 3, generator=rng))
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    with pytest.raises((ValueError, RuntimeError)):
        update_bn([torch.randn(4, 5, generator=rng)], norm)
    assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())


@pytest.mark.parametrize("make", [MeanOnlyBatchNorm1d, ObservationNorm])
def test_guard_of_the_others_keeps_what_is_not_finite_out(make, rng):
    norm = make(3, guard=True)
    norm(torch.randn(4, 3, generator=rng))
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    norm(torch.full((4, 3), torch.nan))
    assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())
    assert norm.skipped_batches.item() == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_batch_renorm_counts_on_in_half_precision(dtype, rng):
    for norm in (BatchRenorm1d(3).to(dtype), BatchRenorm1d(3, dtype=dtype)):
        norm.running_updates.fill_(4_096)
        norm(torch.randn(4, 3, generator=rng).to(dtype))
        assert norm.to(dtype).running_updates.item() == 4_097


def test_no_gradient_enters_running_statistics(rng):
    x = torch.randn(5, 4, generator=rng, requires_grad=True)
    norm = BatchNorm1d(4)
    norm.average(running_mean=x.mean(0), running_var=x.var(0))
    assert not any(buffer.requires_grad for buffer in norm.buffers())
    torch.testing.assert_close(norm.running_mean, 0.1 * x.detach().mean(0))


@pytest.mark.parametrize(("make", "library"), FOREIGN)
def test_update_bn_names_norms_of_other_libraries(make, library, rng):
    model = nn.Sequential(make(3), BatchNorm1d(3)).eval()
    before = {k: v.clone() for k, v in model[0].state_dict().items()}
    said: list[str] = []
    assert update_bn([torch.randn(8, 3, generator=rng)], model, notice=said.append) == 1
    assert said == [f"0 ({make.__name__}) of {library} is left as it is: update_bn does not know it"]
    assert all(torch.equal(v, before[k]) for k, v in model[0].state_dict().items())
    with pytest.warns(UserWarning, match="update_bn does not know it"):
        update_bn([torch.randn(8, 3, generator=rng)], model)


def old_style(norm: Any, layer: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return norm(layer)


SPARED = {
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), True),
    "spectral norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), True),
    "older weight norm": (lambda: old_style(nn.utils.weight_norm, nn.Conv2d(3, 4, 2)), True),
    "older spectral norm": (lambda: old_style(nn.utils.spectral_norm, nn.Linear(3, 4)), True),
    "our weight norm": (lambda: WeightNorm(nn.Conv2d(3, 4, 2)), True),
    "a layer norm of maps": (lambda: LayerNorm((3, 4, 4)), True),
    "torch's of maps": (lambda: nn.LayerNorm([3, 4, 4]), True),
    "another parametrization": (lambda: nn.utils.parametrizations.orthogonal(nn.Linear(3, 4)), False),
    "a layer": (lambda: nn.Conv2d(3, 4, 2), False),
}


@pytest.mark.parametrize("what", SPARED)
def test_lengths_gains_and_normalized_weights_are_spared_whatever_their_shape(what):
    make, spared = SPARED[what]
    model = make()
    ids = {id(p) for p in no_decay_parameters(model)}
    assert {id(p) in ids for p in model.parameters() if p.ndim > 1} == {spared}
    assert all(id(p) in ids for p in model.parameters() if p.ndim < 2)
