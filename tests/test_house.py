"""The house keeps its shape: layers, lengths, a test for every module, the catalogue's claims, no hidden randomness."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from rlnorm.api import find_claims

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rlnorm"
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
TESTS = {path.relative_to(ROOT / "tests").as_posix(): path for path in sorted((ROOT / "tests").rglob("*.py"))}

# From the lowest up; a file imports from its own package and from what stands before it.
LAYERS = (
    ("errors", "compiling"),
    ("nn", "textbook", "stats"),
    ("probes",),
    ("networks", "optimizers"),
    ("population", "tasks"),
    ("supervised", "dqn", "sb3", "doctor"),
    ("study",),
    ("claims",),
    ("api",),
    ("cli",),
)
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}


def imported(text: str) -> set[str]:
    """Every module that a file imports anywhere in it, names imported from a package counted as its modules."""
    found = set[str]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            found |= {f"{node.module}.{name.name}" for name in node.names} | {node.module or ""}
    return found


def climbs(package: str, text: str) -> list[str]:
    """What a file of `package` (a folder or a module of rlnorm) imports from above, or from beside it."""
    parts = [name.split(".") for name in imported(text)]
    outside = {".".join(each) for each in parts if each[0] in ("runs", "scripts", "tests")}
    inside = {each[1] for each in parts if each[0] == "rlnorm" and len(each) > 1}
    above = {name for name in inside & HEIGHT.keys() if name != package and HEIGHT[name] >= HEIGHT[package]}
    return sorted(outside | above)


class TestLayers:
    @pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__.py"])
    def test_a_file_imports_from_below(self, module: str):
        assert climbs(module.removesuffix(".py").split("/")[0], MODULES[module].read_text()) == []

    def test_every_package_has_a_layer(self):
        assert {name.removesuffix(".py").split("/")[0] for name in MODULES} - {"__init__"} <= set(HEIGHT)

    def test_the_door_of_the_package_imports_only_when_asked(self):
        body = ast.parse(MODULES["__init__.py"].read_text()).body
        assert not [
            node for node in body if isinstance(node, ast.Import | ast.ImportFrom) and "rlnorm" in ast.unparse(node)
        ]

    @pytest.mark.parametrize(
        ("package", "line", "said"),
        [
            ("nn", "from rlnorm.study import plan", ["study"]),
            ("nn", "from rlnorm import networks", ["networks"]),
            ("dqn", "import rlnorm.supervised.train", ["supervised"]),
            ("study", "def f():\n    from rlnorm.claims import dqn_ln", ["claims"]),
            ("study", "from runs.study import x", ["runs.study", "runs.study.x"]),
            ("cli", "import scripts.bench_dqn", ["scripts.bench_dqn"]),
            ("study", "from rlnorm.nn import NORMS\nimport rlnorm\nimport numpy", []),
            ("study", "from rlnorm.study.plan import Unit", []),
        ],
    )
    def test_a_climb_is_noticed(self, package: str, line: str, said: list[str]):
        assert climbs(package, line) == said


class TestLengths:
    # These measure, calibrate or draw for the documentation; they are no doors to the package.
    LONGER = ("bench_", "calibrate_")

    @pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
    def test_scripts_are_thin(self, path: Path):
        limit = 400 if path.name.startswith(self.LONGER) else 40
        assert len(path.read_text().splitlines()) <= limit

    def test_no_file_is_longer_than_400_lines(self):
        lengths = {path: len(path.read_text().splitlines()) for path in [*MODULES.values(), *SCRIPTS, *TESTS.values()]}
        assert len(lengths) > 100
        assert {path.name: length for path, length in lengths.items() if length > 400} == {}


# Modules whose test has another name, or that are tested with another. Norms (files with a NORM) run under the laws of
# every norm; `__init__.py` files hold names alone.
TESTED_IN = {
    "dqn/errors.py": "dqn/test_dqn_errors.py",
    "dqn/records.py": "dqn/test_loop.py",
    "dqn/train.py": "dqn/test_loop.py",
    "nn/_autograd.py": "nn/test_laws.py",
    "nn/_channels.py": "nn/test_laws.py",
    "nn/_require.py": "nn/test_bad_input.py",
    "nn/_standardize.py": "nn/test_laws.py",
    "nn/_wrap.py": "nn/test_weight.py",
    "nn/check.py": "nn/test_laws.py",
    "nn/dropout.py": "nn/test_self_normalizing.py",
    "nn/functional.py": "nn/test_torch_cases.py",
    "nn/selu.py": "nn/test_self_normalizing.py",
    "sb3/insert.py": "sb3/test_extractors.py",
    "sb3/passes.py": "sb3/test_actor_critic.py",
    "study/bands.py": "study/test_tensorboard.py",
    "study/cases.py": "claims/test_exact_claims.py",
    "study/events.py": "study/test_tensorboard.py",
    "study/fidelity.py": "dqn/test_fidelity.py",
    "study/results.py": "study/test_table.py",
    "study/settings.py": "claims/test_effect_claims.py",
    "study/words.py": "study/test_table.py",
    "supervised/train.py": "supervised/test_supervised.py",
}


def untested(modules: Mapping[str, str], tests: Iterable[str], elsewhere: Mapping[str, str]) -> Iterator[str]:
    """Modules (name -> text) for which no test file stands: at their own place, for their package, or elsewhere."""
    stand = set(tests)
    for name, text in modules.items():
        folder, _, file = name.rpartition("/")
        package, _, last = folder.rpartition("/")
        own = [f"{folder}/test_{file}", f"{package}/test_{last}.py" if folder else ""]
        places = [elsewhere.get(name, ""), *(place.lstrip("/") for place in own)]
        if file != "__init__.py" and "\nNORM = " not in text and not stand & set(places):
            yield name


class TestEveryModuleIsTested:
    def test_in_its_own_file_or_where_it_is_said(self):
        modules = {name: path.read_text() for name, path in MODULES.items() if not name.startswith("claims/")}
        assert list(untested(modules, TESTS, TESTED_IN)) == []

    def test_and_every_claim_under_the_laws_of_its_kind(self):
        kinds = {part.kind for found in find_claims().values() for part in found.claim.parts.values()}
        assert {f"claims/test_{kind}_claims.py" for kind in kinds} <= set(TESTS)

    def test_the_list_of_exceptions_is_needed_and_true(self):
        assert set(TESTED_IN) <= set(MODULES)
        assert set(TESTED_IN.values()) <= set(TESTS)
        assert list(untested(dict.fromkeys(TESTED_IN, ""), TESTS, {})) == list(TESTED_IN)

    def test_a_module_without_a_test_is_noticed(self):
        modules = {"a.py": "", "nn/b.py": "", "nn/c.py": "x\nNORM = 1", "study/report/d.py": "", "study/e.py": ""}
        assert list(untested(modules, [], {})) == ["a.py", "nn/b.py", "study/report/d.py", "study/e.py"]
        assert (
            list(
                untested(modules, ["test_a.py", "nn/test_b.py", "study/test_report.py", "f.py"], {"study/e.py": "f.py"})
            )
            == []
        )


CATALOGUE = {
    "exact": """
        bn-forward:N0N1N3N4 bn-affine-moments:N2 bn-grad-affine:N0 bn-grad-variance:N1 bn-grad-mean:N1 bn-grad-input:N1
        bn-grad-input-short:N0 linear-grad:N0 bn-bias-redundant:N2N4 bn-identity:N3 bn-folds:N4 bn-weight-scale:N4
        bn-affine-after-activation:N0 bn-conv-axes:N4 bn-ema:N2N3N4 bn-permutation:N0 bn-coupling:N0 bn-gaussian:N3
        bn-zero-one:N4 relu-saturates:N0N1 ln-batch-free:N4 wn-decouples:N4 wn-mean:N4 selu-fixed-point:N4""",
    "cost": "bn-cost:N0N4 ln-bn-cost-dqn: batch-throughput:N4 bn-memory:N4",
    "effect": """
        bn-speed:N0N1N2N3N4 bn-stability:N0N1N2 bn-overfit:N0N3N4 bn-init:N0N1N3N4 bn-gradients:N1N3 bn-depth:N1
        bn-input-drift:N1N2N3N4 bn-drift-is-why:N1N2N3 bn-landscape:N1 bn-rates:N2N4 bn-search:N2 input-scaling:N2N4
        bn-noise-batch:N2 bn-speed-not-regularizer:N2 bn-small-batch:N3N4 bn-eval-stable:N0N2 bn-ema-details:N2
        bn-placement:N3N4 bn-relu:N0 bn-scale-shift-only:N0 bn-learns-identity:N3 bn-affine:N2N3 bn-vs-dropout:N3N4
        minibatch-noise:N4 batch-outputs-differ:N4 covariate-shift:N2N4 ln-recurrent:N4 wn-mobn:N4 selu-when-no-bn:N4
        optimizers-train-affine:N2 dqn-ln:N0 dqn-bn:N0 dqn-modes:N0N2N3N4 dqn-joint-batch: dqn-drift:N0N1
        dqn-batch:N3N4 dqn-no-target: dqn-league:N4 dqn-rates:N2N4 dqn-inputs:N2 dqn-placement:N3N4
        dqn-plasticity:N1""",
}
LISTED = {
    entry.split(":")[0]: (kind, {f"N{digit}" for digit in entry.split(":")[1].replace("N", "")})
    for kind, entries in CATALOGUE.items()
    for entry in entries.split()
}


class TestCatalogue:
    def test_has_seventy_claims(self):
        assert len(LISTED) == 70

    @pytest.mark.parametrize("claim", find_claims())
    def test_holds_every_claim_with_its_kind_and_notes(self, claim: str):
        found = find_claims()[claim].claim
        assert (found.kind, set(found.notes)) == LISTED[claim]

    def test_every_claim_file_is_found_under_its_name(self):
        files = [path.stem.replace("_", "-") for path in (PACKAGE / "claims").glob("[!_]*.py")]
        assert sorted(files) == list(find_claims())


DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}
IN_PLACE = {"uniform_", "normal_", "bernoulli_", "random_", "exponential_"}
SEEDS = {"torch.manual_seed", "torch.seed", "torch.set_rng_state"}
CONSTANT = {"zeros_", "ones_", "constant_", "eye_"}


def hidden_draws(text: str) -> list[str]:
    """Calls that draw from, or seed, a stream of random numbers that nobody handed over; a fork's are allowed."""
    tree = ast.parse(text)
    forks = [node for node in ast.walk(tree) if isinstance(node, ast.With) and "fork_rng" in ast.unparse(node.items[0])]
    allowed = {id(inner) for fork in forks for inner in ast.walk(fork)}
    found = [name for name in imported(text) if name.split(".")[0] == "random"]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or id(node) in allowed:
            continue
        called = ast.unparse(node.func)
        last = called.rpartition(".")[2]
        initializes = "init." in called and last.endswith("_") and last not in CONSTANT
        draws = called in {f"torch.{name}" for name in DRAWS} or last in IN_PLACE or initializes
        given = any(keyword.arg in ("generator", None) for keyword in node.keywords)
        if called in SEEDS or (draws and not given):
            found.append(called)
    return sorted(set(found))


# Drop-in for torch's modules, whose constructors draw from torch's own stream.
AS_TORCH = ("nn/recurrent.py",)


class TestRandomness:
    @pytest.mark.parametrize("module", [name for name in MODULES if name not in AS_TORCH])
    def test_comes_from_a_generator_that_was_handed_over(self, module: str):
        assert hidden_draws(MODULES[module].read_text()) == []

    @pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
    def test_in_scripts_too(self, script: Path):
        assert hidden_draws(script.read_text()) == []

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("import random", ["random"]),
            ("from random import choice", ["random", "random.choice"]),
            ("torch.manual_seed(0)", ["torch.manual_seed"]),
            ("x = torch.randn(3)", ["torch.randn"]),
            ("x.uniform_(0, 1)", ["x.uniform_"]),
            ("nn.init.kaiming_uniform_(w)", ["nn.init.kaiming_uniform_"]),
            ("x = torch.randn(3, generator=g)\nnn.init.zeros_(w)\ng.manual_seed(1)\nrng.normal(3)", []),
            ("with torch.random.fork_rng(devices=()):\n    torch.manual_seed(0)\n    torch.rand(2)", []),
        ],
    )
    def test_a_hidden_draw_is_noticed(self, line: str, said: list[str]):
        assert hidden_draws(line) == said


def unindexed(index: str, pages: Iterable[str], claims: Iterable[str]) -> set[str]:
    """Pages that the index does not link, and claims on DQN that it does not name, run or not."""
    named = {word.strip("[]().,:|").partition("]")[0] for word in index.split()}
    return {page for page in pages if f"({page})" not in index} | (set(claims) - named)


def test_kept_results_have_an_index_that_is_complete():
    folder = ROOT / "docs/results"
    index = (folder / "README.md").read_text("utf-8")
    pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
    claims = {name for name in find_claims() if name.startswith("dqn-") or name == "ln-bn-cost-dqn"}
    assert len(claims) == 13
    assert unindexed(index, pages, claims) == set()
    assert unindexed(index.replace("dqn-rates", ""), pages | {"new.md"}, claims) == {"new.md", "dqn-rates"}
