"""The choice of who does units: what is wrong with it is said before anything runs."""

import os
import socket
from pathlib import Path

import pytest

from rlnorm.study.run import backend, backend_errors, opened
from rlnorm.study.run.worker import Worker


@pytest.fixture
def with_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether Ray is installed decides nothing of what an address has to be."""
    monkeypatch.setattr("rlnorm.study.run.cluster.find_spec", lambda name: name)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class TestErrors:
    def test_none_for_this_machine(self):
        assert list(backend_errors("local", None)) == []

    def test_an_unknown_backend(self):
        assert list(backend_errors("rya", None)) == [
            "unknown backend 'rya'. Did you mean 'ray'? Expected one of: local, ray."
        ]

    def test_an_address_for_this_machine(self):
        assert list(backend_errors("local", "auto")) == [
            "--address 'auto' is that of a Ray cluster; --backend ray uses it."
        ]

    def test_ray_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("rlnorm.study.run.cluster.find_spec", lambda name: None)
        assert list(backend_errors("ray", None)) == ["--backend ray needs Ray: pip install 'rlnorm[ray]'."]

    @pytest.mark.parametrize("address", ["head", "head:", ":6379", "ray://head:10001", "head:six"])
    def test_an_address_that_is_none(self, with_ray: None, address: str):
        (said,) = backend_errors("ray", address)
        assert said == f"--address {address!r} cannot be read; expected HOST:PORT of the cluster's head, or 'auto'."

    def test_an_address_where_nobody_answers(self, with_ray: None):
        address = f"127.0.0.1:{closed_port()}"
        (said,) = backend_errors("ray", address)
        assert said.startswith(f"no Ray cluster can be reached at --address {address!r}: ")
        assert "refused" in said

    def test_none_for_an_address_that_answers(self, with_ray: None):
        with socket.create_server(("127.0.0.1", 0)) as server:
            assert list(backend_errors("ray", f"127.0.0.1:{server.getsockname()[1]}")) == []
        assert list(backend_errors("ray", "auto")) == list(backend_errors("ray", None)) == []


def test_this_machine_has_a_process_for_each_unit_and_all_its_cores(tmp_path: Path):
    with opened("local", None, [], tmp_path) as found:
        assert found == (Worker, os.cpu_count() or 1)
    assert list(tmp_path.iterdir()) == []


def test_every_backend_is_one_that_can_be_chosen(with_ray: None):
    assert [list(backend_errors(name, None)) for name in backend.BACKENDS] == [[], []]
