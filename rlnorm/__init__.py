"""rlnorm: what does normalization really do in deep reinforcement learning?

import rlnorm

result = rlnorm.train(env="CartPole-v1", norms=["none", "layer"], seeds=16)
result.to_frame("runs")
rlnorm.results("runs/study")
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlnorm.api import results, train

    __version__: str

__all__ = ["results", "train"]


def __getattr__(name: str) -> object:
    # Imported when first asked for, so that code that needs one layer does not load the tools of a study.
    if name in __all__:
        from rlnorm import api

        return getattr(api, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("rlnorm")
    raise AttributeError(f"module 'rlnorm' has no attribute {name!r}")
