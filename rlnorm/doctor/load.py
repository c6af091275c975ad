"""Models from files: stable-baselines3's zips, and modules that torch saved whole.

Both are pickles, and loading a pickle runs code in it, so the user must say that the file is trusted. A zip does not
name the algorithm that saved it. Settings that only one algorithm has tell it, and reading them runs no code.
"""

import json
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import stable_baselines3
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file
from torch import nn

from rlnorm.errors import ConfigError, raise_if_any, unknown

# First match: settings that must be there; with a value, they must have it. `policy_module` is where the policy's class
# says it is defined, for algorithms that have the settings of another.
SIGNS: Mapping[str, Mapping[str, object]] = {
    "qrdqn": {"n_quantiles": ...},
    "dqn": {"exploration_rate": ...},
    "tqc": {"top_quantiles_to_drop_per_net": ...},
    "crossq": {"target_entropy": ..., "policy_delay": ...},
    "sac": {"target_entropy": ...},
    "ddpg": {"target_noise_clip": 0.0, "policy_delay": 1},
    "td3": {"target_policy_noise": ...},
    "trpo": {"cg_damping": ...},
    "maskableppo": {"clip_range": ..., "policy_module": "sb3_contrib.common.maskable.policies"},
    "recurrentppo": {"clip_range": ..., "policy_module": "sb3_contrib.common.recurrent.policies"},
    "ppo": {"clip_range": ...},
    "ars": {"n_delta": ...},
    "a2c": {"vf_coef": ...},
}


def algorithms() -> Mapping[str, type[BaseAlgorithm]]:
    """Every algorithm of stable-baselines3 and, where it is installed, of sb3-contrib, by its name in small letters."""
    libraries = [stable_baselines3]
    try:
        import sb3_contrib

        libraries.append(sb3_contrib)
    except ImportError:
        pass
    classes = [getattr(library, name) for library in libraries for name in library.__all__]
    return {one.__name__.lower(): one for one in classes if isinstance(one, type) and issubclass(one, BaseAlgorithm)}


def load(path: Path, trust: bool, algo: str | None = None) -> BaseAlgorithm | nn.Module:
    """The model in a file, on the CPU.

    trust  whether code that the file contains may run
    algo   algorithm that saved a zip, where its settings do not tell (see `algorithms`)

    Raises ConfigError for a file that is none of those, that is not trusted, or that does not load.
    """
    raise_if_any(load_errors(path, trust, algo))
    name = _algorithm(path, algo) if _is_agent(path) else ""
    with importing_from_here():
        try:
            return _load_agent(path, algorithms()[name]) if name else _load_module(path)
        except ConfigError:
            raise
        except Exception as error:
            what = f"as {algorithms()[name].__name__}" if name else "as a module"
            said = " ".join(str(error).split())[:200]
            raise ConfigError(f"{str(path)!r} does not load {what}: {type(error).__name__}: {said}.") from error


def load_errors(path: Path, trust: bool, algo: str | None) -> Iterator[str]:
    """One sentence for each reason not to load a file, found without running anything in it."""
    if algo is not None and algo.lower() not in algorithms():
        yield unknown("algorithm", algo, algorithms())
        algo = None
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        yield f"{str(path)!r} {what}; expected a zip that a stable-baselines3 model's save() wrote."
    elif not zipfile.is_zipfile(path):
        yield f"{str(path)!r} is no zip; expected one that a stable-baselines3 model's save() wrote."
    elif not _is_agent(path) and not any(name.endswith("/data.pkl") for name in _names(path)):
        yield (
            f"{str(path)!r} is a zip, but neither of a stable-baselines3 model (it holds no 'data' and 'policy.pth') "
            f"nor of a module that torch.save wrote."
        )
    else:
        if _is_agent(path):
            try:
                _algorithm(path, algo)
            except ConfigError as error:
                yield from error.sentences
        if not trust:
            yield f"loading {str(path)!r} runs code that it contains; say --trust if you trust where it comes from."


def _names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _is_agent(path: Path) -> bool:
    return {"data", "policy.pth"} <= set(_names(path))


def _algorithm(path: Path, algo: str | None) -> str:
    """The name of the algorithm that saved a zip, by its settings where `algo` is None; nothing is unpickled."""
    if algo is not None:
        return algo.lower()
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
        policy = data.get("policy_class", {})
        data["policy_module"] = policy.get("__module__") if isinstance(policy, dict) else None
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{str(path)!r}: its 'data' is damaged: {error}.") from error
    for name, signs in SIGNS.items():
        if all(key in data and value in (..., data[key]) for key, value in signs.items()) and name in algorithms():
            return name
    known = ", ".join(sorted(algorithms()))
    raise ConfigError(f"cannot tell which algorithm saved {str(path)!r}; say it with --algo, one of: {known}.")


def _load_agent(path: Path, algorithm: type[BaseAlgorithm]) -> BaseAlgorithm:
    model = algorithm.load(path, device="cpu")
    data, _, _ = load_from_zip_file(path, device="cpu")
    # Tensors that the model copied to its target when it was saved. Loading captures them anew, which hides lost ones.
    for name, saved in (data or {}).items():
        if name.endswith("batch_norm_stats"):
            fresh = vars(model)[name]
            if len(saved) != len(fresh) or not all(torch.equal(a, b) for a, b in zip(saved, fresh)):
                vars(model)[name] = saved
    return model


def _load_module(path: Path) -> nn.Module:
    module = torch.load(path, map_location="cpu", weights_only=False)
    if not isinstance(module, nn.Module):
        raise ConfigError(
            f"{str(path)!r} holds a {type(module).__name__}, not a module; save the whole: torch.save(model, path)."
        )
    return module


@contextmanager
def importing_from_here() -> Iterator[None]:
    """Import classes that a file names from the current folder too, as `python train.py` does."""
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path.remove(os.getcwd())
