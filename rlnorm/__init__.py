"""rlnorm: what does normalization really do in deep reinforcement learning?

import rlnorm

result = rlnorm.train(env="CartPole-v1", norms=["none", "layer"], seeds=16)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlnorm.api import train

    __version__: str

__all__ = ["train"]


def __getattr__(name: str) -> object:
    # Imported when first asked for, so that code that needs one layer does not load the tools of a study.
    if name == "train":
        from rlnorm import api

        return api.train
    if name == "__version__":
        from importlib.metadata import version

        return version("rlnorm")
    raise AttributeError(f"module 'rlnorm' has no attribute {name!r}")
