"""rlnorm: what does normalization really do in deep reinforcement learning?

import rlnorm

result = rlnorm.train(env="CartPole-v1", norms=["none", "layer"], seeds=16)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlnorm.api import train

__version__ = "0.1.0"
__all__ = ["train"]


def __getattr__(name: str) -> object:
    # Everything is imported when it is first asked for: whoever wants one layer does not wait for a study's tools.
    if name in __all__:
        from rlnorm import api

        return getattr(api, name)
    raise AttributeError(f"module 'rlnorm' has no attribute {name!r}")
