import pytest
import torch

torch.set_num_threads(1)

TORCHS_OWN = (
    "ignore:.*should not be instantiated:DeprecationWarning",  # Dynamo, tracing any autograd.Function
    "ignore:.*torch.jit.script:DeprecationWarning",  # torch's decompositions, first use of forward mode
)


def pytest_configure(config: pytest.Config) -> None:
    for line in TORCHS_OWN:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)
