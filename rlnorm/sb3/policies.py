"""What the policies of every algorithm share: settings, extractors, networks with norms, and refusals.

stable-baselines3 puts the networks it trains into train mode in `train()` and into eval mode for everything else,
leaves targets in eval mode, and copies state named `running_*` to them through references that it takes once, when the
model is made.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar

from gymnasium import Space
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, FlattenExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from rlnorm.errors import ConfigError, raise_if_any
from rlnorm.sb3.extractors import NORMED, make_extractor, standard_class
from rlnorm.sb3.passes import Updated, passing, running_statistics
from rlnorm.sb3.settings import NONE, Names, Setting, settings

POLICIES: Mapping[str, str] = {
    "DQN": "DQNPolicy",
    "QRDQN": "QRDQNPolicy",
    "SAC": "SACPolicy",
    "TQC": "TQCPolicy",
    "TD3": "TD3Policy",
    "DDPG": "TD3Policy",
    "PPO": "ActorCriticPolicy",
    "A2C": "ActorCriticPolicy",
    "TRPO": "ActorCriticPolicy",
    "MaskablePPO": "MaskableActorCriticPolicy",
    "RecurrentPPO": "RecurrentActorCriticPolicy",
}
"""Algorithm -> its policy."""
INSTEAD: Mapping[str, str] = {
    "CrossQ": "CrossQ's own policy has batch renormalization in actor and critic: write CrossQ('MlpPolicy', ...), or "
    "SAC(SACPolicy, ...) for another norm",
}
"""Algorithms without a policy here, and what to use."""
# Modules of the two libraries that hold algorithms, and not their base classes.
LIBRARY_ALGORITHM = re.compile(r"(stable_baselines3|sb3_contrib)\.(?!common)")
Network = TypeVar("Network", bound="NormedNetwork")


class NormedNetwork(Updated):
    """Base of the networks that a policy makes, to stand before stable-baselines3's class of the same network.

    setting  the norm on the hidden layers of each of `stacks`
    """

    stacks: ClassVar[tuple[str, ...]]
    """Sequentials whose names begin so take norms."""

    def __init__(self, *, net_arch: list[int], setting: Setting = NONE, **kwargs: Any):
        super().__init__(net_arch=net_arch, **kwargs)  # pyright: ignore[reportCallIssue]
        self.setting = setting
        for name, layers in self.named_children():
            if name.startswith(self.stacks) and isinstance(layers, nn.Sequential):
                setting.insert(layers, len(net_arch))

    def running(self, when: bool = False) -> AbstractContextManager[None]:
        """Within, norms use running statistics if `when`, or if train mode is left over from an update."""
        return passing(self, "eval", when or self.after_update)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As in stable-baselines3."""
        with self.running():
            return super().forward(*args, **kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | {"setting": self.setting}


class NormedPolicy(Updated, BasePolicy):
    """Base of the policies, to stand before stable-baselines3's own of the same name, whose arguments it passes on.

    norm, place, norm_kwargs  see `rlnorm.sb3.settings`
    features_extractor_class  None chooses by the observation space, as MlpPolicy, CnnPolicy and MultiInputPolicy do;
                              stable-baselines3's own three get norms, a user's own class is left as it is

    Raises ConfigError before anything is learned: for settings that cannot be used, for an algorithm that needs another
    policy, and where the algorithm would take batch statistics of a single example.
    """

    parts: ClassVar[tuple[str, ...]] = ("features", "qf")
    followed: ClassVar[tuple[str, ...]] = ()
    """Networks `x` whose state the algorithm copies to `x_target`."""

    def __init__(
        self,
        observation_space: Space,
        action_space: Space,
        lr_schedule: Schedule = BasePolicy._dummy_schedule,
        *,
        norm: Names = "none",
        place: Names = "before",
        norm_kwargs: Mapping[str, Any] | None = None,
        features_extractor_class: type[BaseFeaturesExtractor] | None = None,
        normalize_images: bool = True,
        **kwargs: Any,
    ):
        self.given = {"norm": norm, "place": place, "norm_kwargs": norm_kwargs}
        self.settings = settings(self.parts, norm, place, norm_kwargs)
        self.stands = dict.fromkeys(self.parts, False)
        maker = maker_of(self)
        if maker is not None:
            refuse_other_algorithms(type(self), type(maker))
            refuse_batches_of_one(self.settings.values(), maker)
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            features_extractor_class=features_extractor_class
            or standard_class(observation_space, not normalize_images),
            normalize_images=normalize_images,
            **kwargs,
        )
        raise_if_any(self._idle())
        networks = [network for name in self.followed for network in (name, f"{name}_target")]
        self.copied = [(n, *found) for n in networks for found in running_statistics(getattr(self, n))]

    def make_network(
        self,
        kind: type[Network],
        part: str,
        kwargs: dict[str, Any],
        features_extractor: BaseFeaturesExtractor | None = None,
    ) -> Network:
        """A network of class `kind` with the norm of `part` on its hidden layers."""
        self.stands[part] |= len(kwargs["net_arch"]) > 0
        arguments = self._update_features_extractor(kwargs, features_extractor)
        return kind(**arguments, setting=self.settings[part]).to(self.device)

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        """An extractor with the norm of the part `features`."""
        chosen = self.settings["features"]
        if self.features_extractor_class is FlattenExtractor and not isinstance(self.given["norm"], Mapping):
            chosen = NONE
        extractor = make_extractor(
            self.features_extractor_class, self.observation_space, self.features_extractor_kwargs, chosen
        )
        self.stands["features"] |= type(extractor) in NORMED.values() and chosen.stands_in(extractor)
        return extractor

    def _idle(self) -> Iterator[str]:
        """A sentence for each norm that was asked for and stands nowhere."""
        asked = [part for part in self.parts if self.settings[part].name != "none"]
        idle = [part for part in asked if not self.stands[part]]
        if isinstance(self.given["norm"], Mapping):
            for part in idle:
                yield f"norm {self.settings[part].name!r} would stand nowhere in {part!r}: no layer there takes it."
        elif asked and idle == asked:
            yield f"norm {self.given['norm']!r} would stand nowhere: no layer in {', '.join(asked)} takes it."

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | self.given

    def train(self, mode: bool = True) -> "NormedPolicy":
        """As `nn.Module.train`, but for the target networks, which stay in eval mode."""
        super().train(mode)
        for name in self.followed:
            getattr(self, f"{name}_target").train(False)
        return self

    def set_training_mode(self, mode: bool) -> None:
        """As in stable-baselines3. Raises RuntimeError where the targets would no longer follow."""
        caller = sys._getframe(1).f_locals.get("self") if self.copied else None
        if isinstance(caller, BaseAlgorithm) and caller.policy is self:
            refuse_lost_statistics(caller, self.copied)
        super().set_training_mode(mode)


def maker_of(policy: BasePolicy) -> BaseAlgorithm | None:
    """The algorithm in whose set-up a policy is being made; None for one that is made by itself.

    stable-baselines3 tells a policy neither the batch size nor the algorithm: only the call stack knows.
    """
    frame = sys._getframe(1)
    while frame is not None and frame.f_locals.get("self") is policy:
        frame = frame.f_back
    maker = None if frame is None else frame.f_locals.get("self")
    return maker if isinstance(maker, BaseAlgorithm) else None


def refuse_other_algorithms(policy: type, algorithm: type) -> None:
    """Raise ConfigError if `algorithm`, or a library's class it derives from, needs another policy.

    An algorithm that derives from no library's algorithm may take any policy.
    """
    names = [each.__name__ for each in algorithm.__mro__ if LIBRARY_ALGORITHM.match(each.__module__)]
    own = next((each.__name__ for each in policy.__mro__ if each.__name__ in POLICIES.values()), None)
    fits = [name for name, needed in POLICIES.items() if needed == own]
    if not names or not fits or set(names) & set(fits):
        return
    needed = next((f"{name} takes {POLICIES[name]}" for name in names if name in POLICIES), "no policy here is for it")
    instead = next((INSTEAD[name] for name in names if name in INSTEAD), needed)
    raise ConfigError(f"{own} is for {' and '.join(fits)}, got {algorithm.__name__}: {instead}.")


def refuse_batches_of_one(chosen: Iterable[Setting], algorithm: BaseAlgorithm) -> None:
    """Raise ConfigError if a norm takes statistics over the batch and the algorithm has minibatches of one example."""
    names = sorted({setting.name for setting in chosen if setting.norm.couples_batch})
    if not names:
        return
    smallest = size = getattr(algorithm, "batch_size", None)
    where = f"batch_size={size}"
    if isinstance(algorithm, OnPolicyAlgorithm):
        rollout = algorithm.n_steps * algorithm.n_envs
        smallest = rollout % size or size if size else rollout
        where = f"n_steps * n_envs = {rollout}" + (f" with {where}" if size else "")
        every = getattr(algorithm, "sub_sampling_factor", 1)
        if 1 < every >= rollout:
            smallest, where = 1, f"n_steps * n_envs = {rollout} with sub_sampling_factor={every}"
    if smallest == 1:
        raise ConfigError(
            f"norm {names[0]!r} takes statistics over the batch and needs minibatches of at least 2 examples, "
            f"got one of 1 from {where}."
        )


def refuse_lost_statistics(algorithm: BaseAlgorithm, copied: Iterable[tuple[str, str, nn.Module, str]]) -> None:
    """Raise RuntimeError if a running statistic is no longer the tensor that the algorithm copies between networks."""
    held = {t.data_ptr() for name, tensors in vars(algorithm).items() if "batch_norm_stats" in name for t in tensors}
    for network, path, module, name in copied:
        buffer = module._buffers[name]
        if buffer is not None and buffer.data_ptr() not in held:
            raise RuntimeError(
                f"policy.{network}.{path} is no longer what {type(algorithm).__name__} copies to its target: "
                "it was replaced after the model was made, as .double(), .to(device) and load_state_dict(assign=True) "
                "do; choose device= when making or loading the model, and load parameters with set_parameters()."
            )
