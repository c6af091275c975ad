import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch._dynamo
import torch._inductor.config
from torch import Tensor
from torch._dynamo.exc import Unsupported
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler

from rlnorm import compiling
from rlnorm.compiling import available, compiled


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    available.cache_clear()
    yield
    available.cache_clear()


def update(weight: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """As the engines' updates: a gradient taken inside, and a change in place. Its second result tells who runs it."""
    leaf = weight.detach().requires_grad_()
    loss = (x @ leaf).tanh().square().mean()
    (gradient,) = torch.autograd.grad(loss, [leaf])
    with torch.no_grad():
        weight.sub_(gradient)
    return loss.detach(), torch.ones(()) if torch.compiler.is_compiling() else torch.zeros(())


def test_what_is_compiled_is_kept_elsewhere_where_the_usual_folder_cannot_be_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/dev/null/cache")
    assert available()
    assert Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).name.startswith("rlnorm-compiler-")
    assert os.access(os.environ["TORCHINDUCTOR_CACHE_DIR"], os.W_OK)
    os.rmdir(os.environ["TORCHINDUCTOR_CACHE_DIR"])


def test_compiled_gives_the_values_of_eager_and_is_compiled(rng):
    weight, x = torch.randn(5, 3, generator=rng), torch.randn(4, 8, 5, generator=rng)
    own = weight.clone()
    step = compiled(update)
    for rows in x:
        expected, by_eager = update(weight, rows)
        loss, by_compiler = step(own, rows)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(own, weight)
        assert (by_eager, by_compiler) == (0, 1)


class Scaled:
    """A method whose tensor and number are its object's own, as an agent's are."""

    def __init__(self, factor: float):
        self.factor, self.shift = factor, torch.full((2,), factor)

    def __call__(self, x: Tensor) -> Tensor:
        return x * self.factor + self.shift


def test_two_objects_with_one_code_are_kept_apart():
    one, two = compiled(Scaled(2.0)), compiled(Scaled(3.0))
    for _ in range(2):
        assert one(torch.ones(2)).tolist() == [4, 4]
        assert two(torch.ones(2)).tolist() == [6, 6]


def test_shapes_are_those_of_the_first_call_and_tensors_those_of_the_present_one():
    scaled = Scaled(2.0)
    call = compiled(scaled)
    assert call(torch.ones(2)).tolist() == [4, 4]
    scaled.shift = torch.zeros(2)
    assert call(torch.ones(2)).tolist() == [2, 2]
    with pytest.raises(AssertionError, match="size"):
        call(torch.ones(1))


def test_a_graph_break_is_an_error_and_not_slow_pieces():
    def broken(x: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return x + 1

    assert broken(torch.zeros(2)).tolist() == [1, 1]
    with pytest.raises(Unsupported):
        compiled(broken)(torch.zeros(2))


def test_the_patches_end_with_the_first_call():
    before = torch._dynamo.config.trace_autograd_ops, torch._inductor.config.compile_threads
    compiled(torch.sin)(torch.zeros(2))
    assert (torch._dynamo.config.trace_autograd_ops, torch._inductor.config.compile_threads) == before


def test_available_where_there_is_a_compiler_and_pythons_headers(monkeypatch, tmp_path):
    monkeypatch.setattr(compiling, "get_cpp_compiler", lambda: "g++")
    monkeypatch.setattr(compiling.sysconfig, "get_path", lambda _: str(tmp_path))
    assert not available()
    available.cache_clear()
    (tmp_path / "Python.h").touch()
    assert available()


def test_not_available_without_one():
    cpp_builder.cpp_compiler_search.cache_clear()
    try:
        with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler-anywhere",)}):
            with pytest.raises(InvalidCxxCompiler):
                cpp_builder.get_cpp_compiler()
            assert not available()
    finally:
        cpp_builder.cpp_compiler_search.cache_clear()
