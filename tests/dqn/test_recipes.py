"""Recipes: every pass in its mode, held against agents that learn alone; and what is refused."""

from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from rlnorm.dqn.recipes import CHOICES, RECIPES, Recipe, Statistics, recipe_errors, resolve
from rlnorm.nn import MODES
from tests.alone import INPUTS, MLP_NORMS
from tests.dqn.learning import agents_of, compare, transitions

Modes = dict[str, Any]


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name != "supervised"])
@pytest.mark.parametrize("norm", MLP_NORMS)
def test_every_recipe_is_what_agents_do_alone(norm, recipe, rng):
    compare(norm, rng, recipe, steps=6)


# One factor changed at a time, and what goes only together.
CHANGES: list[tuple[str, Modes, Modes]] = [
    *[("supervised", {"online": mode}, {}) for mode in MODES],
    *[("supervised", {"target": mode}, {}) for mode in MODES],
    *[("supervised", {"successor": mode}, {"double": True}) for mode in MODES],
    *[("supervised", {"successor": mode}, {"target": False}) for mode in MODES],
    *[("supervised", {"statistics": what, "target": "track"}, {}) for what in get_args(Statistics)],
    *[("supervised", {"statistics": what, "target": "track"}, {"tau": 0.3}) for what in get_args(Statistics)],
    ("naive", {"statistics": "forgotten", "target": "eval"}, {"tau": 0.3}),
    ("naive", {}, {"double": True}),
    ("naive", {}, {"target": False}),
    ("joint", {}, {"target": False}),
    ("joint", {}, {"double": True}),
    ("joint", {"target": "eval"}, {}),
    ("joint", {"target": "track"}, {"double": True}),
    ("joint", {"online": "batch"}, {"target": False}),
    ("joint", {"joint": False}, {"target": False}),
]


@pytest.mark.parametrize(("recipe", "modes", "options"), CHANGES, ids=str)
def test_so_is_every_change_to_one(recipe, modes, options, rng):
    compare("batch", rng, recipe, modes, steps=6, **options)


@pytest.mark.parametrize("norm", ["batch_renorm", "spectral"])
@pytest.mark.parametrize(("recipe", "modes", "options"), CHANGES[::3], ids=str)
def test_with_other_state_too(norm, recipe, modes, options, rng):
    compare(norm, rng, recipe, modes, steps=5, **options)


def parameters_after(recipe: str, modes: Modes, rng_seed: int = 0, **options) -> Tensor:
    rng = torch.Generator().manual_seed(rng_seed)
    agents = agents_of("batch", recipe, modes, loss="squared", **options)
    for step in range(6):
        agents.update(transitions(rng))
        if agents.target and step % 2:
            agents.update_target()
    return agents.online.flat


@pytest.mark.parametrize(
    ("modes", "options"),
    [
        ({"online": "eval"}, {}),
        ({"target": "batch"}, {}),
        ({"target": "track"}, {}),
        ({"target": "track", "statistics": "own"}, {}),
        ({"statistics": "forgotten"}, {}),
        ({"joint": True}, {}),
        ({"successor": "batch"}, {"double": True}),
        ({"successor": "batch"}, {"target": False}),
    ],
    ids=str,
)
def test_each_factor_changes_the_numbers(modes, options):
    assert not torch.allclose(
        parameters_after("supervised", modes, **options), parameters_after("supervised", {}, **options), atol=1e-4
    )


def test_a_target_with_copied_statistics_is_the_same_in_train_and_batch():
    """Nothing reads what its passes make of its statistics before they are taken over again."""
    assert torch.equal(
        parameters_after("supervised", {"target": "train"}), parameters_after("supervised", {"target": "batch"})
    )


@pytest.mark.parametrize("times", [1, 2, 7])
def test_many_shares_at_once_are_one_after_the_other(times, rng):
    together, single = (agents_of("batch", tau=0.2) for _ in range(2))
    for agents in (together, single):
        agents.update(transitions(torch.Generator().manual_seed(0)))
    together.update_target(times)
    for _ in range(times):
        single.update_target()
    assert not torch.equal(together.target_parameters.matrices[torch.float32], together.online.flat)
    for dtype, matrix in together.target_parameters.matrices.items():
        torch.testing.assert_close(matrix, single.target_parameters.matrices[dtype])


def test_recipes_are_what_they_say():
    assert set(RECIPES) == {"supervised", "sb3", "joint", "naive", "own-statistics"}
    assert Recipe() == Recipe("eval", "train", "eval", "eval", False, "copied", False, False)
    assert RECIPES["supervised"] == Recipe()
    assert RECIPES["sb3"] == Recipe(sb3_loop=True)
    naive = RECIPES["naive"]
    assert {naive.acting, naive.online, naive.successor, naive.target} == {"train"}
    for recipe in RECIPES.values():
        assert all(getattr(recipe, name) in values for name, values in CHOICES.items())
    assert resolve("naive", {"acting": "eval"}) == Recipe("eval", "train", "train", "train", statistics="own")


@pytest.mark.parametrize("mode", MODES)
def test_acting_normalizes_and_updates_as_its_mode_says_and_evaluation_updates_nothing(mode, rng):
    agents = agents_of("batch", modes={"acting": mode})
    agents.update(transitions(rng))
    x = torch.randn(3, 6, INPUTS, generator=rng) * 3
    before = agents.online.state()[1]

    def moved() -> bool:
        return any(not torch.equal(view, before.views[name]) for name, view in agents.online.buffers.views.items())

    expected = agents.online(x, "batch" if mode in ("train", "batch") else "eval").argmax(-1)
    assert torch.equal(agents.greedy(x), expected)
    assert not moved()
    assert torch.equal(agents.act(x), expected)
    assert moved() == (mode in ("train", "track"))


def test_a_single_row_normalized_by_itself_has_xhat_0(rng):
    """Only beta goes on: the action is the same whatever is seen. The running mean follows, the variance fades."""
    agents = agents_of("batch", "naive", {"batch_of_one": True})
    agents.update(transitions(rng))
    beta = agents.online.parameters.views["norm2.bias"]
    output = {name: agents.online.parameters.views[f"output.{name}"] for name in ("weight", "bias")}
    expected = ((output["weight"] @ beta.relu().unsqueeze(-1)).squeeze(-1) + output["bias"]).argmax(-1, keepdim=True)
    var = agents.online.buffers.views["norm1.running_var"].clone()
    for _ in range(3):
        assert torch.equal(agents.act(torch.randn(3, 1, INPUTS, generator=rng) * 5), expected)
    torch.testing.assert_close(agents.online.buffers.views["norm1.running_var"], var * 0.9**3)
    loss, _ = agents.update(transitions(rng, batch=1))
    assert loss.isfinite().all()


FINE: Modes = {
    "recipe": "supervised", "modes": None, "double": False, "target_every": 500,
    "couples_batch": True, "envs": 10, "batch": 128,
}  # fmt: skip
REFUSED: list[tuple[Modes, str]] = [
    ({"recipe": "supervise"}, "unknown recipe 'supervise'. Did you mean 'supervised'?"),
    ({"modes": {"actin": "eval"}}, "unknown field of a recipe 'actin'. Did you mean 'acting'?"),
    ({"modes": {"acting": "evil"}}, "unknown value of modes['acting'] 'evil'. Did you mean 'eval'?"),
    ({"modes": {"joint": "yes"}}, "unknown value of modes['joint'] 'yes'. Expected one of: False, True."),
    ({"modes": {"statistics": "copy"}}, "unknown value of modes['statistics'] 'copy'. Did you mean 'copied'?"),
    ({"modes": {"joint": True, "online": "eval"}}, "a joint batch needs batch statistics: online must be"),
    (
        {"modes": {"joint": True, "successor": "eval"}},
        "successor has no effect: in a joint batch s' has the mode of online",
    ),
    ({"modes": {"successor": "train"}}, "successor has no effect: its pass is made only with double"),
    ({"double": True, "target_every": None}, "double Q-learning needs a target network"),
    ({"modes": {"target": "train"}, "target_every": None}, "the recipe's target has no effect without a target"),
    ({"modes": {"statistics": "own"}, "target_every": None}, "the recipe's statistics has no effect without"),
    ({"batch": 1}, "online in mode 'train' takes batch statistics, of a single observation with a batch of 1"),
    ({"recipe": "naive", "envs": 1}, "acting in mode 'train' takes batch statistics, of a single observation with one"),
    ({"recipe": "own-statistics", "batch": 1, "modes": {"online": "eval"}}, "target in mode 'track' takes batch"),
]


@pytest.mark.parametrize(("setting", "sentence"), REFUSED, ids=str)
def test_what_a_recipe_cannot_do_is_one_sentence(setting, sentence):
    (found,) = recipe_errors(**{**FINE, **setting})
    assert found.startswith(sentence)
    assert found.endswith(".")


@pytest.mark.parametrize(
    "setting",
    [
        *({"recipe": name} for name in RECIPES),
        {"recipe": "naive", "envs": 1, "couples_batch": False},
        {"recipe": "naive", "envs": 1, "batch": 1, "modes": {"batch_of_one": True}},
        {"recipe": "joint", "batch": 1, "target_every": None},
        {"batch": 1, "modes": {"online": "eval"}},
        {"modes": {"successor": "train"}, "double": True},
        {"modes": {"successor": "train", "joint": False}, "recipe": "joint", "target_every": None},
    ],
    ids=str,
)
def test_what_it_can_do_is_not_refused(setting):
    assert list(recipe_errors(**{**FINE, **setting})) == []


def test_all_that_is_wrong_is_said_at_once():
    modes = {"joint": True, "online": "eval", "successor": "eval", "acting": "train", "target": "train"}
    found = list(recipe_errors(**{**FINE, "modes": modes, "envs": 1, "double": True, "target_every": None}))
    assert len(found) == 5
