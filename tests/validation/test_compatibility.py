"""docs/compatibility.md says what comes of each use; here it is done again, most of it in every run of the tests."""

import importlib.util
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

from rlnorm import nn as rn
from rlnorm.errors import ConfigError
from rlnorm.validation.compatibility import (
    CELLS,
    SUBJECTS,
    USES,
    NothingToDo,
    Otherwise,
    Outcome,
    Subject,
    Use,
    entry,
    missing,
    outcome,
    outcomes,
    page,
    read,
)
from rlnorm.validation.compatibility.outcome import sentence
from rlnorm.validation.compatibility.run import Cell, in_two_processes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/compatibility.md").read_text("utf-8")

SLOW = ("compile", "export", "export, any batch")
QUICK = [use for use in USES.values() if use.processes == 1 and not use.packages and use.name not in SLOW]
"""Uses of which every cell is done in every run; the others need packages, a compiler, or seconds: nightly."""


def parted(cells: Sequence[Cell], found: Sequence[Outcome]) -> dict[Cell, tuple[object, object]]:
    """Cells of which the page says something else: what it says, and what came of them."""
    on_page = read(PAGE)
    real = {cell: entry(USES[cell[0]], each) for cell, each in zip(cells, found, strict=True)}
    return {cell: (on_page.get(cell), said) for cell, said in real.items() if on_page.get(cell) != said}


class TestThePage:
    def test_has_every_cell(self):
        assert set(read(PAGE)) == set(CELLS)

    @pytest.mark.parametrize("use", QUICK, ids=lambda use: use.name)
    def test_says_what_comes_of(self, use: Use):
        assert parted([(use.name, name) for name in SUBJECTS], [outcome(use, each) for each in SUBJECTS.values()]) == {}

    def test_says_what_comes_of_two_processes(self):
        cells = [(use, name) for use in ("DDP", "FSDP2") for name in ("batch, features", "weight, images")]
        assert parted(cells, in_two_processes(cells)) == {}

    @pytest.mark.nightly
    def test_is_what_the_command_writes(self):
        assert page(dict(outcomes())) == PAGE

    def test_that_parts_from_what_is_done_is_noticed(self):
        cell = "deepcopy", "layer, features"
        assert parted([cell], [Outcome("refused", "no")]) == {cell: (("same", ""), ("refused", "no."))}


class TestTables:
    def test_have_every_norm(self):
        assert {name.partition(",")[0] for name in SUBJECTS} >= set(rn.NORMS)

    def test_have_every_public_module_or_for_a_base_one_that_extends_it(self):
        public = [each for name in rn.__all__ if isinstance(each := getattr(rn, name), type)]
        there = {type(module) for subject in SUBJECTS.values() for module in subject.make().modules()}
        modules = [each for each in public if issubclass(each, nn.Module)]
        assert len(modules) > 20
        assert [each for each in modules if not any(issubclass(one, each) for one in there)] == []

    def test_are_read_as_they_are_written(self):
        kinds = [
            Outcome("as torch.nn"),
            Outcome("refused", "`E: no`"),
            Outcome("otherwise", "off"),
            Outcome("nothing to do"),
        ]
        found = {cell: kinds[i % 4] for i, cell in enumerate(CELLS)}
        assert read(page(found)) == {cell: entry(USES[cell[0]], each) for cell, each in found.items()}

    @pytest.mark.parametrize("subject", SUBJECTS.values(), ids=lambda subject: subject.name)
    def test_subjects_and_twins_have_the_same_state_each_time(self, subject: Subject):
        for make in (subject.make, subject.swapped.make):
            first, second = make().state_dict(), make().state_dict()
            assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def doubled(subject: Subject) -> list[Tensor]:
    return [subject.make()(*subject.inputs) * 2]


def plainly(subject: Subject) -> list[Tensor]:
    return [subject.make()(*subject.inputs)]


def refused_by(*classes: type[nn.Module]) -> Use:
    def do(subject: Subject) -> list[Tensor]:
        if isinstance(subject.make(), classes):
            raise RuntimeError('No way. For it is late: File "/a/b.py", line 3')
        return plainly(subject)

    return Use("refused", "", do, plainly)


class TestOutcome:
    SELU = SUBJECTS["SELU"]

    def test_the_same(self):
        assert outcome(Use("plain", "", plainly, plainly), self.SELU) == Outcome("as torch.nn")

    def test_other_values_than_the_twin(self):
        use = Use("other", "", lambda s: doubled(s) if isinstance(s.make(), rn.SELU) else plainly(s), plainly)
        assert outcome(use, self.SELU) == Outcome("otherwise", "values are off by 3")

    def test_other_values_than_its_own_where_there_is_no_twin(self):
        alone = Subject("SELU", rn.SELU, self.SELU.inputs)
        assert outcome(Use("doubled", "", doubled, plainly), alone) == Outcome("otherwise", "values are off by 3")

    @pytest.mark.parametrize(
        ("value", "said"), [(torch.nan, "values are off by nan"), (1 + 1e-4, "values are off by 0.0001")]
    )
    def test_a_difference_just_above_the_tolerance_and_nan_are_noticed(self, value: float, said: str):
        use = Use("", "", lambda _: [torch.tensor([value])], lambda _: [torch.ones(1)])
        assert outcome(use, Subject("", rn.SELU, ())) == Outcome("otherwise", said)

    @pytest.mark.parametrize(
        ("got", "said"),
        [
            ([], "0 tensors come of it instead of 1"),
            ([torch.ones(2)], "a shape is (2,) instead of (1,)"),
        ],
    )
    def test_other_tensors(self, got: list[Tensor], said: str):
        use = Use("", "", lambda _: got, lambda _: [torch.ones(1)])
        assert outcome(use, Subject("", rn.SELU, ())) == Outcome("otherwise", said)

    def test_a_refusal_is_its_first_sentence(self):
        assert outcome(refused_by(rn.SELU), self.SELU) == Outcome("refused", "`RuntimeError: No way`")

    def test_a_refusal_is_the_same_of_every_class(self):
        assert sentence(ValueError("SELU: got 3")) == "`ValueError: got 3`"

    def test_a_refusal_where_torchs_does_something_else(self):
        use = refused_by(rn.SELU)
        wrong = Use("", "", lambda s: use.do(s) if isinstance(s.make(), rn.SELU) else doubled(s), plainly)
        assert outcome(wrong, self.SELU) == Outcome("refused", "`RuntimeError: No way`")

    def test_a_refusal_of_both(self):
        said = "torch.nn refuses too, with `RuntimeError: No way`"
        assert outcome(refused_by(rn.SELU, nn.SELU), self.SELU) == Outcome("as torch.nn", said)

    @pytest.mark.parametrize(
        ("error", "expected"),
        [(Otherwise("silently"), Outcome("otherwise", "silently")), (NothingToDo(), Outcome("nothing to do"))],
        ids=str,
    )
    def test_what_a_use_itself_says(self, error: Exception, expected: Outcome):
        def do(_: Subject) -> list[Tensor]:
            raise error

        assert outcome(Use("", "", do, plainly), self.SELU) == expected


@pytest.mark.parametrize("use", QUICK, ids=lambda use: use.name)
def test_torchs_own_module_does_what_a_use_expects_of_it_or_refuses(use: Use):
    ours = SUBJECTS["batch, images"]
    assert ours.twin is not None
    assert outcome(use, Subject("BatchNorm2d", ours.twin, ours.inputs)).kind in ("as torch.nn", "refused")


class TestWhatTheCommandNeeds:
    def test_is_one_sentence_where_it_is_missing_and_nothing_is_left_out(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("onnx", "torchinfo") else name)
        said = "the page of compatibility needs torchinfo, onnx: pip install 'rlnorm[compatibility]'."
        assert list(missing()) == [said]
        with pytest.raises(ConfigError, match="needs torchinfo, onnx: pip install"):
            next(iter(outcomes()))

    def test_is_declared_and_pinned(self):
        declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        names = [line.partition(">")[0] for line in declared["compatibility"]]
        assert names == list(dict.fromkeys(package for use in USES.values() for package in use.packages))
        pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()}
        assert set(names) <= pinned


WITH_STATISTICS = [s for s in SUBJECTS.values() if any(isinstance(m, rn.Moded) for m in s.make().modules())]


@pytest.mark.parametrize("subject", WITH_STATISTICS, ids=lambda subject: subject.name)
def test_the_mode_batch_does_what_the_page_says_to_do_instead(subject: Subject):
    module = rn.set_mode(subject.make(), "batch")
    (x,) = subject.inputs

    def loss(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        y = functional_call(module, dict(parameters), x)
        return (y if isinstance(y, Tensor) else y[0]).pow(3).sum()

    parameters = dict(module.named_parameters())
    samples = x.unflatten(0, (-1, 2))
    of_parameters, of_x = vmap(grad(loss, (0, 1)), in_dims=(None, 0))(parameters, samples)
    for i, sample in enumerate(samples):
        leaf = sample.clone().requires_grad_()
        expected = torch.autograd.grad(loss(parameters, leaf), [*parameters.values(), leaf])
        torch.testing.assert_close(
            [g[i] for g in (*of_parameters.values(), of_x)], list(expected), rtol=1e-4, atol=1e-5
        )
    along = jvp(lambda x: loss(parameters, x), (x,), (x.cos(),))[1]
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(parameters, leaf), leaf)
    torch.testing.assert_close(along, (slope * x.cos()).sum(), rtol=1e-4, atol=1e-5)


def batch_norm_after_a_layer() -> nn.Sequential:
    norm = rn.BatchNorm1d(4)
    norm.running_mean = torch.arange(4.0)
    return nn.Sequential(nn.Linear(4, 4), norm).eval()


class TestWhatToDoInsteadOfToolsThatFindTorchsClass:
    """`update_bn` is the plain form of its use."""

    X = torch.eye(4)

    def test_convert_and_synchronize(self):
        converted = rn.convert(batch_norm_after_a_layer(), {"batch": "torch.batch"})
        assert any(
            isinstance(m, nn.SyncBatchNorm) for m in nn.SyncBatchNorm.convert_sync_batchnorm(converted).modules()
        )

    def test_freeze(self):
        model = batch_norm_after_a_layer()
        expected = model(self.X)
        torch.testing.assert_close(rn.set_mode(model.train(), "eval")(self.X), expected)
        assert model.training

    def test_fold(self):
        model = batch_norm_after_a_layer()
        folded = rn.fold(model)
        assert not any(isinstance(m, rn.BatchNorm1d) for m in folded.modules())
        torch.testing.assert_close(folded(self.X), model(self.X))
