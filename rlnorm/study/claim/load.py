"""Claims are found by listing a folder, or given by path: one file each, its id the file's name.

`headlines` reads what a list of claims shows from the syntax tree of each file, without running it: running all of
them imports torch and takes seconds.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rlnorm.errors import ConfigError, raise_if_any, unknown
from rlnorm.loading import load_module
from rlnorm.study.claim.declare import Claim, Kind

ENDING = "CLAIM = Claim(...)"
# A folder of results has a folder of each claim's, beside these.
RESERVED = ("units", "tensorboard", "agents")
LONGEST_ID = 150  # bytes


@dataclass(frozen=True)
class ClaimFile:
    """A claim and the file that declares it (None: a comparison asked for without a file).

    own  the claim lives outside the package and is asked for by its path
    """

    id: str
    claim: Claim
    path: Path | None
    own: bool = False

    @property
    def name(self) -> str:
        """What to type to mean this claim."""
        return str(self.path) if self.own else self.id


@dataclass(frozen=True)
class Headline:
    """What a list of claims shows of one."""

    id: str
    title: str
    statement: str
    kind: Kind
    notes: tuple[str, ...]


def load(path: Path, package: str = "", own: bool = False) -> ClaimFile:
    """The claim that `path` declares as `CLAIM`, loaded as a module of `package` (none: on its own).

    Raises ConfigError where there is no such file, it does not import, or it declares no claim.
    """
    name = f"{package}.{path.stem}" if package else f"rlnorm_claim_{path.stem}"
    claim = getattr(load_module(path, name, "claim", ENDING), "CLAIM", None)
    if not isinstance(claim, Claim):
        raise ConfigError(f"{str(path)!r} declares no claim; expected it to end in {ENDING}, got {claim!r}.")
    return ClaimFile(claim_id(path), claim, path, own)


def claim_id(path: Path) -> str:
    """The id of the claim in a file."""
    return path.stem.replace("_", "-")


def id_errors(claim: str) -> Iterator[str]:
    """The sentence for an id that cannot be the name of a claim's folder among results."""
    if claim in RESERVED or not claim.strip():
        yield f"a claim cannot have the id {claim!r}, which results have another use for; rename the file."
    elif not claim.isprintable():
        yield f"a claim cannot have the id {claim!r}, which is no text here; rename the file, or set PYTHONUTF8=1."
    elif "." in claim:
        yield f"a claim cannot have the id {claim!r}: a dot makes it a file of results; rename the file."
    elif len(claim.encode(errors="replace")) > LONGEST_ID:
        size = len(claim.encode(errors="replace"))
        yield f"a claim's id has at most {LONGEST_ID} bytes, which {claim[:40] + '…'!r} exceeds with {size}."


def claim_files(folder: Path) -> list[Path]:
    """The files of a folder that declare claims; files that begin with an underscore are helpers."""
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))


class Claims(Mapping[str, ClaimFile]):
    """All claims of a folder by id, in alphabetical order; a file is loaded when its claim is looked up.

    Loading all of ours imports torch and takes seconds.
    """

    def __init__(self, folder: Path, package: str = ""):
        self._paths, self._package = {claim_id(path): path for path in claim_files(folder)}, package

    def __getitem__(self, claim: str) -> ClaimFile:
        return load(self._paths[claim], self._package)

    def __contains__(self, claim: object) -> bool:
        return claim in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def shipped_folder() -> Path:
    """The folder of the claims that come with rlnorm."""
    return Path(str(files("rlnorm") / "claims"))


def shipped() -> Mapping[str, ClaimFile]:
    """All claims that come with rlnorm, by id."""
    return Claims(shipped_folder(), "rlnorm.claims")


def by_path(path: str | Path) -> ClaimFile:
    """A user's claim, from the file of that path.

    Raises ConfigError as `load` does, for the id of one of ours, and for one that cannot be.
    """
    file = Path(path).absolute()
    if claim_id(file) in map(claim_id, claim_files(shipped_folder())):
        raise ConfigError(f"{str(path)!r} would be claim {claim_id(file)!r}, which comes with rlnorm; rename the file.")
    raise_if_any(id_errors(claim_id(file)))
    return load(file, own=True)


def named(names: Sequence[str], available: Mapping[str, ClaimFile]) -> list[ClaimFile]:
    """The claims of these ids or paths, each once. Raises ConfigError for a name that is neither."""
    found: dict[str, ClaimFile] = {}
    for name in names:
        if name.endswith(".py"):
            own = by_path(name)
            other = found.setdefault(own.id, own)
            if other.path != own.path:
                raise ConfigError(
                    f"{str(other.path)!r} and {name!r} are both claim {own.id!r}; rename one of the files."
                )
        elif name not in available:
            expected = "an id that `rlnorm list` shows, or the path of a file that ends in .py"
            raise ConfigError(unknown("claim", name, available, expected))
        else:
            found[name] = available[name]
    return list(found.values())


def headlines(folder: Path) -> Iterator[Headline]:
    """The headline of every claim in a folder, in alphabetical order of ids."""
    for path in claim_files(folder):
        fields = _literals(path)
        yield Headline(
            claim_id(path), fields["title"], fields["statement"], fields["kind"], tuple(fields.get("notes", ()))
        )


def _literals(path: Path) -> Mapping[str, Any]:
    """The keywords of `CLAIM = Claim(...)` that are written as literals."""
    for node in ast.parse(path.read_text("utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="CLAIM")], value=ast.Call(keywords=keywords)):
                return {str(each.arg): ast.literal_eval(each.value) for each in keywords if _is_literal(each.value)}
    return {}


def _is_literal(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (
        isinstance(node, ast.Tuple) and all(isinstance(item, ast.Constant) for item in node.elts)
    )
