"""The code that a unit's rows depend on, found by following imports, and its hash.

Imports are followed from the syntax tree, wherever they stand in a file, so that no dependency is kept by hand. What
counts of a file is its syntax tree without docstrings: comments, layout and prose can be improved freely.

A package counts where it is imported by name (`from rlnorm.nn import BatchNorm1d`), not where a module inside it is. A
package that lists its own folder (`__path__`) depends on every module in it. The door of the package,
`rlnorm/__init__.py`, does not count: it imports nothing until it is asked.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.resources import files
from pathlib import Path

from rlnorm.tasks.environments import modules

PACKAGE = "rlnorm"
# Distributions that compute what some of gymnasium's own environments do, by the folder of those.
SIMULATORS = ("box2d", "mujoco")


@cache
def package_folder() -> Path:
    """The folder that `rlnorm` is imported from."""
    return Path(str(files(PACKAGE)))


@cache
def code_hash(roots: tuple[str | Path, ...]) -> str:
    """Hash of all code that `roots` depend on: modules by name, files of a user's own by path.

    The folder of the package, and that of a user's file, decide nothing. A process computes it once: what it runs is
    the code as it was when it was imported.
    """
    listed = ((name, _File.of(path).digest) for name, path in sorted(reached(roots).items()))
    return hashlib.sha256(repr(list(listed)).encode()).hexdigest()[:20]


@cache
def environment_code(env_id: str) -> dict[str, str]:
    """What an environment's rows depend on beside gymnasium: distributions with their versions, other code's hashes.

    Code that no distribution installed is hashed as it is: a module with what it imports from beside it, of a package
    every file.
    """
    found = dict[str, str]()
    for module in modules(env_id):
        package = module.partition(".")[0]
        if package == "gymnasium":
            needs = next((library for library in SIMULATORS if library in module), None)
            installed = [needs] if needs else []
        else:
            installed = metadata.packages_distributions().get(package, [])
        found |= {name: metadata.version(name) for name in installed}
        if origin := own_code(package):
            sources = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
            listed = [(path.relative_to(origin.parent).as_posix(), code_hash((path,))) for path in sources]
            found[package] = hashlib.sha256(repr(listed).encode()).hexdigest()[:20]
    return found


def own_code(package: str) -> Path | None:
    """Where the code of an environment's package begins that no distribution installed; None of one that is."""
    spec = importlib.util.find_spec(package)
    if package == "gymnasium" or spec is None or not spec.origin or metadata.packages_distributions().get(package):
        return None
    return Path(spec.origin)


def reached(roots: Sequence[str | Path]) -> dict[str, Path]:
    """Every module that `roots` import, by name, with its file; a file outside the package goes by its file's name."""
    found: dict[str, Path] = {}
    to_follow = [_root(root) for root in roots]
    while to_follow:
        name, path = to_follow.pop()
        if name not in found:
            found[name] = path
            to_follow += _imported(name, path)
    return found


def module_file(name: str) -> Path | None:
    """The file of a module of the package, by its dotted name; None where there is none."""
    return _module_in(package_folder(), name) if name.startswith(f"{PACKAGE}.") else None


@cache
def _module_in(folder: Path, name: str) -> Path | None:
    path = folder.joinpath(*name.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _root(root: str | Path) -> tuple[str, Path]:
    """A module by its name, or a file by its path, with both."""
    if isinstance(root, Path):
        inside = root.resolve().is_relative_to(package_folder().resolve())
        parts = root.resolve().relative_to(package_folder().resolve()).with_suffix("").parts if inside else ()
        return ".".join((PACKAGE, *parts)) if inside else root.name, root
    path = module_file(root)
    if path is None:
        raise ValueError(f"{root!r} is no module of {PACKAGE}")
    return root, path


def _imported(name: str, path: Path) -> list[tuple[str, Path]]:
    """The modules that one module imports: of the package, or beside it (a user's helper)."""
    file, found, inside = _File.of(path), list[tuple[str, Path]](), name.startswith(f"{PACKAGE}.")
    for each in file.imports:
        imported, beside = module_file(each), path.parent / f"{each}.py"
        if imported is not None:
            found.append((each, imported))
        elif not inside and each.isidentifier() and beside.is_file():
            found.append((beside.name, beside))
    if file.lists_its_folder:
        found += [(f"{name}.{each.stem}", each) for each in path.parent.glob("*.py") if each != path]
    return found


@dataclass(frozen=True)
class _File:
    """What counts of one file: the names it imports, whether it lists its own folder, a hash of its syntax tree."""

    imports: tuple[str, ...]
    lists_its_folder: bool
    digest: str

    @staticmethod
    def of(path: Path) -> "_File":
        """The file as it is on disk now."""
        return _read(path, path.stat().st_mtime_ns)


@cache
def _read(path: Path, changed: int) -> _File:
    tree = ast.parse(path.read_text("utf-8"))
    nodes = list(ast.walk(tree))
    imports = tuple(dict.fromkeys(_imports_in(nodes)))
    lists = any(isinstance(node, ast.Name) and node.id == "__path__" for node in nodes)
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = node.body[ast.get_docstring(node, clean=False) is not None :]
    return _File(imports, lists, hashlib.sha256(ast.dump(tree).encode()).hexdigest())


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Every dotted name that a file imports anywhere in it; names imported from a package count as its modules too."""
    return _imports_in(ast.walk(tree))


def _imports_in(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
