"""Units as tasks of a Ray cluster.

One task a unit: which machine does it when is Ray's to say. Its records stream back to the process that asked, and that
one alone writes: machines share no disk. A task that is lost is begun anew by the rules of `pool.py`, not by Ray's: a
stream that Ray began anew would have to be cut as the first one was. Nothing that a task sends is read any more once
its unit was begun anew or given up, so that a lost machine that comes back adds nothing.
"""

import importlib
import logging
import os
import pickle
import resource
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread, current_thread, main_thread
from typing import Any

from rlnorm.errors import ConfigError
from rlnorm.study.claim import Record
from rlnorm.study.plan import Request, Unit
from rlnorm.study.plan.unit import like
from rlnorm.study.run import rows
from rlnorm.study.run.remote import Chunk
from rlnorm.study.run.shipping import Shipment, lay_out
from rlnorm.study.run.store import Store
from rlnorm.study.run.worker import EndedElsewhere, Outcome, Place, Source, execute

LOOK_EVERY = 5.0
"""Seconds between two looks at which machines are there."""
REACHED_IN = 5.0
"""Seconds in which a machine has to answer at an address."""
TICK = 0.5
LOST = {
    "NodeDiedError": "its machine was lost",
    "WorkerCrashedError": "its process was lost",
    "OutOfMemoryError": "its process was ended by Ray because the machine's memory ran out",
}


def address_errors(address: str | None) -> Iterator[str]:
    """The sentence if Ray is not installed, or nothing answers at `address`: HOST:PORT, or "auto"."""
    if find_spec("ray") is None:
        yield "--backend ray needs Ray: pip install 'rlnorm[ray]'."
    elif address not in (None, "auto"):
        host, _, port = address.rpartition(":")
        if not host or "/" in host or not port.isdecimal():
            yield f"--address {address!r} cannot be read; expected HOST:PORT of the cluster's head, or 'auto'."
            return
        try:
            socket.create_connection((host.strip("[]"), int(port)), REACHED_IN).close()
        except (OSError, OverflowError) as error:
            yield f"no Ray cluster can be reached at --address {address!r}: {error}."


@contextmanager
def connected(address: str | None, requests: Sequence[Request], out: Path) -> Iterator["Cluster"]:
    """The cluster at `address`, to which what `requests` need is taken; without an address, Ray's own choice.

    That is the cluster this machine is part of, else one that is started on it for as long as it is used. Raises
    ConfigError where there is none.
    """
    # Read when Ray is imported: it reports to nobody, and calls after the end start no cluster.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}
    ray: Any = importlib.import_module("ray")
    with TemporaryDirectory() as folder:
        shipment = lay_out(requests, Path(folder))
        before = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(
                address,
                runtime_env={"working_dir": folder},
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise ConfigError(f"no Ray cluster can be used: {' '.join(str(error).split()).rstrip('.')}.") from error
        finally:
            if current_thread() is main_thread():  # Ray takes SIGTERM for itself
                signal.signal(signal.SIGTERM, before)
    # A unit at work has four files open here: its rows, its lock, and a pipe.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        yield Cluster(ray, shipment, _memory(Store(out)))
    finally:
        ray.shutdown()


def _memory(store: Store) -> dict[tuple[object, ...], int]:
    """The most memory that units of each kind have had in the past, in bytes."""
    found = dict[tuple[object, ...], int]()
    for path in store.files():
        with suppress(OSError, ValueError, KeyError, IndexError):  # for the store to say
            head = rows.header(path)
            kind = like(head["engine"], head["settings"])
            found[kind] = max(found.get(kind, 0), rows.memory(path))
    return found


@dataclass
class Cluster:
    """A cluster that this process is connected to.

    memory   the most that a unit of each kind has had, in bytes: what is asked for the next one
    refused  machines that would not give our rows, by Ray's id, with the sentence that says why
    """

    ray: Any
    shipment: Shipment
    memory: dict[tuple[object, ...], int]
    refused: dict[str, str] = field(default_factory=dict)
    _gone: tuple[float, frozenset[str]] = (0.0, frozenset())

    def __post_init__(self) -> None:
        task = _task()
        self._reused = self.ray.remote(max_retries=0)(task)
        # What torch's compiler keeps of a unit would stay in memory: such a unit has a process of its own, as here.
        self._fresh = self.ray.remote(max_retries=0, max_calls=1)(task)

    @property
    def cores(self) -> int:
        """How many there are now."""
        return max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    def start(self, directory: Path, modules: Sequence[str]) -> "Task":
        """A place for units of the store in `directory`; what tasks import is theirs to import."""
        return Task(self, directory)

    def submit(self, unit: Unit) -> Any:
        """Hand a unit to Ray -> the stream of what is sent back."""
        needs: dict[str, Any] = {"num_cpus": 1}
        if known := self.memory.get(like(unit.engine, unit.settings)):
            largest = max((int(node["Resources"].get("memory", 0)) for node in self._machines()), default=known)
            needs["memory"] = min(known, largest)
        if self.refused:
            needs["label_selector"] = {"ray.io/node-id": f"!in({','.join(self.refused)})"}
        task = self._fresh if unit.settings.get("compile") else self._reused
        return task.options(**needs).remote(pickle.dumps(self.shipment.relative(unit)), unit.header())

    def has_lost(self, machine: str) -> bool:
        """Whether Ray has given up that machine: its tasks look alive until their connections are found dead."""
        now = time.monotonic()
        if now - self._gone[0] > LOOK_EVERY:
            self._gone = now, frozenset(node["NodeID"] for node in self.ray.nodes() if not node["Alive"])
        return machine in self._gone[1]

    def refuse(self, machine: str, name: str, why: str) -> Outcome:
        """Give that machine no more units -> how the unit ended that it was given."""
        self.refused[machine] = f"machine {name} does no unit of this study: {why}."
        if all(node["NodeID"] in self.refused for node in self._machines()):
            return Outcome("refused by all", " ".join(("no machine is left.", *self.refused.values())))
        return Outcome("refused", self.refused[machine])

    def _machines(self) -> list[dict[str, Any]]:
        """Those that are there and have cores."""
        return [node for node in self.ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]


def _task() -> Any:
    """The function of a task. It takes nothing for granted but Ray: it is pickled whole, as it is no module's."""

    def task(packed: bytes, expected: Any) -> Iterator[Any]:
        ray: Any = importlib.import_module("ray")
        yield ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
        try:
            from rlnorm.study.run.remote import sent
        except ImportError as error:
            yield f"rlnorm cannot be imported there ({error})"
        else:
            yield from sent(packed, expected)

    return task


class Task(Place):
    """A unit in the cluster, seen from here: a thread writes what comes back."""

    def __init__(self, cluster: Cluster, directory: Path):
        ours, theirs = Pipe()
        super().__init__(ours)
        self._cluster, self._over = cluster, Event()
        self._chunk: Chunk | None = None
        self._thread = Thread(target=self._serve, args=(theirs, directory), daemon=True)
        self._thread.start()

    @property
    def at_work(self) -> Unit | None:
        """The unit, once a machine has begun it."""
        return self.unit if self._chunk else None

    def seen(self, count: int, seconds: float) -> None:
        if self._chunk:  # a unit that waits for a machine is not silent
            super().seen(count, seconds)

    def end(self) -> None:
        self._over.set()
        self._pipe.close()
        self._thread.join(10)

    def _serve(self, pipe: Connection, directory: Path) -> None:
        with suppress(EOFError, OSError), pipe:
            pipe.send(Outcome("ready"))
            while True:
                self._chunk = None
                unit = pipe.recv()
                source = Source(self._records, lambda: self._last.seconds, lambda: self._last.memory)
                outcome = execute(unit, directory, source)
                if outcome.how == "finished":
                    kind = like(unit.engine, unit.settings)
                    self._cluster.memory[kind] = max(self._cluster.memory.get(kind, 0), self._last.memory)
                pipe.send(outcome)

    @property
    def _last(self) -> Chunk:
        return self._chunk or Chunk((), 0.0, 0)

    def _records(self, unit: Unit) -> Iterator[Record]:
        """The unit's records, as they come from wherever it is done."""
        stream = self._cluster.submit(unit)
        try:
            machine, name = self._next(stream)
            while not self._last.last:
                told = self._next(stream, machine)
                if isinstance(told, Outcome):
                    raise EndedElsewhere(told)
                if isinstance(told, str):
                    raise EndedElsewhere(self._cluster.refuse(machine, name, told))
                self._chunk = told
                yield from told.records
        except BaseException:
            with suppress(self._cluster.ray.exceptions.RayError):
                self._cluster.ray.cancel(stream, force=True)
            raise

    def _next(self, stream: Any, machine: str | None = None) -> Any:
        """What is sent next, by that machine once it is known."""
        ray = self._cluster.ray
        try:
            while not ray.wait([stream], timeout=TICK, fetch_local=False)[0]:
                if self._over.is_set():
                    break
                if machine and self._cluster.has_lost(machine):
                    raise EndedElsewhere(Outcome("died", f"{LOST['NodeDiedError']}, {{times}}."))
            if not self._over.is_set() and (reference := next(stream, None)) is not None:
                return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            text = str(error).strip()
            raise EndedElsewhere(Outcome("failed", text.splitlines()[-1], text)) from error
        except ray.exceptions.RayError as error:
            name = type(error).__name__
            raise EndedElsewhere(Outcome("died", f"{LOST.get(name, f'Ray lost it ({name})')}, {{times}}.")) from error
        raise EndedElsewhere(Outcome("died", "it ended before it was done, {times}."))
