"""The layers of `rlnorm.nn` inside stable-baselines3's policies.

    model = DQN(DQNPolicy, "CartPole-v1", policy_kwargs=dict(norm="layer"), tensorboard_log="runs")
    model.learn(50_000, callback=NormCallback())

The policies of sb3-contrib's algorithms (`CONTRIB`) need sb3-contrib and are imported when asked for.
"""

from typing import TYPE_CHECKING, Any

from rlnorm.sb3.actor_critic import ActorCriticPolicy, SACPolicy, TD3Policy
from rlnorm.sb3.callback import NormCallback
from rlnorm.sb3.dqn import DQNPolicy
from rlnorm.sb3.export import to_sb3
from rlnorm.sb3.extractors import DictExtractor, FlatExtractor, ImageExtractor

if TYPE_CHECKING:
    from rlnorm.sb3.contrib import MaskableActorCriticPolicy, QRDQNPolicy, RecurrentActorCriticPolicy, TQCPolicy

__all__ = [
    "ActorCriticPolicy",
    "DQNPolicy",
    "DictExtractor",
    "FlatExtractor",
    "ImageExtractor",
    "MaskableActorCriticPolicy",
    "NormCallback",
    "QRDQNPolicy",
    "RecurrentActorCriticPolicy",
    "SACPolicy",
    "TD3Policy",
    "TQCPolicy",
    "to_sb3",
]

CONTRIB = ("MaskableActorCriticPolicy", "QRDQNPolicy", "RecurrentActorCriticPolicy", "TQCPolicy")


def __getattr__(name: str) -> Any:
    if name in CONTRIB:
        from rlnorm.sb3 import contrib

        return getattr(contrib, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
