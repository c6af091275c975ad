"""What a unit's id depends on, what claims share, and which units a part comes to."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

import rlnorm
from rlnorm import compiling
from rlnorm.api import find_claims
from rlnorm.study import adhoc, discover, plan
from rlnorm.study.assess import Asked, units
from rlnorm.study.claim import DQN, Arm, Effect
from rlnorm.study.judge import Question
from rlnorm.study.plan import Unit, arm_need, source_hash, training_unit
from rlnorm.study.store import Store


class TestId:
    def test_is_the_same_for_the_same_work(self):
        assert tiny.unit().id == tiny.unit().id
        assert tiny.unit(label="other words").id == tiny.unit().id

    def test_a_default_is_the_same_said_or_not(self):
        assert tiny.unit(place="before").id == tiny.unit().id
        assert tiny.unit().settings["place"] == "before"

    @pytest.mark.parametrize(
        "other",
        [
            {"seed": 1},
            {"rate": 0.06},
            {"steps": 4},
            {"hidden": (9,)},
            {"norm": "layer"},
            {"place": "after"},
            {"train_size": 33},
        ],
        ids=str,
    )
    def test_changes_with_everything_that_decides_the_rows(self, other: dict[str, object]):
        changed = tiny.unit(**other)  # pyright: ignore[reportArgumentType]
        assert changed.id != tiny.unit().id
        assert changed.question != tiny.unit().question

    def test_changes_with_the_order_of_members(self):
        first, second = (training_unit("supervised", tiny.SETTINGS, s, [0.1, 0.1], 3, "") for s in ([1, 2], [2, 1]))
        assert first.id != second.id

    def test_changes_with_the_engine(self):
        assert len({Unit(engine, {}, (0,), (0.1,), 3, "").id for engine in ("dqn", "supervised")}) == 2

    @pytest.mark.parametrize("library", ["torch", "numpy", "gymnasium"])
    def test_changes_with_the_version_of_a_library_and_the_question_does_not(
        self, library: str, monkeypatch: pytest.MonkeyPatch
    ):
        before = tiny.unit()
        known = (before.id, before.question)
        newer = {**plan.versions(), library: "99.0"}
        monkeypatch.setattr(plan, "versions", lambda: newer)
        assert tiny.unit().id != known[0]
        assert tiny.unit().question == known[1]

    def test_changes_with_the_sources_and_the_question_does_not(self, monkeypatch: pytest.MonkeyPatch):
        known = (tiny.unit().id, tiny.unit().question)
        monkeypatch.setattr(plan, "source_hash", lambda engine, files: "changed")
        assert tiny.unit().id != known[0]
        assert tiny.unit().question == known[1]

    def test_changes_with_eager_or_compiled_and_the_question_does_not(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(compiling, "available", lambda: True)
        compiled = tiny.unit(steps=plan.COMPILE_FROM)
        monkeypatch.setattr(compiling, "available", lambda: False)
        eager = tiny.unit(steps=plan.COMPILE_FROM)
        assert (compiled.settings["compile"], eager.settings["compile"]) == (True, False)
        assert compiled.id != eager.id
        assert compiled.question == eager.question

    def test_short_work_is_not_compiled(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(compiling, "available", lambda: True)
        assert not tiny.unit(steps=plan.COMPILE_FROM - 1).settings["compile"]

    def test_the_claims_wording_decides_nothing(self, tmp_path: Path):
        ids = set()
        for statement in ("Of tiny", "In other words"):
            path = tiny.effect(tmp_path)
            path.write_text(path.read_text().replace("Of tiny", statement).replace('"nowhere"', f'"{statement}"'))
            folder = tmp_path / statement
            folder.mkdir()
            found = discover.by_path(shutil.copy(path, folder))
            assert found.claim.statement.startswith(statement)
            ids.add(tuple(unit.id for unit in units([Asked(found, "smoke")], Store(tmp_path))))
        assert len(ids) == 1

    def test_of_a_norm_of_ones_own_depends_on_its_text_and_not_on_its_folder(self, tmp_path: Path):
        texts = {"a": "x = 1\n", "b": "x = 1\n", "c": "x = 2\n"}
        paths = {name: tmp_path / name / "mine.py" for name in texts}
        for name, path in paths.items():
            path.parent.mkdir()
            path.write_text(texts[name])
        found = {name: tiny.unit(norm=str(path)) for name, path in paths.items()}
        assert found["a"].id == found["b"].id != found["c"].id
        assert found["a"].settings["norm"] == str(paths["a"])
        assert str(tmp_path) not in str(found["a"].header())

    def test_of_an_exact_part_depends_on_the_text_of_its_claim_and_helpers(self, tmp_path: Path):
        def ids() -> str:
            source_hash.cache_clear()
            return Unit("exact", {"part": "p"}, (0,), (), 10, "", (path,)).id

        path, helper = tmp_path / "mine.py", tmp_path / "_helper.py"
        found = []
        for file, text in ((path, "x = 1"), (helper, "y = 1"), (helper, "y = 2"), (path, "x = 2")):
            file.write_text(text)
            found.append(ids())
        (tmp_path / "another_claim.py").write_text("z = 1")
        assert len(set(found)) == 4
        assert ids() == found[-1]


class TestSources:
    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
        """A small package that stands for rlnorm, in a folder of any name."""

        def make(folder: str) -> Path:
            root = tmp_path / folder / "rlnorm"
            for name in ("nn/a.py", "nn/deep/b.py", "dqn/c.py", "supervised/d.py", "networks.py", "study/words.py"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(f"# {name}\n")
            monkeypatch.setattr(rlnorm, "__file__", str(root / "__init__.py"))
            return root

        yield make
        source_hash.cache_clear()

    def hashes(self) -> dict[str, str]:
        source_hash.cache_clear()
        return {engine: source_hash(engine) for engine in ("dqn", "supervised")}

    @pytest.mark.parametrize(
        ("file", "changed"),
        [
            ("nn/a.py", {"dqn", "supervised"}),
            ("nn/deep/b.py", {"dqn", "supervised"}),
            ("networks.py", {"dqn", "supervised"}),
            ("dqn/c.py", {"dqn"}),
            ("supervised/d.py", {"supervised"}),
            ("study/words.py", set()),
            ("nn/new.py", {"dqn", "supervised"}),
        ],
    )
    def test_each_engine_has_its_own(self, package: Callable[[str], Path], file: str, changed: set[str]):
        root = package("here")
        before = self.hashes()
        with (root / file).open("a") as text:
            text.write("x = 1\n")
        after = self.hashes()
        assert {engine for engine in after if after[engine] != before[engine]} == changed

    def test_a_file_that_moved_is_another(self, package: Callable[[str], Path]):
        root = package("here")
        before = self.hashes()
        (root / "nn/deep/b.py").rename(root / "nn/b.py")
        assert self.hashes() != before

    def test_where_the_package_lies_decides_nothing(self, package: Callable[[str], Path]):
        package("here")
        here = self.hashes()
        package("elsewhere")
        assert self.hashes() == here

    def test_every_source_that_is_named_exists(self):
        root = Path(rlnorm.__file__).parent
        missing = [name for names in plan.SOURCES.values() for name in names if not (root / name).exists()]
        assert set(missing) <= {"textbook.py"}  # a module or a package, whichever it is
        assert (root / "textbook").exists()


class TestSharing:
    def test_ln_and_bn_in_dqn_share_their_reference_and_their_planted_arm(self, tmp_path: Path):
        claims = find_claims()
        parts = {"dqn-ln": "CartPole-v1, common rate", "dqn-bn": "CartPole-v1, supervised, common rate"}
        asked = [Asked(claims[name], "smoke", (part,)) for name, part in parts.items()]
        alone = [{unit.id: unit for unit in units([one], Store(tmp_path))} for one in asked]
        shared = [alone[0][each].settings for each in alone[0].keys() & alone[1].keys()]
        assert [len(found) for found in alone] == [3, 3]
        assert len(units(asked, Store(tmp_path))) == 4
        assert {(each["norm"], each["train_every"]) for each in shared} == {("none", 10), ("none", 50)}

    def test_a_question_of_ones_own_shares_with_claims(self, tmp_path: Path):
        claims = find_claims()
        own = adhoc.compare("Acrobot-v1", ["none", "layer"], 16, 50_000)
        ours = {unit.id for unit in units([own], Store(tmp_path))}
        theirs = {unit.id for unit in units([Asked(claims["dqn-ln"], "full")], Store(tmp_path))}
        assert len(ours) == 2
        assert ours <= theirs


EXPERIMENT = DQN(steps={"smoke": 2_000, "quick": 3_000, "full": 4_000}, env="CartPole-v1", starts=100, lr=1e-3)
ARMS = {"none": Arm(), "layer": Arm(norm="layer")}
QUESTION = Question("superior", "layer", "none", 0.05)
RATES = (1e-3, 1e-2)


class TestPartsBecomeUnits:
    def test_at_the_common_rate_an_arm_is_its_blocks(self):
        part = Effect(EXPERIMENT, ARMS, "return_auc", QUESTION)
        need = arm_need("claim, part", part, "layer", "quick", 40, lambda *_: pytest.fail("nothing to choose"))
        assert need.select == ()
        assert need.rate == 1e-3
        assert need.judge is not None
        assert [unit.seeds for unit in need.judge] == [tuple(range(8, 24)), tuple(range(24, 40)), tuple(range(40, 48))]
        assert {unit.rates for unit in need.judge} == {(1e-3,) * 16, (1e-3,) * 8}
        assert {(unit.steps, unit.settings["norm"]) for unit in need.judge} == {(3_000, "layer")}
        assert "lr" not in need.judge[0].settings
        assert need.judge[0].label == "claim, part: layer, seeds 8-23"

    def test_an_own_best_rate_is_chosen_on_other_seeds_before_it_is_judged(self):
        part = Effect(EXPERIMENT, ARMS, "return_auc", QUESTION, rates=RATES)
        first = arm_need("c", part, "none", "smoke", 8, lambda *_: None)
        assert first.judge is None
        (select,) = first.select
        assert list(zip(select.seeds, select.rates)) == [(seed, rate) for seed in range(8) for rate in RATES]
        second = arm_need("c", part, "none", "smoke", 8, lambda *_: 1e-2)
        assert second.select[0].id == select.id
        assert second.judge is not None
        assert [(unit.seeds, set(unit.rates)) for unit in second.judge] == [(tuple(range(8, 16)), {1e-2})]
        assert not set(select.seeds) & set(second.judge[0].seeds)

    @pytest.mark.parametrize("grid", [False, True])
    def test_units_over_many_rates_hold_no_more_agents_than_others(self, grid: bool):
        rates = tuple(10.0**-k for k in range(5))
        part = Effect(EXPERIMENT, ARMS, "return_auc", QUESTION, rates=rates, grid=grid)
        need = arm_need("c, p", part, "none", "smoke", 8, lambda *_: None)
        found, first = (list(need.judge or ()), 8) if grid else (list(need.select), 0)
        assert [len(unit.seeds) for unit in found] == [15, 15, 10]
        members = [member for unit in found for member in zip(unit.seeds, unit.rates, strict=True)]
        assert members == [(first + seed, rate) for seed in range(8) for rate in rates]
        assert found[2].label == f"c, p: none, 5 rates, seeds {first + 6}-{first + 7}"

    def test_a_planted_arm_takes_the_rate_of_the_reference(self):
        arms, asked = {**ARMS, "worse": Arm(train_every=50)}, replace(QUESTION, planted="worse")
        part = Effect(EXPERIMENT, arms, "return_auc", asked, rates=RATES)
        chosen = {"none": 1e-2, "layer": 1e-3}

        def choose(part: Effect, units: Sequence[Unit]) -> float:
            (unit,) = units
            assert unit.settings["train_every"] == EXPERIMENT.settings.get("train_every", 10)
            return chosen[str(unit.settings["norm"])]

        found = {arm: arm_need("c", part, arm, "smoke", 8, choose) for arm in arms}
        assert {arm: need.rate for arm, need in found.items()} == {"none": 1e-2, "layer": 1e-3, "worse": 1e-2}
        assert found["worse"].select[0].id == found["none"].select[0].id
        judge = found["worse"].judge
        assert judge is not None
        assert [(unit.settings["train_every"], set(unit.rates)) for unit in judge] == [(50, {1e-2})]

    def test_a_grid_is_judged_at_every_rate_at_once(self):
        part = Effect(EXPERIMENT, ARMS, "return_auc", QUESTION, rates=RATES, grid=True)
        need = arm_need("c", part, "none", "smoke", 3, lambda *_: pytest.fail("nothing to choose"))
        assert need.select == ()
        assert need.judge is not None
        (unit,) = need.judge
        assert list(zip(unit.seeds, unit.rates)) == [(seed, rate) for seed in range(8, 16) for rate in RATES]
        later = arm_need("c", replace(part, judged_from=24), "none", "smoke", 3, lambda *_: None).judge
        assert later is not None
        assert set(later[0].seeds) == set(range(24, 32))

    def test_seeds_are_the_presets_or_as_asked(self, tmp_path: Path):
        found = discover.by_path(tiny.effect(tmp_path))
        for seeds, expected in ((None, 8), (3, 3)):
            planned = units([Asked(found, "smoke", seeds=seeds)], Store(tmp_path))
            assert {unit.seeds for unit in planned} == {tuple(range(8, 8 + expected))}

    def test_selection_is_the_same_however_many_are_judged(self, tmp_path: Path):
        found = discover.by_path(tiny.effect(tmp_path, more=", rates=(0.01, 0.1)"))
        planned = [units([Asked(found, "smoke", seeds=seeds)], Store(tmp_path)) for seeds in (2, 3)]
        assert [unit.id for unit in planned[0]] == [unit.id for unit in planned[1]]
        assert {unit.seeds for unit in planned[0]} == {tuple(s for s in range(8) for _ in range(2))}
