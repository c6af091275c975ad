"""The house keeps its shape: rooms, no circles, a test for every module, the catalogue's claims, no hidden randomness.

One test per rule; each lists every offender.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from rlnorm.study.claim.load import shipped
from rlnorm.study.plan.sources import imported_names

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rlnorm"
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
TESTS = {path.relative_to(ROOT / "tests").as_posix(): path for path in sorted((ROOT / "tests").rglob("*.py"))}

# From the lowest up. A file imports from its own room and from rooms on lower lines, nothing else.
ROOMS = (
    ("errors", "stops"),
    ("arguments", "compiling", "config", "files", "loading"),
    ("nn", "textbook", "stats"),
    ("probes",),
    ("networks", "optimizers"),
    ("population", "tasks"),
    ("supervised", "dqn"),
    ("sb3", "doctor"),
    ("study.claim",),
    ("study.plan",),
    ("study.run",),
    ("study.judge",),
    ("study.report",),
    ("study.study", "study.forecast"),
    ("claims", "validation"),
    ("api",),
    ("asking", "showing", "filming"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
HEIGHT = {name: height for height, names in enumerate(ROOMS) for name in names}


def module_name(path: str) -> str:
    """rlnorm/nn/batch.py -> nn.batch; rlnorm/nn/__init__.py -> nn."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def room_of(module: str) -> str | None:
    """The room of a module of rlnorm, by its name without `rlnorm.`; None where it has none."""
    parts = module.split(".")
    named = (".".join(parts[:length]) for length in (2, 1))
    return next((room for room in named if room in HEIGHT), None)


def climbs(module: str, text: str) -> list[str]:
    """What a module imports from a room above its own or beside it, or from outside the package's house."""
    found, own = set[str](), room_of(module)
    for name in imported_names(ast.parse(text)):
        top, _, inside = name.partition(".")
        if top in ("runs", "scripts", "tests"):
            found.add(name)
        room = room_of(inside) if top == "rlnorm" else None
        if room and own and room != own and HEIGHT[room] >= HEIGHT[own]:
            found.add(room)
    return sorted(found)


def circle(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """The modules of one circle of imports, in order; empty where there is none."""
    done, path = set[str](), list[str]()

    def visit(module: str) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return []
        path.append(module)
        for each in imports.get(module, ()):
            if found := visit(each):
                return found
        path.pop()
        done.add(module)
        return []

    return next((found for module in imports if (found := visit(module))), [])


def imports_between(modules: Mapping[str, str]) -> dict[str, list[str]]:
    """module -> the modules that it imports, all without `rlnorm.`; names taken from a package count as the package."""
    found: dict[str, list[str]] = {}
    for module, text in modules.items():
        names = {name.removeprefix("rlnorm.") for name in imported_names(ast.parse(text)) if name.startswith("rlnorm.")}
        # `from room import module` means the module, not the room's __init__.
        packages = {name.rpartition(".")[0] for name in names if name in modules}
        found[module] = sorted((names & modules.keys()) - (packages - _taken(text, modules)) - {module})
    return found


def _taken(text: str, modules: Mapping[str, str]) -> set[str]:
    """The packages from which a name that is no module is imported."""
    return {
        node.module.removeprefix("rlnorm.")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rlnorm.")
        for name in node.names
        if f"{node.module}.{name.name}".removeprefix("rlnorm.") not in modules
    }


class TestRooms:
    def test_a_file_imports_from_its_own_room_and_from_rooms_below(self):
        # The door of the package, `rlnorm/__init__.py`, and that of `study` stand in no room.
        found = {name: climbs(module_name(name), path.read_text("utf-8")) for name, path in MODULES.items()}
        assert {name: above for name, above in found.items() if above} == {}

    def test_every_module_stands_in_a_room(self):
        assert [name for name in MODULES if not room_of(module_name(name))] == ["__init__.py", "study/__init__.py"]

    def test_every_room_has_a_docstring_that_says_what_it_is_for(self):
        folders = {path.parent for path in MODULES.values()}
        inits = {folder: folder / "__init__.py" for folder in folders}
        assert [folder.name for folder, init in inits.items() if not init.is_file()] == []
        texts = {folder.name: ast.get_docstring(ast.parse(init.read_text("utf-8"))) for folder, init in inits.items()}
        assert [name for name, text in texts.items() if not text or not text.split("\n")[0].endswith((".", "?"))] == []

    def test_no_module_imports_itself_through_others(self):
        texts = {module_name(name): path.read_text("utf-8") for name, path in MODULES.items() if name != "__init__.py"}
        assert circle(imports_between(texts)) == []

    def test_the_doors_import_only_when_asked(self):
        for door in ("__init__.py", "study/__init__.py"):
            body = ast.parse(MODULES[door].read_text("utf-8")).body
            assert [
                each for each in body if isinstance(each, ast.Import | ast.ImportFrom) and "rlnorm" in ast.unparse(each)
            ] == []

    @pytest.mark.parametrize(
        ("module", "line", "said"),
        [
            ("nn.batch", "from rlnorm.study.plan import Unit", ["study.plan"]),
            ("nn.batch", "from rlnorm import networks", ["networks"]),
            ("dqn.train", "import rlnorm.supervised.train", ["supervised"]),
            ("study.claim.load", "def f():\n    from rlnorm.claims import dqn_ln", ["claims"]),
            ("study.claim.load", "from rlnorm.study.run import Store", ["study.run"]),
            (
                "study.judge.rules",
                "from rlnorm.study import report\nimport rlnorm.study.study",
                ["study.report", "study.study"],
            ),
            ("study.report.csv", "from runs.study import x", ["runs.study", "runs.study.x"]),
            ("cli", "import scripts.bench_dqn", ["scripts.bench_dqn"]),
            ("study.run.pool", "from rlnorm.nn import NORMS\nimport rlnorm\nimport numpy", []),
            ("study.plan.plan", "from rlnorm.study.plan.unit import Unit", []),
        ],
    )
    def test_a_climb_is_noticed(self, module: str, line: str, said: list[str]):
        assert climbs(module, line) == said

    def test_a_circle_is_noticed(self):
        modules = {
            "a": "import rlnorm.b",
            "b": "from rlnorm.c import d",
            "c": "",
            "c.d": "def f():\n    import rlnorm.a",
        }
        assert circle(imports_between(modules)) == ["a", "b", "c.d"]
        assert circle(imports_between({**modules, "c.d": ""})) == []


# Modules whose test has another name, or that are tested with another. Norms (files with a NORM) run under the laws of
# every norm; `__init__.py` files hold names alone.
TESTED_IN = {
    "__main__.py": "test_cli.py",
    "asking.py": "test_cli.py",
    "dqn/records.py": "dqn/test_loop.py",
    "dqn/settings.py": "dqn/test_dqn_settings.py",
    "dqn/train.py": "dqn/test_loop.py",
    "nn/_affine.py": "nn/test_laws.py",
    "nn/_autograd.py": "nn/test_laws.py",
    "nn/_averages.py": "nn/test_laws.py",
    "nn/_channels.py": "nn/test_laws.py",
    "nn/_copy.py": "nn/test_fold.py",
    "nn/_dimensions.py": "nn/test_convert.py",
    "nn/_require.py": "nn/test_bad_input.py",
    "nn/_standardize.py": "nn/test_laws.py",
    "nn/_standardize_fast.py": "nn/test_standardize.py",
    "nn/_torch.py": "nn/test_private.py",
    "nn/_wrap.py": "nn/test_weight.py",
    "nn/check.py": "nn/test_laws.py",
    "nn/dropout.py": "nn/test_self_normalizing.py",
    "nn/functional.py": "nn/test_torch_cases.py",
    "nn/selu.py": "nn/test_self_normalizing.py",
    "nn/state.py": "nn/test_running.py",
    "sb3/insert.py": "sb3/test_extractors.py",
    "sb3/passes.py": "sb3/test_actor_critic.py",
    "showing.py": "test_cli.py",
    "study/claim/cost.py": "study/run/test_timing.py",
    "study/claim/dqn_setting.py": "claims/test_effect_claims.py",
    "study/claim/exact.py": "study/run/test_exact.py",
    "study/claim/second_setting.py": "claims/test_effect_claims.py",
    "study/claim/question.py": "study/judge/test_rules.py",
    "study/judge/cost.py": "study/run/test_timing.py",
    "study/judge/exact.py": "study/run/test_exact.py",
    "study/judge/results.py": "study/report/test_terminal.py",
    "study/judge/verdict.py": "study/judge/test_rules.py",
    "study/report/confidence_bands.py": "study/report/test_tensorboard.py",
    "study/report/distributions.py": "study/report/test_tensorboard.py",
    "study/report/export.py": "study/report/test_export_of_records.py",
    "study/report/events.py": "study/report/test_tensorboard.py",
    "study/report/korean.py": "study/report/test_language.py",
    "study/report/margins.py": "study/report/test_answers.py",
    "study/report/pictures.py": "study/report/test_tensorboard.py",
    "study/report/notes.py": "study/report/test_language.py",
    "study/report/wording.py": "study/report/test_terminal.py",
    "study/run/progress.py": "study/run/test_pool.py",
    "study/run/remote.py": "study/run/test_shipping.py",
    "study/run/rows.py": "study/run/test_store.py",
    "study/run/trust.py": "study/run/test_history.py",
    "study/run/worker.py": "study/run/test_pool.py",
    "supervised/probing.py": "supervised/test_supervised_probing.py",
    "supervised/settings.py": "supervised/test_supervised_settings.py",
    "supervised/train.py": "supervised/test_supervised.py",
    "tasks/steps.py": "tasks/test_environments.py",
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
        kinds = {part.kind for found in shipped().values() for part in found.claim.parts.values()}
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

    @pytest.mark.parametrize("claim", shipped())
    def test_holds_every_claim_with_its_kind_and_notes(self, claim: str):
        found = shipped()[claim].claim
        listed = LISTED.get(claim)
        assert listed or not found.notes, f"claim {claim!r} of a note is missing in CATALOGUE; add it there"
        assert listed in (None, (found.kind, set(found.notes)))

    def test_every_claim_file_is_found_under_its_name(self):
        files = [path.stem.replace("_", "-") for path in (PACKAGE / "claims").glob("[!_]*.py")]
        assert sorted(files) == list(shipped())


DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}
IN_PLACE = {"uniform_", "normal_", "bernoulli_", "random_", "exponential_"}
SEEDS = {"torch.manual_seed", "torch.seed", "torch.set_rng_state"}
CONSTANT = {"zeros_", "ones_", "constant_", "eye_"}


def hidden_draws(text: str) -> list[str]:
    """Calls that draw from, or seed, a stream of random numbers that nobody handed over; a fork's are allowed."""
    tree = ast.parse(text)
    forks = [node for node in ast.walk(tree) if isinstance(node, ast.With) and "fork_rng" in ast.unparse(node.items[0])]
    allowed = {id(inner) for fork in forks for inner in ast.walk(fork)}
    found = [name for name in imported_names(tree) if name.split(".")[0] == "random"]
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
    def test_comes_from_a_generator_that_was_handed_over(self):
        files = {name: path for name, path in MODULES.items() if name not in AS_TORCH}
        files |= {f"scripts/{path.name}": path for path in SCRIPTS}
        found = {name: hidden_draws(path.read_text("utf-8")) for name, path in files.items()}
        assert {name: draws for name, draws in found.items() if draws} == {}

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
    claims = {name for name in shipped() if name.startswith("dqn-") or name == "ln-bn-cost-dqn"}
    assert len(claims) == 13
    assert unindexed(index, pages, claims) == set()
    assert unindexed(index.replace("dqn-rates", ""), pages | {"new.md"}, claims) == {"new.md", "dqn-rates"}
