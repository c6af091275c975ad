"""Who does units: processes of this machine, or the machines of a Ray cluster. `pool.run` is the same for both."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rlnorm.errors import unknown
from rlnorm.study.plan import Request
from rlnorm.study.run.pool import Start
from rlnorm.study.run.worker import Worker

BACKENDS = ("local", "ray")


class Backend(NamedTuple):
    """What starts a place for units, and how many cores there are for them."""

    start: Start
    cores: int


def backend_errors(name: str, address: str | None) -> Iterator[str]:
    """One sentence for everything that is wrong with the choice of a backend, found before anything runs."""
    if name not in BACKENDS:
        yield unknown("backend", name, BACKENDS)
    elif name == "ray":
        from rlnorm.study.run import cluster

        yield from cluster.address_errors(address)
    elif address is not None:
        yield f"--address {address!r} is that of a Ray cluster; --backend ray uses it."


@contextmanager
def opened(name: str, address: str | None, requests: Sequence[Request], out: Path) -> Iterator[Backend]:
    """The backend of that name, for what `requests` ask in `out`. Raises ConfigError where it cannot be used."""
    if name == "ray":
        from rlnorm.study.run import cluster

        with cluster.connected(address, requests, out) as found:
            yield Backend(found.start, found.cores)
    else:
        yield Backend(Worker, os.cpu_count() or 1)
