"""Studies on a real Ray cluster: a head without cores and nodes of one core each, all on this machine.

`make test-ray` runs them: a few minutes, for each process of Ray's that does units imports torch.
"""

import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import tiny
from fault_trial import leftovers, made
from rich.console import Console

import rlnorm
from rlnorm.study.claim.load import by_path
from rlnorm.study.plan import Request, Unit
from rlnorm.study.run import Backend, Store, opened, run
from rlnorm.study.study import study

# Ray's own code warns of much.
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]

TEMPORARY = list[str]()
SMALL = {"include_dashboard": False, "object_store_memory": 80 * 2**20}
NORM = "import ray_helper\nfrom rlnorm.nn.layer import NORM\n"
# In these tests machines share a disk after all: SHARED is how they hear of each other.
WORK = """
import ray_helper
import rlnorm

SHARED = Path({shared!r})

def quick(case):
    return ray_helper.ZERO + case["x"]

def wrong(case):
    raise ValueError("no such thing")

def shipped(case):
    return float("_ray_pkg_" not in rlnorm.__file__)

def waits(name):
    import ray

    (SHARED / f"{{name}}.{{ray.get_runtime_context().get_node_id()}}.{{os.getpid()}}").touch()
    while not (SHARED / f"{{name}}.go").exists():
        time.sleep(0.05)
    return 0.0

def removed(case):
    return waits("removed")

def late(case):
    return waits("late")

def first(case):
    return waits("first")

def second(case):
    return waits("second")

def third(case):
    return waits("third")
"""
PARTS = ("quick", "wrong", "shipped", "removed", "late", "first", "second", "third")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Claims by path, a norm by path, and a helper that both import from beside them."""
    home = tmp_path_factory.mktemp("own")
    (home / "ray_helper.py").write_text("ZERO = 0.0\n")
    (home / "ray_norm.py").write_text(NORM)
    tiny.own(home, WORK.format(shared=str(home)), PARTS, name="ray_work", cases=2)
    effect = tiny.effect(home, "ray_effect", more=", rates=(0.01, 0.05)")
    effect.write_text(effect.read_text().replace('{"norm": "layer"}', f'{{"norm": {str(home / "ray_norm.py")!r}}}'))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(home))
        yield home


def add(machines: Any, **more: Any) -> Any:
    """A node with a folder of its own: in a common one the last to come unpacks anew what others are at work in."""
    TEMPORARY.append(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # pytest's are too long for Ray's sockets
    return machines.add_node(num_cpus=1, temp_dir=TEMPORARY[-1], **more, **SMALL)


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """The cluster."""
    # A machine that stops answering is given up sooner than Ray would.
    patience = {"health_check_period_ms": 1000, "health_check_timeout_ms": 2000, "health_check_failure_threshold": 5}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # 15 otherwise: on a busy machine they would hardly get a turn
        head = {"num_cpus": 0, "_system_config": patience, **SMALL}
        found = import_module("ray.cluster_utils").Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            add(found)
        yield found
        found.shutdown()
    for folder in TEMPORARY:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def backend(folder: Path, machines: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    requests = [Request(by_path(folder / f"{name}.py"), "smoke") for name in ("ray_work", "ray_effect")]
    with opened("ray", machines.address, requests, tmp_path_factory.mktemp("nothing")) as found:
        yield found


def parts(folder: Path, *names: str) -> list[Unit]:
    every = {unit.settings["part"]: unit for unit in tiny.planned(folder / "ray_work.py")}
    return [every[name] for name in names]


class AtWork:
    """Units at work on the cluster, in a thread of this process."""

    def __init__(self, units: Sequence[Unit], out: Path, backend: Backend):
        self.told, self.store, self.failed = tiny.Told(), Store(out), dict[Unit, str]()
        self.backend, self.units = backend, units
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.failed = run(self.units, self.store, len(self.units), self.told, 600, self.backend.start)

    def ends(self) -> None:
        self.thread.join(300)
        assert not self.thread.is_alive()


def came(folder: Path, name: str, count: int = 1) -> list[tuple[str, int]]:
    """Where a unit that waits has begun, in order: the node's id and the process."""
    tiny.wait_until(lambda: len([*folder.glob(f"{name}.*.*")]) == count, 300)
    files = sorted(folder.glob(f"{name}.*.*"), key=lambda path: path.stat().st_mtime_ns)
    return [(node, int(pid)) for node, pid in (path.name.split(".")[1:] for path in files)]


def node_of(machines: Any, node_id: str) -> Any:
    return next(node for node in machines.worker_nodes if node.node_id == node_id)


def at_work(pid: int) -> bool:
    """Whether a process of Ray's is doing a task, which its title says."""
    file = Path(f"/proc/{pid}/cmdline")
    return file.exists() and b"ray::task" in file.read_bytes()


def result(out: Path, start: Any, folder: Path) -> tuple[Any, str]:
    """A study of trained and exact parts, with the rates chosen in a first round."""
    requests = [
        Request(by_path(folder / "ray_effect.py"), "smoke"),
        Request(by_path(folder / "ray_work.py"), "smoke", ("quick",)),
    ]
    said = StringIO()
    more = {} if start is None else {"start": start}
    study(requests, out, jobs=2, console=Console(file=said, width=200), **more)
    return made(out.parent), said.getvalue()


def test_rows_and_verdicts_are_those_of_this_machine_to_the_bit(backend: Backend, folder: Path, tmp_path: Path):
    assert backend.cores == 2
    there, said = result(tmp_path / "there" / "out", backend.start, folder)
    here, said_here = result(tmp_path / "here" / "out", None, folder)
    assert there == here
    assert len(there[0]) > 4
    assert any(row["part"] == "quick" for row in there[1])
    assert said.count("] finished: ") == said_here.count("] finished: ") == len(there[0])
    assert leftovers(tmp_path / "there") == []
    ends = [json.loads(path.read_text().splitlines()[-1]) for path in Store(tmp_path / "there" / "out").files()]
    assert all(50e6 < end["memory"] < 50e9 for end in ends)


def test_the_code_that_runs_is_what_was_shipped_and_a_failure_has_its_traceback(
    backend: Backend, folder: Path, tmp_path: Path
):
    shipped, wrong = parts(folder, "shipped", "wrong")
    told, store = tiny.Told(), Store(tmp_path)
    failed = run([shipped, wrong], store, 2, told, 600, backend.start)
    assert [record["error"] for record in store.read(shipped).records] == [0.0, 0.0]
    kept = store.units / f"{wrong.id}.error"
    assert failed == {wrong: f"ValueError: no such thing; the traceback is in {str(kept)!r}."}
    assert "in wrong\n" in kept.read_text()


OLD = """
import importlib.util, platform, sys

platform.python_version = lambda: "3.11.99"

class Old:
    def find_spec(self, name, path=None, target=None):
        if name == "rlnorm":
            there = {folder!r} + "/rlnorm"
            return importlib.util.spec_from_file_location(
                name, there + "/__init__.py", submodule_search_locations=[there]
            )

sys.meta_path.insert(0, Old())
"""


def test_a_machine_with_other_versions_is_refused_and_the_others_do_its_units(
    backend: Backend, machines: Any, folder: Path, tmp_path: Path
):
    """Its Python is another, and so is its rlnorm, which it finds before the one that was shipped."""
    old = tmp_path / "old"
    shutil.copytree(Path(rlnorm.__file__).parent, old / "rlnorm", ignore=shutil.ignore_patterns("__pycache__"))
    with (old / "rlnorm" / "study" / "run" / "exact.py").open("a") as file:
        file.write("\nOLDER = True\n")
    (old / "sitecustomize.py").write_text(OLD.format(folder=str(old)))
    path = os.pathsep.join([str(old), *filter(None, [os.environ.get("PYTHONPATH")])])
    another = add(machines, env_vars={"PYTHONPATH": path})
    work = AtWork(parts(folder, "first", "second", "third"), tmp_path / "out", backend)
    tiny.wait_until(lambda: work.told.notes, 300)
    for name in ("first", "second", "third"):
        (folder / f"{name}.go").touch()
    work.ends()
    assert work.failed == {}
    assert [how for _, how in work.told.endings] == ["finished"] * 3
    (said,) = work.told.notes
    assert said.startswith("machine ")
    assert " does no unit of this study: it has python 3.11.99, and 3." in said
    assert said.endswith("is expected; it has another version of the code that a unit runs, rlnorm's or a file's "
                         "that was given.")  # fmt: skip
    assert another.node_id not in {node for name in ("first", "second", "third") for node, _ in came(folder, name)}
    machines.remove_node(another, allow_graceful=False)


def test_a_machine_that_is_removed_loses_a_unit_that_is_begun_anew(
    backend: Backend, machines: Any, folder: Path, tmp_path: Path
):
    (unit,) = parts(folder, "removed")
    work = AtWork([unit], tmp_path, backend)
    ((node, _),) = came(folder, "removed")
    machines.remove_node(node_of(machines, node), allow_graceful=False)
    add(machines)
    (_, (other, _)) = came(folder, "removed", 2)
    assert other != node
    (folder / "removed.go").touch()
    work.ends()
    assert work.failed == {}
    assert [how for _, how in work.told.endings] == ["died, to be begun anew", "finished"]
    assert [record["error"] for record in work.store.read(unit).records] == [0.0, 0.0]
    assert {path.suffix for path in work.store.units.iterdir()} == {".jsonl"}


def test_a_late_result_of_a_lost_machine_is_not_written(backend: Backend, machines: Any, folder: Path, tmp_path: Path):
    """All of the machine stops for longer than Ray waits; when it goes on, its unit has been done by another."""
    (unit,) = parts(folder, "late")
    work = AtWork([unit], tmp_path, backend)
    ((node, pid),) = came(folder, "late")
    raylet = node_of(machines, node).all_processes["raylet"][0].process.pid
    try:
        for each in (pid, raylet):
            os.kill(each, signal.SIGSTOP)
        (_, (other, _)) = came(folder, "late", 2)
        assert other != node
        (folder / "late.go").touch()
        work.ends()
        file = work.store.path(unit).stat()
    finally:
        for each in (pid, raylet):
            os.kill(each, signal.SIGCONT)
    tiny.wait_until(lambda: not at_work(pid), 60)  # it has answered, or its node has seen that it is given up
    assert work.failed == {}
    assert [how for _, how in work.told.endings] == ["died, to be begun anew", "finished"]
    after = work.store.path(unit).stat()
    assert (after.st_ino, after.st_mtime_ns) == (file.st_ino, file.st_mtime_ns)
    assert {path.suffix for path in work.store.units.iterdir()} == {".jsonl"}


DRIVEN = """
SHARED = Path({shared!r})

def fine(case):
    return case["x"]

def slow(case):
    while not (SHARED / "driven.go").exists():
        time.sleep(0.05)
    return 0.0
"""


def test_a_driver_that_is_stopped_or_killed_is_started_again_and_ends_in_the_same_rows(machines: Any, tmp_path: Path):
    tiny.own(tmp_path, DRIVEN.format(shared=str(tmp_path)), ["fine", "slow"], name="driven")
    words = ("run", "driven.py", "--preset", "smoke", "--backend", "ray", "--address", machines.address, "--out", "out")
    store, known = Store(tmp_path / "out"), dict[str, int]()
    for number in signal.SIGTERM, signal.SIGKILL:
        driver = tiny.start(tmp_path, *words)
        try:
            tiny.wait_until(lambda: store.files() and [*store.units.glob("*.partial")], 300)
            os.kill(driver.pid, number)
            _, err = driver.communicate(timeout=60)
        finally:
            tiny.end(driver)
        if number == signal.SIGTERM:
            assert driver.returncode == 143
            assert err.startswith("rlnorm: interrupted, 1 of 2 units finished and kept. To continue:")
            assert leftovers(tmp_path) == []
        (file,) = store.files()
        assert known.setdefault(file.name, file.stat().st_mtime_ns) == file.stat().st_mtime_ns
    (tmp_path / "driven.go").touch()
    again = tiny.start(tmp_path, *words)
    try:
        out, err = again.communicate(timeout=300)
    finally:
        tiny.end(again)
    assert (again.returncode, err) == (0, "")
    assert out.count("] finished: ") == 1
    assert all((store.units / name).stat().st_mtime_ns == changed for name, changed in known.items())
    assert leftovers(tmp_path) == []
    here = tmp_path / "here" / "out"
    study([Request(by_path(tmp_path / "driven.py"), "smoke")], here, jobs=1, console=Console(file=StringIO()))
    assert made(tmp_path) == made(tmp_path / "here")
