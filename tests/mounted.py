"""File systems of a test's own: mounts in a namespace that goes with one process. Root is not needed for them."""

import ctypes
import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """A file system of `size` bytes on the folder `at` -> the path under which it is seen from outside."""
    with _namespace(at, lambda: _call("mount", b"none", bytes(at), b"tmpfs", 0, f"size={size}".encode())) as seen:
        yield seen


@contextmanager
def read_only(at: Path) -> Iterator[Path]:
    """The folder `at`, which can only be read under the path that is given."""

    def mount() -> None:
        _call("mount", bytes(at), bytes(at), None, MS_BIND, None)
        _call("mount", b"none", bytes(at), None, MS_BIND | MS_REMOUNT | MS_RDONLY, None)

    with _namespace(at, mount) as seen:
        yield seen


def without_privileges() -> None:
    """Permissions bind this process from now on, though it is root's."""
    _call("capset", (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())


@contextmanager
def _namespace(at: Path, mount) -> Iterator[Path]:
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _enter()
            mount()
            os.write(told, b"+")
            signal.pause()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(told)
    try:
        assert os.read(ready, 1) == b"+", "the kernel allows no namespace of mounts"
        yield Path(f"/proc/{pid}/root{at}")
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _enter() -> None:
    user, group = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWNS | (CLONE_NEWUSER if user else 0))
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path(f"/proc/self/{name}").write_text(text)
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)


def _call(name: str, *given: object) -> None:
    if getattr(LIBC, name)(*given):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
