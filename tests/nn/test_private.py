"""Private names of torch stand in one file, and torch is allowed in the versions that were tested."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

import rlnorm.nn

FOLDER = Path(rlnorm.nn.__file__).parent
OVERRIDDEN = {"_apply", "_load_from_state_dict", "_version"}
"""Names that torch documents for subclasses of its Module, or that state dicts need."""


def private(text: str) -> Iterator[str]:
    """Private names of torch in a file: imported, or attributes that it does not define itself."""
    tree = ast.parse(text)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch"):
            names = [*(node.module or "").split("."), *(each.name for each in node.names)]
            yield from (name for name in names if name.startswith("_"))
        elif isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr) and node.attr not in own | OVERRIDDEN:
            yield node.attr


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_private_names_of_torch_stand_in_one_file(path):
    found = set(private(path.read_text()))
    assert bool(found) == (path.name == "_torch.py"), found


@pytest.mark.parametrize(
    "line",
    [
        "from torch._C import _functorch",
        "from torch.nn.modules.conv import _ConvNd",
        "module._modules",
        "torch._dynamo.x",
    ],
)
def test_a_private_name_is_noticed(line):
    assert list(private(line))


def test_torch_is_capped_to_the_minor_version_that_runs_here():
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())["project"]
    (torchs,) = (r for r in map(Requirement, project["dependencies"]) if r.name == "torch")
    major, minor = torch.__version__.split(".")[:2]
    assert torchs.specifier.contains(f"{major}.{minor}.0")
    assert not torchs.specifier.contains(f"{major}.{int(minor) + 1}.0")
