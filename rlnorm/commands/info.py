"""What a report of a fault needs to say, and what a newcomer asks: `rlnorm info`."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from rlnorm.errors import existing
from rlnorm.showing import console

EXTRAS = {
    "contrib": ("sb3_contrib", "norms in QR-DQN, TQC, TRPO, MaskablePPO, RecurrentPPO"),
    "minatar": ("minatar", "MinAtar's games"),
    "envpool": ("envpool", "--environments envpool"),
    "ray": ("ray", "more than one machine"),
    "pandas": ("pandas", "results as data frames"),
    "pyarrow": ("pyarrow", "rlnorm export --parquet"),
    "moviepy": ("moviepy", "videos of agents"),
}
"""What is optional: name -> the module, and what it is for."""
FOLDERS = ("runs/study", "runs/mine", "runs/train")


def info() -> None:
    """Show versions, devices, compiler, extras, free disk, and where results lie."""
    for name, told in lines():
        console.print(f"{name:<12} {told}", markup=False, soft_wrap=True)


def lines() -> Iterator[tuple[str, str]]:
    """(name, what there is of it), in the order of reading."""
    # Imported here: other commands answer sooner without them.
    import torch

    from rlnorm import compiling
    from rlnorm.study.plan.unit import commit, library_version, versions

    yield "rlnorm", f"{library_version('rlnorm')}, commit {commit() or 'unknown'}, {Path(__file__).parents[1]}"
    known = {**versions(), **{name: library_version(name) for name in ("stable-baselines3", "tensorboard")}}
    yield "versions", ", ".join(f"{name} {number}" for name, number in known.items())
    yield "system", f"{platform.platform()}, {sys.executable}"
    yield "cores", f"{os.cpu_count()}; each unit of work uses one thread (torch would use {torch.get_num_threads()})"
    yield "devices", _devices()
    yield "compiler", "there" if compiling.available() else "none: agents train without it, slower"
    for name, (module, what) in EXTRAS.items():
        yield name, f"{'there' if find_spec(module) else 'not installed'}: {what}"
    free = shutil.disk_usage(existing(Path("runs").absolute())).free
    yield "free disk", f"{free / 1e9:.1f} GB in {Path.cwd()}"
    held = [folder for folder in FOLDERS if (Path(folder) / "study.json").exists()]
    yield "results", ", ".join(held) or f"none here yet; they go to {', '.join(FOLDERS)} or --out"


def _devices() -> str:
    from torch import cuda

    names = [cuda.get_device_name(i) for i in range(cuda.device_count())] if cuda.is_available() else []
    return "CPU" + (f"; {', '.join(names)} (not used: agents train on the CPU)" if names else "")
