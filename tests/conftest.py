from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(1)

LIBRARIES_OWN = (
    "ignore:.*should not be instantiated:DeprecationWarning",  # Dynamo, tracing any autograd.Function
    "ignore:.*torch.jit.script:DeprecationWarning",  # torch's decompositions, first use of forward mode
    "ignore:builtin type .* has no __module__:DeprecationWarning",  # Box2D's import, which crashes if this is an error
)


def pytest_configure(config: pytest.Config) -> None:
    for line in LIBRARIES_OWN:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session", autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered for a user is, in tests, remembered elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)
