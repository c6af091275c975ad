"""Recipes: which statistics each forward pass of DQN normalizes with, and which passes update the running ones.

A recipe names a mode of `rlnorm.nn.modes` for acting (and evaluation), for the online network on s, and for the target
network on s'. With double Q-learning the online network's pass over s' takes the target's mode. Norms that keep no
statistics (layer, rms, ...) are the same in every mode.
"""

from dataclasses import dataclass

from rlnorm.nn import Mode


@dataclass(frozen=True)
class Recipe:
    """The mode of each forward pass."""

    acting: Mode
    online: Mode
    target: Mode


RECIPES: dict[str, Recipe] = {
    # As in supervised learning: batch statistics where gradients flow, running ones everywhere else. Also what
    # stable-baselines3 does, which copies parameters and `running_*` buffers to the target network. Here every buffer
    # is copied, so that counters and spectral vectors do not stay behind either.
    "supervised": Recipe(acting="eval", online="train", target="eval"),
}
