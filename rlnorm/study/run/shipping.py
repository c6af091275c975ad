"""What the machines of a cluster need of a study, laid out in one folder as their processes find it.

    rlnorm/               the package that asks
    given/0/<name>.py     files that were given by path, and what they import beside them; a number for each folder
    <module>, <package>/  the code of environments that no distribution installed

Ray's runtime environment takes the folder to each machine. It is the current folder there, and on the path.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

from rlnorm.study.claim import Effect
from rlnorm.study.plan import Request, Unit
from rlnorm.study.plan.sources import PACKAGE, own_code, package_folder, reached
from rlnorm.tasks.environments import modules


@dataclass(frozen=True)
class Shipment:
    """A folder that is laid out. `names` are places in it, by the paths that requests and units have for them."""

    folder: Path
    names: Mapping[str, str]

    def relative(self, unit: Unit) -> Unit:
        """The unit with its files where they lie in the folder, relative to it."""
        return _with_files(unit, lambda path: Path(self._name(path)))

    def _name(self, path: Path) -> str:
        if path.is_relative_to(package_folder()):
            return path.relative_to(package_folder().parent).as_posix()
        return self.names[str(path)]


def found_in(folder: Path, unit: Unit) -> Unit:
    """A unit that `Shipment.relative` made, with its files where they are on this machine."""
    return _with_files(unit, folder.joinpath)


def _with_files(unit: Unit, place: Any) -> Unit:
    settings = {name: str(place(Path(value))) if _is_file(value) else value for name, value in unit.settings.items()}
    return replace(unit, settings=settings, files=tuple(place(path) for path in unit.files))


def lay_out(requests: Sequence[Request], folder: Path) -> Shipment:
    """Copy what the units of `requests` need to `folder`, which is empty."""
    shutil.copytree(package_folder(), folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    names, numbers = dict[str, str](), dict[Path, int]()
    for path in _given(requests):
        number = numbers.setdefault(path.resolve().parent, len(numbers))
        names[str(path)] = f"given/{number}/{path.name}"
        _copy_with_what_it_imports(path, folder / "given" / str(number))
    for package in _environment_packages(requests):
        origin = own_code(package)
        if origin is not None and origin.name == "__init__.py":
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(origin.parent, folder / package, ignore=ignored, dirs_exist_ok=True)
        elif origin is not None:
            _copy_with_what_it_imports(origin, folder)
    return Shipment(folder, names)


def _copy_with_what_it_imports(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for each in reached((path,)).values():
        if not each.resolve().is_relative_to(package_folder().resolve()):
            shutil.copy(each, folder)


def _given(requests: Iterable[Request]) -> Iterator[Path]:
    """Files that were given by path: claims, norms."""
    for one in requests:
        if one.file.own and one.file.path:
            yield one.file.path
        yield from (Path(value) for settings in _settings(one) for value in settings.values() if _is_file(value))


def _environment_packages(requests: Iterable[Request]) -> Iterator[str]:
    named = {str(settings["env"]) for one in requests for settings in _settings(one) if "env" in settings}
    packages = {module.partition(".")[0] for name in named for module in modules(name)}
    yield from sorted(packages - {PACKAGE})


def _settings(one: Request) -> Iterator[Mapping[str, object]]:
    """Whatever a request sets for its trainings."""
    for part in one.chosen().values():
        if isinstance(part, Effect):
            yield from (part.experiment.settings, *part.arms.values(), *part.points)


def _is_file(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value.endswith(".py")
