"""The settings of DQN: defaults, errors, and what follows from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlnorm.config import NormConfig
from rlnorm.dqn.losses import LOSSES
from rlnorm.dqn.recipes import Recipe, recipe_errors, resolve
from rlnorm.dqn.schedule import Schedule
from rlnorm.errors import ConfigError, too_few, unknown
from rlnorm.networks import network_errors
from rlnorm.nn import get_norm
from rlnorm.optimizers import OPTIMIZERS
from rlnorm.population import member_errors
from rlnorm.tasks.environments import SCALES, environment_errors, spaces
from rlnorm.tasks.scripted import RULES


@dataclass(frozen=True, kw_only=True)
class Settings(NormConfig):
    """Settings of one run. Defaults are CleanRL's `dqn.py`.

    Counts of steps are environment steps of one agent, over all its environments together.

    env             gymnasium id; `module:id` imports the module first
    environments    who steps them: "gymnasium", or "envpool" for those that `rlnorm.tasks.pooled` has
    seeds, rates    agent i starts from seeds[i] and learns at rate rates[i]
    steps           the budget
    norm ... init_scale   the network: see `rlnorm.networks.network` and `rlnorm.population.Population`
    recipe          which statistics each forward pass uses and updates: see `rlnorm.dqn.recipes`
    modes           fields of the recipe to change
    loss            "squared" or "huber"
    double          double Q-learning
    clip            largest norm of an agent's gradient; None: no clipping
    discount        gamma
    reward_scale    factor of the rewards that are learned from; records hold plain rewards
    normalize_observations   each agent standardizes observations by the running mean and variance of all observations
                    that it acted on (`rlnorm.nn.observation`); evaluation leaves these as they are
    batch, buffer   transitions of one update, and of the replay
    starts          steps before the first update can come
    collect         steps whose transitions enter the replay, which then stays as it is; None: all
    assisted        fraction of the budget in which the rule of the environment (`rlnorm.tasks.scripted`) acts in the
                    first of an agent's environments, whose episodes count neither for its return nor as its success
    offline         the replay is filled beforehand and stays as it is; agents make no step, and steps count as time
                    alone. Of E environments, number e = 0, 1, ... takes a random action with probability
                    (e + 1/2) / E and the rule's otherwise. The transitions depend on the block's seeds alone
    train_every     after `starts`, every `train_every` steps bring `updates` updates
    target_every    steps between target copies; None: no target network, the online network values s'
    tau             fraction of the online parameters that the target takes in a copy
    epsilon         (start, end, fraction of the budget in which it falls)
    envs            environments of one agent, stepped together
    probes          how many records hold probes (`rlnorm.dqn.probing`); None: 20, fewer below 6 000 updates
    compile         compile acting and updates
    """

    env: str
    seeds: Sequence[int]
    rates: Sequence[float]
    steps: int
    norm_kwargs: Mapping[str, Any] | None = None
    place: str = "before"
    sites: Sequence[str] = ("hidden",)
    hidden: Sequence[int] = (120, 84)
    channels: Sequence[int] = (16,)
    kernel: int = 3
    activation: str = "relu"
    init: str = "torch"
    init_scale: float = 1.0
    recipe: str = "supervised"
    modes: Mapping[str, Any] | None = None
    loss: str = "squared"
    double: bool = False
    clip: float | None = None
    optimizer: str = "adam"
    discount: float = 0.99
    reward_scale: float = 1.0
    normalize_observations: bool = False
    batch: int = 128
    buffer: int = 10_000
    starts: int = 10_000
    collect: int | None = None
    assisted: float = 0.0
    offline: bool = False
    train_every: int = 10
    updates: int = 1
    target_every: int | None = 500
    tau: float = 1.0
    epsilon: tuple[float, float, float] = (1.0, 0.05, 0.5)
    envs: int = 1
    environments: str = "gymnasium"
    probes: int | None = None
    compile: bool = False

    @property
    def passes(self) -> Recipe:
        """The recipe, with the fields in `modes` changed."""
        return resolve(self.recipe, self.modes)

    @property
    def layout(self) -> dict[str, Any]:
        """The arguments of `rlnorm.networks.network`, without the sizes of observations and outputs."""
        names = ("hidden", "channels", "kernel", "norm", "norm_kwargs", "place", "sites", "activation")
        return {name: getattr(self, name) for name in names}

    @property
    def q_limit(self) -> float:
        """|Q| beyond which an agent is counted as `beyond`: ten times the largest return (`Scale.return_max`).

        Infinite where nothing is known of the environment's rewards (`SCALES`).
        """
        if self.env not in SCALES:
            return float("inf")
        return 10 * self.reward_scale * SCALES[self.env].return_max(self.discount)

    @property
    def success(self) -> float:
        """Return from which on an episode has met the goal; infinite where none is known (`SCALES`)."""
        return SCALES[self.env].success if self.env in SCALES else float("inf")

    @property
    def total_updates(self) -> int:
        """How many updates the budget comes to, to within those of one turn."""
        return (self.steps - self.starts) // self.train_every * self.updates

    @property
    def schedule(self) -> Schedule:
        """The turns of the run; those of stable-baselines3 where the recipe asks for its loop (`sb3_loop`)."""
        sb3, period = self.passes.sb3_loop, self.target_every
        if sb3 and period is not None:
            period = max(period // self.envs, 1) * self.envs
        return Schedule(
            steps=self.steps,
            envs=self.envs,
            epsilon=self.epsilon,
            starts=self.starts,
            train_every=self.train_every,
            updates=self.updates,
            copy_every=period,
            collect=self.collect,
            only_random=self.starts if sb3 else 0,
            assisted=self.assisted,
            copies_first=sb3,
            coins=1 if sb3 else self.envs,
        )

    def errors(self) -> Iterator[str]:
        """See `Config.errors`."""
        wrong = list(environment_errors(self.env, self.environments))
        yield from wrong
        shape, outputs = ((1,), 1) if wrong else spaces(self.env)
        # `batch=2`: `recipe_errors` knows which passes take batch statistics of a single row.
        yield from network_errors(
            **self.layout, init=self.init, init_scale=self.init_scale, batch=2, shape=shape, outputs=outputs
        )
        yield from recipe_errors(
            recipe=self.recipe,
            modes=self.modes,
            double=self.double,
            target_every=self.target_every,
            couples_batch=_couples_batch(self.norm),
            envs=self.envs - (self.assisted > 0),
            batch=self.batch,
        )
        yield from self._source_errors()
        yield from member_errors(seeds=self.seeds, rates=self.rates)
        yield from self._value_errors()
        yield from self._budget_errors()

    def _source_errors(self) -> Iterator[str]:
        """Errors of where transitions come from."""
        if not 0 <= self.assisted <= 1:
            yield f"assisted is a fraction of the budget and must lie in [0, 1], got {self.assisted}."
        for name in ("assisted", "offline"):
            if getattr(self, name) and self.env not in RULES:
                yield f"{name} needs a rule that plays {self.env!r}; expected one of: {', '.join(RULES)}."
        if self.assisted and self.envs < 2:
            yield f"assisted takes one of an agent's environments: envs must be at least 2, got {self.envs}."
        if self.offline:
            without = {"assisted": 0.0, "collect": None, "normalize_observations": False}
            yield from (
                f"{name} has no effect offline, where agents make no step: leave it out."
                for name, default in without.items()
                if getattr(self, name) != default
            )

    def _value_errors(self) -> Iterator[str]:
        """Errors of one setting each."""
        if self.loss not in LOSSES:
            yield unknown("loss", self.loss, LOSSES)
        if self.optimizer not in OPTIMIZERS:
            yield unknown("optimizer", self.optimizer, OPTIMIZERS)
        counts = ("steps", "batch", "buffer", "train_every", "updates", "envs", "target_every")
        yield from too_few({name: getattr(self, name) for name in counts if getattr(self, name) is not None})
        if self.starts < 0:
            yield f"starts must not be negative, got {self.starts}."
        if self.probes is not None and self.probes < 0:
            yield f"probes must not be negative, got {self.probes}."
        if self.clip is not None and not self.clip > 0:
            yield f"clip must be a positive norm, or None for no clipping, got {self.clip}."
        if not 0 < self.tau <= 1:
            yield f"tau is a fraction of the online parameters and must lie in (0, 1], got {self.tau}."
        if not 0 < self.reward_scale < float("inf"):
            yield f"reward_scale must be positive and finite, got {self.reward_scale}."
        if not 0 <= self.discount < 1:
            yield f"discount must lie in [0, 1), got {self.discount}."
        match self.epsilon:
            case (start, end, fraction) if 0 <= start <= 1 and 0 <= end <= 1 and 0 < fraction <= 1:
                pass
            case other:
                expected = "(start, end, fraction) with 0 <= start, end <= 1 and 0 < fraction <= 1"
                yield f"epsilon is {expected}, got {other}."

    def _budget_errors(self) -> Iterator[str]:
        """Errors of counts that do not fit together."""
        if self.batch > self.buffer:
            yield f"a batch of {self.batch} cannot be drawn from a buffer of {self.buffer} transitions."
        if self.envs > self.buffer:
            yield (
                f"{self.envs} environments per agent need a buffer of at least as many transitions, got {self.buffer}."
            )
        if self.collect is not None and self.collect < self.envs:
            yield f"collect must be at least one step of all {self.envs} environments, got {self.collect}."
        if self.envs > self.steps:
            yield f"one step of {self.envs} environments is {self.envs} steps, beyond the budget of {self.steps}."
        if self.starts >= self.steps:
            yield f"learning would start after {self.starts} steps, beyond the budget of {self.steps}."
        elif 1 <= self.envs <= self.steps and self.train_every >= 1:
            last = self.steps // self.envs * self.envs
            if last // self.train_every <= self.starts // self.train_every:
                yield (
                    f"the run would have no update: one comes at every multiple of {self.train_every} steps beyond "
                    f"the first {self.starts}, and the last step is {last}."
                )


def _couples_batch(norm: str) -> bool:
    """Whether a norm takes statistics over the batch; False for an unknown norm, which `network_errors` reports."""
    try:
        return get_norm(norm).couples_batch
    except ConfigError:
        return False
