"""Files appear whole or not at all, and a folder's lock keeps others out."""

import multiprocessing
from pathlib import Path

import pytest

from rlnorm.files import locked, write_atomically


def test_atomic_writing_keeps_the_old_file_where_the_new_one_fails(tmp_path: Path):
    path = tmp_path / "a" / "verdicts.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \udc80")
    assert [each.read_text() for each in path.parent.iterdir()] == ["old"]
    write_atomically(path, "new")
    assert path.read_text() == "new"


def add(folder: Path, times: int) -> None:
    """Read a number, and write it back one higher, `times` times."""
    for _ in range(times):
        with locked(folder):
            file = folder / "count"
            write_atomically(file, str(int(file.read_text()) + 1))


def test_a_lock_lets_one_process_in_at_a_time(tmp_path: Path):
    (tmp_path / "count").write_text("0")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=add, args=(tmp_path, 50)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert (tmp_path / "count").read_text() == "150"
