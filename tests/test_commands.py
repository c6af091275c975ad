"""Commands that read what is there, and those for norms and claims of one's own."""

from pathlib import Path

import pytest
import tiny
import torch
from tiny import Run

from rlnorm import nn
from rlnorm.study.claim.load import shipped

WORK = """
def some(case):
    return 0.0

more = some
"""


def test_list_shows_every_claim_within_eighty_columns(rlnorm: Run):
    code, out, _ = rlnorm("list")
    assert code == 0
    heads = [line.split("  (")[0] for line in out.splitlines() if line[:1].strip()]
    assert heads == sorted(shipped())
    assert f"dqn-ln  (effect; N0)\n    {shipped()['dqn-ln'].claim.title}\n" in out
    assert all(each.claim.title in out for each in shipped().values())
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("claim", shipped())
def test_show_fits_eighty_columns_and_names_every_part(rlnorm: Run, claim: str):
    code, out, _ = rlnorm("show", claim)
    assert code == 0
    assert out.splitlines()[0] == f"{claim}: {shipped()[claim].claim.title}"
    assert max(map(len, out.splitlines())) <= 80
    text = " ".join(out.split())
    assert all(" ".join(f"* {name} (".split()) in text for name in shipped()[claim].claim.parts)
    assert "<lambda>" not in text
    assert "Question(" not in text


def test_info_says_what_a_report_of_a_fault_needs(rlnorm: Run, tmp_path: Path):
    (tmp_path / "runs/mine").mkdir(parents=True)
    (tmp_path / "runs/mine/study.json").touch()
    code, out, err = rlnorm("info")
    told = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (code, err) == (0, [])
    assert set(told) >= {"rlnorm", "versions", "cores", "devices", "compiler", "ray", "free", "results"}
    assert f"torch {torch.__version__}" in told["versions"]
    assert told["contrib"].startswith("there: ")
    assert told["results"] == "runs/mine"


class TestNew:
    def test_writes_a_claim_and_a_norm_that_work_as_they_are(self, rlnorm: Run, tmp_path: Path):
        code, out, _ = rlnorm("new", "claim", "my-first")
        assert (code, out.splitlines()[1:]) == (
            0,
            ["  rlnorm check-claim my_first.py", "  rlnorm run my_first.py --preset smoke"],
        )
        assert rlnorm("check-claim", "my_first.py")[:2] == (
            0,
            "my-first: LayerNorm helps DQN on CartPole. 1 part, no errors.\n",
        )
        assert rlnorm("run", "my_first.py", "--dry-run")[0] == 0
        assert rlnorm("new", "norm", "half_norm")[0] == 0
        code, out, _ = rlnorm("check-norm", "half_norm.py")
        assert (code, "laws hold" in out, "broken" in out) == (0, True, False)

    def test_overwrites_nothing_and_takes_no_name_that_cannot_be(self, rlnorm: Run, tmp_path: Path):
        (tmp_path / "there.py").write_text("mine")
        said = {
            ("norm", "there"): "'there.py' is there already, and is left as it is.",
            ("claim", "3x"): "'3x' cannot be the name of a module",
            ("claim", "dqn-ln"): "'dqn-ln' is a claim that comes with rlnorm; expected another name.",
            ("clam", "x"): "unknown kind of file 'clam'. Did you mean 'claim'?",
        }
        for words, expected in said.items():
            code, out, err = rlnorm("new", *words)
            assert (code, out, len(err)) == (2, "", 1)
            assert expected in err[0]
        assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


class TestCheckNorm:
    def test_a_norm_that_obeys_every_law(self, rlnorm: Run):
        code, out, _ = rlnorm("check-norm", Path(nn.__file__).parent / "layer_channels.py")
        assert (code, "laws hold" in out, "broken" in out) == (0, True, False)

    def test_a_broken_law_is_named_and_the_exit_code_is_1(self, rlnorm: Run, tmp_path: Path):
        file = tmp_path / "blind.py"
        file.write_text(
            "import torch\nfrom rlnorm.nn.norm import Norm\n"
            "class Blind(torch.nn.Module):\n"
            "    def __init__(self, width):\n        super().__init__()\n"
            "    def forward(self, x):\n        return x.detach() * 2\n"
            'NORM = Norm("blind", {0: Blind})\n'
        )
        code, out, _ = rlnorm("check-norm", file)
        assert code == 1
        assert "broken by blind at 0 spatial dimensions" in out

    def test_a_file_that_is_none(self, rlnorm: Run):
        code, _, told = rlnorm("check-norm", "nowhere.py")
        assert code == 2
        assert "no norm file at 'nowhere.py'" in told[0]


CLAIM_OF_ERRORS = """
from rlnorm.study.claim import Claim, Effect, Exact, Question, supervised_experiment

STEPS = {"smoke": 3, "quick": 3, "full": 3}
CLAIM = Claim(
    title="one two three four five six seven eight nine",
    statement="",
    source="nowhere",
    kind="effcet",
    parts={
        "misnamed": Effect(
            experiment=supervised_experiment(steps=STEPS, dataset="digits", lr=0.05, batch=0),
            arms={"none": {}, "layer": {"norm": "lyer"}},
            metric="acuracy",
            question=Question(asks="superior", treatment="lare", reference="none", margin=-1.0),
            decisive=False,
        ),
        "algebra": Exact(
            statement="0 = 0", formula=abs, truth=abs, draw=dict, scale=abs, cases=0, tolerance=-1.0, decisive=False
        ),
    },
)
"""


class TestCheckClaim:
    def test_a_good_claim_is_said_to_be_one(self, rlnorm: Run, tmp_path: Path):
        file = tiny.effect(tmp_path, "my_claim")
        assert rlnorm("check-claim", file) == (0, "my-claim: LayerNorm is better. 1 part, no errors.\n", [])
        work = tiny.own(tmp_path, WORK, ["some", "more"])
        assert rlnorm("check-claim", work) == (0, "work: Work to do. 2 parts, no errors.\n", [])
        assert {path for path in tmp_path.iterdir() if path.name != "__pycache__"} == {file, work}

    def test_every_error_is_said_at_once_and_nothing_written(self, rlnorm: Run, tmp_path: Path):
        file = tmp_path / "wrong.py"
        file.write_text(CLAIM_OF_ERRORS)
        code, out, err = rlnorm("check-claim", "wrong.py")
        expected = (
            "title must have 1 to 8 words, got 'one two three four five six seven eight nine'.",
            "statement is empty; expected a sentence.",
            "unknown kind 'effcet'. Did you mean 'effect'?",
            "no part is decisive, so nothing could decide the claim",
            "part 'misnamed': the treatment is no arm: unknown arm 'lare'. Did you mean 'layer'?",
            "part 'misnamed': the question does not ask about every arm: 'layer' would be run for nothing.",
            "part 'misnamed': the margin of a difference is at least 0, got -1.",
            "part 'misnamed': unknown metric 'acuracy'. Did you mean 'accuracy'?",
            "part 'algebra': cases must be at least 1, got 0.",
            "part 'algebra': tolerance must be at least 0, got -1.0.",
            "part 'misnamed': arm layer: unknown norm 'lyer'. Did you mean 'layer'?",
        )
        assert (code, out) == (2, "")
        said = [line.removeprefix("rlnorm: ") for line in err]
        assert all(any(line.startswith(piece) for line in said) for piece in expected), err
        assert any(line.startswith("part 'misnamed': ") and "batch" in line for line in said), err
        assert len(said) == len(expected) + 1, err
        assert {path for path in tmp_path.iterdir() if path.name != "__pycache__"} == {file}

    @pytest.mark.parametrize("command", ["show", "power"])
    def test_what_reads_a_claim_says_its_errors(self, rlnorm: Run, tmp_path: Path, command: str):
        (tmp_path / "wrong.py").write_text(CLAIM_OF_ERRORS)
        code, out, err = rlnorm(command, "wrong.py")
        assert (code, out) == (2, "")
        assert "rlnorm: wrong: unknown kind 'effcet'. Did you mean 'effect'?" in " ".join(err)

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (None, "no claim file at"),
            ("CLAIM = 3", "declares no claim; expected it to end in CLAIM = Claim(...), got 3."),
            ("import nonsense_that_is_nowhere", "does not import: ModuleNotFoundError"),
        ],
    )
    def test_a_file_that_holds_none(self, rlnorm: Run, tmp_path: Path, text: str | None, told: str):
        if text is not None:
            (tmp_path / "empty.py").write_text(text)
        code, out, err = rlnorm("check-claim", "empty.py")
        assert (code, out, len(err)) == (2, "", 1)
        assert told in err[0]
