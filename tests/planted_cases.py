"""The tables of planted faults and of their healthy counterparts, by the doctor's checks."""

from typing import Any

import torch
from planted import (
    Body,
    Case,
    Counting,
    OnTop,
    SpectralBody,
    Stuck,
    TrainsAll,
    agent,
    averaged,
    changed,
    decaying,
    followed,
    fresh_cartpole_statistics,
    image,
    moved,
    network,
    on_extractor,
    pair,
    parameters_only,
    rebound,
    shared_statistics,
    spared,
    spectral_copied,
    trained,
    warned,
)
from sb3_contrib.common.torch_layers import BatchRenorm1d as ContribBatchRenorm
from stable_baselines3 import DQN, PPO, SAC, TD3
from torch import nn
from torch.nn.utils import parametrizations

import rlnorm.nn as ours


def sb3(name: str, **settings: Any) -> Case:
    """A model that is made when it is asked for."""
    algorithm = {"DQN": DQN, "PPO": PPO, "SAC": SAC, "TD3": TD3}[name]
    return lambda: agent(algorithm, **settings)


# Check -> faults. With an environment to act in, a case gives a model and its id.
FAULTS: dict[str, dict[str, Case]] = {
    "acting-on-batch": {
        "torch": lambda: changed(network(), lambda net: net[1].train()),
        "torch, no statistics": lambda: network(lambda width: nn.BatchNorm1d(width, track_running_stats=False)),
        "ours, batch": lambda: ours.set_mode(network(ours.BatchNorm1d), "batch"),
        "ours, track": lambda: ours.set_mode(network(ours.BatchRenorm1d), "track"),
        "sb3-contrib": lambda: changed(network(ContribBatchRenorm), lambda net: net[1].train()),
        "spectral": lambda: changed(
            nn.Sequential(ours.SpectralNorm(nn.Linear(4, 16)), nn.Linear(16, 2)).eval(), lambda net: net[0].train()
        ),
        "acting in train mode": lambda: (network().train(), "CartPole-v1"),
        "DQN": sb3("DQN", make=Stuck),
        "PPO": sb3("PPO", make=Stuck),
        "TD3": sb3("TD3", make=Stuck),
    },
    "left-in-training": {
        "torch": lambda: network().train(),
        "ours": lambda: network(ours.MeanOnlyBatchNorm1d).train(),
        "images": lambda: image(nn.BatchNorm2d).train(),
    },
    "target-on-batch": {
        "torch": lambda: changed(followed(), lambda both: both[1].train()),
        "ours": lambda: changed(followed(ours.BatchRenorm1d), lambda both: ours.set_mode(both[1], "batch")),
        "DQN": sb3("DQN", policy=TrainsAll),
    },
    "target-behind": {
        "torch, copied": lambda: parameters_only(1.0),
        "torch, averaged": lambda: parameters_only(0.5),
        "spectral": lambda: spectral_copied(),
        "DQN": lambda: changed(
            trained(), lambda model: model.q_net_target.features_extractor.net[1].reset_running_stats()
        ),
    },
    "missed-state": {
        "DQN, bound anew": lambda: rebound(agent()),
        "DQN, bound anew, ours": lambda: rebound(trained(make=ours.BatchRenorm1d)),
        "DQN, other names": sb3("DQN", make=ContribBatchRenorm),
        "DQN, spectral": sb3("DQN", make=None, policy_kwargs=on_extractor(SpectralBody, {})),
        "DQN, spectral by hooks": sb3(
            "DQN", make=None, policy_kwargs=on_extractor(SpectralBody, {"wrap": nn.utils.spectral_norm})
        ),
        "SAC, other names": sb3("SAC", make=ContribBatchRenorm),
        "TD3, other names": sb3("TD3", make=ContribBatchRenorm),
        "TD3, cast": lambda: changed(agent(TD3), lambda model: model.critic_target.double().float()),
    },
    "integer-state": {"DQN": sb3("DQN", make=Counting), "SAC": sb3("SAC", make=Counting)},
    "shared-norm": {
        "torch": lambda: changed(followed(), lambda both: both[1].__setitem__(1, both[0][1])),
        "ours, statistics": lambda: shared_statistics(),
        "everything": lambda: (lambda net: (net, net))(network()),
        "DQN": lambda: changed(
            trained(), lambda model: setattr(model.q_net_target, "features_extractor", model.q_net.features_extractor)
        ),
    },
    "batch-of-one": {
        "DQN": sb3("DQN", batch_size=1),
        "DQN, ours": sb3("DQN", make=ours.BatchRenorm1d, batch_size=1),
        "SAC, sb3-contrib": sb3("SAC", make=ContribBatchRenorm, batch_size=1),
        "PPO, the rest of a rollout": lambda: warned(agent, PPO, n_steps=33, batch_size=16),
    },
    "statistics-far": {
        "torch, env": lambda: (
            changed(fresh_cartpole_statistics(network()), lambda net: moved(net[1], 10)),
            "CartPole-v1",
        ),
        "DQN": lambda: changed(trained(), lambda model: moved(model.q_net.features_extractor.net[4], 20)),
        "PPO": lambda: changed(
            agent(PPO, ours.BatchNorm1d, steps=64, n_steps=64, batch_size=16, n_epochs=20),
            lambda model: moved(model.policy.features_extractor.net[1], 20),
        ),
    },
    "poisoned": {
        "torch": lambda: changed(network(), lambda net: net[1].running_var.fill_(float("inf"))),
        "ours": lambda: changed(network(ours.MeanOnlyBatchNorm1d), lambda net: moved(net[1], float("nan"))),
        "DQN, target": lambda: changed(
            trained(), lambda model: moved(model.q_net_target.features_extractor.net[1], float("nan"))
        ),
    },
    "norm-on-output": {
        "torch": lambda: nn.Sequential(network(), nn.LayerNorm(2)).eval(),
        "ours, tanh behind": lambda: nn.Sequential(network(), ours.RMSNorm(2), nn.Tanh()).eval(),
        "DQN": sb3("DQN", make=None, policy=OnTop),
    },
    "bias-before-norm": {
        "torch": lambda: network(bias=True),
        "ours": lambda: network(ours.MeanOnlyBatchNorm1d, bias=True),
        "sb3-contrib": lambda: network(ContribBatchRenorm, bias=True),
        "images": lambda: image(ours.BatchRenorm2d, bias=True),
        "instance": lambda: image(nn.InstanceNorm2d, bias=True),
        "weight norm": lambda: nn.Sequential(
            ours.WeightNorm(nn.Linear(4, 8)), ours.BatchNorm1d(8), nn.Linear(8, 2)
        ).eval(),
        "PPO": sb3("PPO", policy_kwargs=on_extractor(Body, {"bias": True})),
    },
    "decayed-gain": {
        "torch": lambda: decaying(network(nn.LayerNorm), 0.01),
        "ours": lambda: decaying(nn.Sequential(ours.WeightNorm(nn.Linear(4, 2))).eval(), 0.1),
        "DQN": sb3("DQN", make=nn.LayerNorm, policy_kwargs={"optimizer_class": torch.optim.AdamW}),
    },
}  # fmt: skip

# Check -> what comes nearest to its fault and is none. Nothing at all may be found in these.
HEALTHY: dict[str, dict[str, Case]] = {
    "acting-on-batch": {
        "torch": network,
        "instance, own statistics": lambda: image(nn.InstanceNorm2d),
        "acting": lambda: (fresh_cartpole_statistics(network()), "CartPole-v1"),
        "norms frozen in training": lambda: ours.set_mode(network().train(), "eval"),
        "PPO": sb3("PPO"),
        "SAC, exploration that depends on the state": lambda: agent(SAC, steps=30, use_sde=True),
        "DQN, compiled": lambda: changed(agent(), lambda model: setattr(model, "policy", torch.compile(model.policy))),
    },
    "left-in-training": {
        "layer": lambda: network(nn.LayerNorm).train(),
        "weight": lambda: nn.Sequential(ours.WeightNorm(nn.Linear(4, 2))),
    },
    "target-on-batch": {"torch": followed, "ours": lambda: followed(ours.BatchRenorm1d)},
    "target-behind": {
        "not yet updated": pair,
        "averaged with the statistics": lambda: averaged(),
        "DQN": trained,
        "DQN, before the first update": lambda: agent(steps=60, target_update_interval=10_000),
    },
    "missed-state": {
        "DQN, counters": sb3("DQN"),
        "DQN, ours": sb3("DQN", make=ours.BatchRenorm1d),
        "DQN, spectral": sb3("DQN", make=None, policy_kwargs=on_extractor(SpectralBody, {"wrap": ours.SpectralNorm})),
        "DQN, weight": sb3(
            "DQN", make=None, policy_kwargs=on_extractor(SpectralBody, {"wrap": parametrizations.weight_norm})
        ),
        "DQN, not a layer": sb3("DQN", make=nn.LayerNorm),
        "SAC": sb3("SAC"),
        "TD3": sb3("TD3"),
    },
    "integer-state": {"DQN": sb3("DQN")},
    "shared-norm": {"torch": followed},
    "batch-of-one": {
        "DQN, layer": sb3("DQN", make=nn.LayerNorm, batch_size=1),
        "DQN, two": sb3("DQN", batch_size=2),
        "PPO, rest of 2": lambda: warned(agent, PPO, n_steps=34, batch_size=16),
    },
    "statistics-far": {
        "torch, env": lambda: (fresh_cartpole_statistics(network()), "CartPole-v1"),
        "fresh": lambda: (network(), "CartPole-v1"),
        "DQN": trained,
        "DQN, env": lambda: (trained(), "CartPole-v1"),
        "PPO": lambda: agent(PPO, ours.BatchNorm1d, steps=64, n_steps=64, batch_size=16, n_epochs=20),
    },
    "poisoned": {"torch": network},
    "norm-on-output": {"last hidden layer": lambda: nn.Sequential(network(), nn.LayerNorm(2), nn.Linear(2, 2)).eval()},
    "bias-before-norm": {
        "layer": lambda: network(nn.LayerNorm, bias=True),
        "rms": lambda: network(ours.RMSNorm, bias=True),
        "group": lambda: image(lambda width: nn.GroupNorm(2, width), bias=True),
        "behind the activation": lambda: nn.Sequential(
            nn.Linear(4, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Linear(16, 2)
        ).eval(),
    },
    "decayed-gain": {
        "no decay": lambda: decaying(network(nn.LayerNorm), 0.0),
        "spared": lambda: spared(network(nn.LayerNorm)),
        "no norm": sb3("DQN", make=None, policy_kwargs={"optimizer_class": torch.optim.AdamW}),
    },
}  # fmt: skip
