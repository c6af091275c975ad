"""The experiments of docs/results/why.md: each yields rows, one a run, {arm, seed, name: number}."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlnorm.dqn import Settings
from rlnorm.dqn.agents import Agents
from rlnorm.dqn.replay import Replay
from rlnorm.study.claim import dqn_metrics
from rlnorm.tasks.environments import make, spaces
from rlnorm.tasks.scripted import RULES
from rlnorm.validation.why.live import Live, adam, agents, learn, restore, setting, state
from rlnorm.validation.why.playing import TEN, Played, Values, drawn, fixed, play, running, together

Row = dict[str, Any]
Numbers = Mapping[str, np.ndarray]
EPISODES = 50  # of each agent
LOOKS_BEFORE = 5  # during a tandem
EPSILON = 0.05  # with which agents act at the end of a run, and in every episode on Acrobot here
ACROBOT: Mapping[str, Any] = {"env": "Acrobot-v1", "environments": "envpool"}
NORMS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "LN": {"norm": "layer"},
    "LN, first layer": {"norm": "layer", "sites": ("first",)},
    "LN, last layer": {"norm": "layer", "sites": ("last",)},
    "BN": {"norm": "batch"},
}


def rows_of(arm: str, seeds: Sequence[int], numbers: Numbers) -> Iterator[Row]:
    """One row a run."""
    for i, seed in enumerate(seeds):
        yield {"arm": arm, "seed": seed, **{name: round(float(each[i]), 5) for name, each in numbers.items()}}


def blind(run: Settings, reward: float = -1.0) -> Replay:
    """10 000 steps of a random policy on Acrobot; whether one met the goal is not told: every step gives `reward`."""
    members, (shape, actions), rng = len(run.seeds), spaces(run.env), np.random.default_rng(list(run.seeds))
    replay, environments = Replay(members, run.buffer, shape), make(run.env, members * run.envs, run.environments)
    observation = environments.reset(run.seeds[0])
    each = (members, run.envs)
    while replay.filled < run.buffer:
        action = rng.integers(actions, size=each)
        step = environments.step(action.ravel())
        before, after = (x.reshape(*each, *shape) for x in (observation, step.successor))
        replay.add(before, after, action, np.full(each, reward), np.full(each, run.discount))
        observation = step.observation
    return replay


def finding(seeds: Sequence[int] = range(1000, 1048), updates: Sequence[int] = (0, 300, 700)) -> Iterator[Row]:
    """Do greedy policies meet Acrobot's goal, of networks that have never seen it? All learn from the same steps."""
    for arm, changes in NORMS.items():
        run = setting(seeds=seeds, steps=50_000, **ACROBOT, **changes)
        replay, generator, done = blind(run), torch.Generator().manual_seed(seeds[0]), 0
        learner, numbers = agents(run, replay), dict[str, dict[str, np.ndarray]]()
        for more in updates:
            learn(learner, replay, more, run.batch, generator)
            done += more
            first = play(run, running(learner), seeds[0] + done, EPISODES, EPSILON)
            found = {arm: first}
            if run.norm == "batch":
                for way, values in _ways(run, learner, replay, first).items():
                    found[f"BN, {way}"] = play(run, values, seeds[0] + done, EPISODES, EPSILON)
            for name, played in found.items():
                of = {f"{each} {done}": getattr(played, each) for each in ("reached", "repeats", "pumps")}
                numbers.setdefault(name, {}).update(of)
        for name, found in numbers.items():
            yield from rows_of(name, seeds, found)


def unseen(run: Settings, episodes: int = 20) -> Tensor:
    """States (rows, 6) with the tip above the pivot, on the way of a rule that meets Acrobot's goal."""
    alone = replace(run, seeds=run.seeds[:1], rates=run.rates[:1])

    def rule(x: Tensor) -> Tensor:
        chosen = torch.from_numpy(RULES[run.env](x[0].numpy()))
        return torch.nn.functional.one_hot(chosen, 3).unsqueeze(0)

    (seen,) = play(alone, rule, run.seeds[0], episodes).seen
    cos1, sin1, cos2, sin2 = seen[:, :4].T
    return seen[-cos1 - (cos1 * cos2 - sin1 * sin2) > 0]


def optimism(seeds: Sequence[int] = range(1600, 1648), updates: int = 300) -> Iterator[Row]:
    """Does learning that steps cost make values fall less where nobody was, and do policies go there for it?

    `value` is the mean greedy value of the replay's states, `above` how much higher that of unseen states is.
    """
    for arm, rewards in {
        "none": (-1, 0, 1),
        "LN": (-1, 0, 1),
        "LN, first layer": (-1, 1),
        "LN, last layer": (-1, 1),
    }.items():
        for reward in rewards:
            run = setting(seeds=seeds, steps=50_000, **ACROBOT, **NORMS[arm])
            replay = blind(run, reward)
            learner = agents(run, replay)
            learn(learner, replay, updates, run.batch, torch.Generator().manual_seed(seeds[0]))
            states = unseen(run)
            seen = learner.q(_states(run, replay)[:, ::10]).amax(-1).mean(1)
            above = learner.q(states.expand(len(seeds), *states.shape)).amax(-1).mean(1)
            played = play(run, running(learner), seeds[0], 2 * TEN, EPSILON)
            numbers = {"reached": played.reached, "value": seen.numpy(), "above": (above - seen).numpy()}
            yield from rows_of(f"{arm}, reward {reward}", seeds, numbers)


def _ways(run: Settings, learner: Agents, replay: Replay, played: Played) -> dict[str, Values]:
    """Ways to act by the same weights with BN, beside by their running statistics."""
    rows = _states(run, replay)
    return {
        "ten together": together(learner, TEN),
        "fifty together": together(learner, EPISODES),
        "ten of the replay": drawn(run, learner, rows, 0),
        "statistics of the replay": fixed(run, learner, rows),
        "statistics of its own states": fixed(run, learner, played.seen),
    }


def target(seeds: Sequence[int] = range(1700, 1748), updates: Sequence[int] = (300, 700)) -> Iterator[Row]:
    """As in `finding`: what does a target with batch statistics, the naive way of learning, make of BN networks?"""
    for arm, modes in {"supervised": {}, "learning alone": {"target": "batch"}}.items():
        run = setting(seeds=seeds, steps=50_000, norm="batch", modes=modes, **ACROBOT)
        replay, generator, done = blind(run), torch.Generator().manual_seed(seeds[0]), 0
        learner, numbers = agents(run, replay), dict[str, np.ndarray]()
        for more in updates:
            learn(learner, replay, more, run.batch, generator)
            done += more
            for way, values in {"running": running(learner), "ten together": together(learner, TEN)}.items():
                played = play(run, values, seeds[0] + done, 2 * TEN, EPSILON)
                numbers |= {f"reached {done}, {way}": played.reached, f"repeats {done}, {way}": played.repeats}
        yield from rows_of(arm, seeds, numbers)


def _states(run: Settings, replay: Replay) -> Tensor:
    """The states that a replay holds, (N, rows, *shape)."""
    return torch.from_numpy(replay.rows[..., : spaces(run.env)[0][0]])


def _trained(live: Live, name: str, metric: Callable[..., float]) -> Numbers:
    values = live.run.values()
    return {name: np.array([metric(live.records, values, i) for i in range(len(live.run.seeds))])}


def tandem(seeds: Sequence[int] = range(1100, 1116), steps: int = 20_000) -> Iterator[Row]:
    """Goal hidden: who acts, and who learns? Beside the agents that act, others learn from the same batches."""
    for actor in ("none", "LN"):
        run = setting(seeds=seeds, steps=steps, epsilon=(1.0, EPSILON, 10_000 / steps), **ACROBOT, **NORMS[actor])
        live = Live(run, [{"norm": "none"}, {"norm": "layer"}])
        named = {f"{actor} acts and learns": live.agents}
        named |= {f"{actor} acts, {name} learns": other for name, other in zip(("none", "LN"), live.others)}
        scores = {name: list[np.ndarray]() for name in named}
        for step in live.turns():
            if step % (steps // LOOKS_BEFORE) == 0:
                for name, each in named.items():
                    scores[name].append(play(run, running(each), seeds[0] + step, TEN, EPSILON).score)
        for name, found in scores.items():
            numbers = {"score": np.mean(found, 0)}
            if name.endswith("acts and learns"):
                numbers |= _trained(live, "area", dqn_metrics.return_auc)
                numbers |= _trained(live, "first success", dqn_metrics.first_success)
            yield from rows_of(name, seeds, numbers)


RATES = (1e-3, 4e-3, 1.6e-2)


def pace(seeds: Sequence[int] = range(1800, 1816), steps: int = 20_000) -> Iterator[Row]:
    """Goal hidden, agents without a norm act: does LN learn as much from the same batches at a larger rate?"""
    run = setting(seeds=seeds, steps=steps, epsilon=(1.0, EPSILON, 10_000 / steps), **ACROBOT)
    learners: dict[str, dict[str, Any]] = {"none": {}}
    learners |= {f"LN, rate {rate:g}": {"norm": "layer", "rates": [rate] * len(seeds)} for rate in RATES}
    live = Live(run, list(learners.values()))
    scores = {name: dict[int, np.ndarray]() for name in learners}
    for step in live.turns():
        if step % (steps // LOOKS_BEFORE) == 0:
            for name, each in zip(learners, live.others, strict=True):
                scores[name][step] = play(run, running(each), seeds[0] + step, TEN, EPSILON).score
    for name, found in scores.items():
        numbers = {"score": np.mean(list(found.values()), 0)}
        yield from rows_of(name, seeds, {**numbers, **{f"score, {step}": score for step, score in found.items()}})


MODES: Mapping[str, Mapping[str, Any]] = {
    "supervised": {},
    "acting alone": {"modes": {"acting": "batch"}},
    "learning alone": {"recipe": "naive", "modes": {"acting": "eval"}},
    "naive": {"recipe": "naive"},
}


def _modes(seeds: Sequence[int], steps: int, assisted: int) -> Iterator[tuple[str, Live]]:
    """(arm, its finished run), with epsilon down after 10 000 steps and the goal shown for `assisted` of the steps."""
    for arm, changes in MODES.items():
        run = setting(
            seeds=seeds, steps=steps, epsilon=(1.0, EPSILON, 10_000 / steps), assisted=assisted / steps,
            norm="batch", compile=True, **ACROBOT, **changes,
        )  # fmt: skip
        live = Live(run)
        for _ in live.turns():
            pass
        yield arm, live


def hidden(seeds: Sequence[int] = range(1200, 1216), steps: int = 20_000) -> Iterator[Row]:
    """What of the naive way finds the goal: acting with batch statistics, learning with them, or both?"""
    for arm, live in _modes(seeds, steps, 0):
        numbers = {**_trained(live, "met", dqn_metrics.found)}
        numbers |= _trained(live, "first success", dqn_metrics.first_success)
        yield from rows_of(arm, seeds, numbers)


def shown(seeds: Sequence[int] = range(1500, 1516), steps: int = 30_000, assisted: int = 15_000) -> Iterator[Row]:
    """What of the naive way costs once a rule has shown the goal?"""
    for arm, live in _modes(seeds, steps, assisted):
        numbers = {**_trained(live, "area", dqn_metrics.return_auc_after_assistance)}
        ways = {"running": running(live.agents), "ten together": together(live.agents, TEN)}
        for way, values in {**ways, "fifty together": together(live.agents, EPISODES)}.items():
            numbers[f"score, {way}"] = play(live.run, values, seeds[0], EPISODES, EPSILON).score
        yield from rows_of(arm, seeds, numbers)


LOOKS, APART = 5, 200  # evaluations that a score at the end is the mean of, and updates between two
MORE = 2_000  # updates after the end


def _endings(run: Settings, live: Live, broad: Replay | None) -> Iterator[tuple[str, np.ndarray]]:
    """From the same agents at the end of their run: what they score after more updates of several kinds."""
    learner, before, seed = live.agents, state(live.agents), run.seeds[0]
    kinds = {"as before": (1.0, live.replay), "a tenth of the rate": (0.1, live.replay)}
    if broad is not None:
        kinds["broad replay"] = (1.0, broad)
    for kind, (factor, replay) in kinds.items():
        restore(learner, before)
        adam(learner).rates.mul_(factor)
        generator, scores = torch.Generator().manual_seed(seed), list[np.ndarray]()
        learn(learner, replay, MORE - LOOKS * APART, run.batch, generator)
        states = _states(run, live.replay)[:, ::10]
        chosen = [learner.greedy(states)]
        for look in range(LOOKS):
            learn(learner, replay, APART, run.batch, generator)
            chosen.append(learner.greedy(states))
            scores.append(play(run, running(learner), seed + look, 2 * TEN).score)
        yield f"score, {kind}", np.mean(scores, 0)
        changed = [(a != b).float().mean(1) for a, b in pairwise(chosen)]
        yield f"changed, {kind}", torch.stack(changed).mean(0).numpy()
    restore(learner, before)


def _at_the_end(live: Live, scores: dict[str, list[np.ndarray]], seed: int) -> None:
    """Scores of the agents as they are now, by every way of acting that their norm has."""
    run, learner = live.run, live.agents
    played = play(run, running(learner), seed, 2 * TEN)
    scores.setdefault("score, end", []).append(played.score)
    if run.norm == "batch":
        ways = _ways(run, learner, live.replay, played)
        for way in ("ten together", "statistics of the replay", "statistics of its own states"):
            scores.setdefault(f"score, {way}", []).append(play(run, ways[way], seed, 2 * TEN).score)


def ending(seeds: Sequence[int] = range(1300, 1316), steps: int = 200_000) -> Iterator[Row]:
    """CartPole: do agents with BN end lower by stale statistics, by large steps, or by what the replay holds?"""
    broad_run = setting("CartPole-v1", seeds, steps, offline=True)
    broad = Live(broad_run)
    broad.collector.fill()
    for arm in ("none", "BN"):
        live = Live(setting("CartPole-v1", seeds, steps, compile=True, **NORMS[arm]))
        lengths, scores = [_length(live)], dict[str, list[np.ndarray]]()
        for step in live.turns():
            if steps - step < LOOKS * APART * 10 and step % (APART * 10) == 0:
                _at_the_end(live, scores, seeds[0] + step)
        numbers = {name: np.mean(found, 0) for name, found in scores.items()}
        curves = [dqn_metrics.normalized_curve(live.records, live.run.values(), i) for i in range(len(seeds))]
        quarter, tenth = len(live.records) // 4, len(live.records) // 10
        numbers |= {"first quarter": np.array([curve[:quarter].mean() for curve in curves])}
        numbers |= {"last tenth": np.array([curve[-tenth:].mean() for curve in curves])}
        numbers |= {"length": _length(live) / lengths[0], **dict(_endings(live.run, live, broad.replay))}
        yield from rows_of(arm, seeds, numbers)


def _length(live: Live) -> np.ndarray:
    """The length of the second hidden layer's weights."""
    return live.agents.online.parameters.views["linear2.weight"].flatten(1).norm(dim=1).numpy().copy()


def fixed_set(seeds: Sequence[int] = range(1400, 1416), steps: int = 100_000, rate: float = 5e-4) -> Iterator[Row]:
    """CartPole, learning from a fixed set: how high does the greedy return rise, and where does it end?"""
    for arm in ("none", "LN", "BN"):
        live = Live(setting("CartPole-v1", seeds, steps, rate, offline=True, compile=True, **NORMS[arm]))
        curve, scores = list[np.ndarray](), dict[str, list[np.ndarray]]()
        for step in live.turns():
            if step % (steps // 10) == 0:
                curve.append(play(live.run, running(live.agents), seeds[0] + step, 2 * TEN).score)
            if steps - step < LOOKS * APART * 10 and step % (APART * 10) == 0:
                _at_the_end(live, scores, seeds[0] + step)
        numbers = {name: np.mean(found, 0) for name, found in scores.items()}
        numbers |= {f"score, {(i + 1) * steps // 10}": each for i, each in enumerate(curve)}
        numbers |= {"peak": np.max(curve, 0), **dict(_endings(live.run, live, None))}
        yield from rows_of(arm, seeds, numbers)


EXPERIMENTS: Mapping[str, Callable[[], Iterator[Row]]] = {
    "finding": finding,
    "optimism": optimism,
    "tandem": tandem,
    "pace": pace,
    "hidden": hidden,
    "target": target,
    "shown": shown,
    "ending": ending,
    "fixed": fixed_set,
}
