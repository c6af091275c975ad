"""TensorBoard as a view of a study: event files made from the results, and made anew whenever they are asked for.

DIR/tensorboard                         all verdicts as text; the Custom Scalars layout, one for the whole folder
DIR/<claim>/tensorboard                 the claim and its verdicts as text
DIR/<claim>/tensorboard/<part>/<arm>    mean and 95 % band over seeds; settings and score for the HParams tab
.../<arm>/seed-8                        single runs, with `per_seed`
"""

import hashlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from rlnorm.errors import ConfigError
from rlnorm.study.judge.results import ArmResult, ClaimResult, Curve, PartResult, StudyResult
from rlnorm.study.report import confidence_bands, events, markdown, wording

HOST = "localhost"
POINTS = 100_000
FOLDER = "tensorboard"
LONGEST = 100
SCORE, DIVERGED = "score", "diverged fraction"
HEADS = ("claim and its parts", "verdict", "estimate", "interval", "margin", "seeds")


def write(study: StudyResult, directory: Path, per_seed: bool = False) -> None:
    """Write the study's event files under `directory`, in place of those that were there for its claims."""
    events.clear(directory / FOLDER)
    for claim in study.claims:
        events.clear(directory / safe(claim.id) / FOLDER)
    layout = events.bands_layout(charts(study))
    events.write(directory / FOLDER, [events.event(0, [layout, events.text("verdicts", overview(study))])])
    for claim in study.claims:
        events.write(directory / safe(claim.id) / FOLDER, [events.event(0, [events.text("claim", page(claim))])])
    everyone = hparams(study)
    differing = {key for settings in everyone for key in settings if settings[key] != everyone[0][key]}
    for (claim, part, arm), settings in zip(wording.arms_of(study), everyone):
        run = run_of(directory, claim, part, arm)
        events.write(run, [*events.hparams(settings, differing, (SCORE, DIVERGED)), *_means(arm), _scores(arm)])
        for row, seed in enumerate(arm.seeds if per_seed else ()):
            single = {f"{key}/seed": (curve.steps, curve.values[row]) for key, curve in _lines(arm)}
            events.write(run / f"seed-{seed}", events.scalars(single))


def run_of(directory: Path, claim: ClaimResult, part: PartResult, arm: ArmResult) -> Path:
    """The folder of one arm's run; its path below the log directory is the run's name in TensorBoard."""
    return directory / safe(claim.id) / FOLDER / safe(part.name) / safe(arm.name)


def safe(name: str) -> str:
    """A name as one path component: letters, digits and ``._+-`` stay, all else becomes a hyphen.

    Where that loses letters or the name is long, a hash of it keeps it apart from others.
    """
    kept = re.sub(r"[^\w.+-]+", "-", name, flags=re.ASCII).strip("-.")
    if kept and len(kept) <= LONGEST and not any(sign.isalnum() and not sign.isascii() for sign in name):
        return kept
    return f"{kept[:LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")


@contextmanager
def serving(directory: Path, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """TensorBoard for `directory` in a process of its own, on localhost -> (its address, the process), once it answers.

    Port 0 takes any free one. The process ends with the context. ConfigError where the folder is none, the port is
    taken or TensorBoard does not start.
    """
    if not directory.is_dir():
        raise ConfigError(f"cannot show {str(directory)!r}: there is no such folder. Expected the folder of a study.")
    port = _free(port)
    # every point instead of a random thousand; 0, which once meant "all", gives empty charts
    options = [
        "--logdir",
        str(directory),
        "--host",
        HOST,
        "--port",
        str(port),
        "--samples_per_plugin",
        f"scalars={POINTS}",
    ]
    with TemporaryFile() as log:
        command = [sys.executable, "-m", "tensorboard.main", *options]
        with subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL) as server:
            try:
                while not _answers(port):
                    if server.poll() is not None:
                        log.seek(0)
                        raise ConfigError(f"TensorBoard did not start: {log.read().decode(errors='replace').strip()}")
                    time.sleep(0.2)
                yield f"http://{HOST}:{port}/", server
            finally:
                _end(server)


def board(directory: Path, port: int = 6006) -> None:
    """Show `directory` in TensorBoard until interrupted; prints the address. ConfigError as for `serving`."""
    # so that the server does not outlive this process when that is told to end
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), serving(directory, port) as (address, server):
        print(f"TensorBoard shows {directory} at {address} (Ctrl-C ends it)", flush=True)  # noqa: T201
        server.wait()


def overview(study: StudyResult) -> str:
    """All verdicts as a Markdown table."""
    lines = [
        wording.half_trained(study),
        "",
        *markdown.table(HEADS, (row for claim in study.claims for row in _rows(claim))),
    ]
    return "\n".join(lines).strip()


def page(result: ClaimResult) -> str:
    """One claim with its verdicts as Markdown."""
    cell, given = markdown.cell, [part for part in result.parts if part.verdict.judgement.reason]
    reasons = [f"* **{cell(part.name)}**: {cell(part.verdict.judgement.reason)}" for part in given]
    head = [f"## {cell(result.claim.statement)}", "", f"Source: {cell(result.claim.source)}", ""]
    return "\n".join([*head, *markdown.table(HEADS, _rows(result)), "", *reasons])


def hparams(study: StudyResult) -> list[events.HParams]:
    """The settings of every arm as TensorBoard wants them: the same keys and types everywhere, never None.

    A setting is a number or a truth value only where it is one in every arm; else it is text, a dash where missing.
    """
    found: list[dict[str, object]] = []
    for claim, part, arm in wording.arms_of(study):
        ours = {"claim": claim.id, "part": part.name, "arm": arm.name, "learning rate": arm.rate}
        found.append(ours | {key: value for key, value in arm.settings.items() if key not in ours})
    keys = dict.fromkeys(key for settings in found for key in settings)
    columns = {key: _one_type([settings.get(key) for settings in found]) for key in keys}
    return [{key: column[i] for key, column in columns.items()} for i in range(len(found))]


def charts(study: StudyResult) -> dict[str, dict[str, str]]:
    """Category -> title -> prefix of the tags: the curves first, then the probes of each layer."""
    first = "Mean over seeds with 95 % band"
    found: dict[str, dict[str, str]] = {first: {}}
    for _, _, arm in wording.arms_of(study):
        found[first] |= {wording.CURVES.get(key, key): key for key in arm.curves}
        for key in arm.probes:
            _, layer, probe = key.split("/")
            found.setdefault(f"Probes of {layer}", {})[probe.replace("_", " ")] = key
    return found


def _lines(arm: ArmResult) -> Iterator[tuple[str, Curve]]:
    yield from arm.curves.items()
    yield from arm.probes.items()


def _free(port: int) -> int:
    """`port`, or any free one for 0. ConfigError where it is taken or no port."""
    with socket.socket() as probe:
        # as the server itself will: a port that its last user has just left is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise ConfigError(f"port {port} cannot be used ({error}). Expected a free port, or 0 for any.") from error
        return probe.getsockname()[1]


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _answers(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/data/runs")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _one_type(column: list[object]) -> list[bool] | list[float] | list[str]:
    flags = [value for value in column if isinstance(value, bool)]
    if len(flags) == len(column):
        return flags
    numbers = [number for value in column if (number := wording.finite(value)) is not None]
    return numbers if len(numbers) == len(column) else [wording.setting(value) for value in column]


def _means(arm: ArmResult) -> Iterator[events.Event]:
    columns: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for key, curve in _lines(arm):
        drawn = confidence_bands.curve(curve.values)
        mean = np.where(np.isfinite(drawn.mean), drawn.mean, drawn.rest)
        # a Margin chart needs all three at every step: where there is no band, it has no width
        low, high = (np.where(np.isfinite(end), end, mean) for end in (drawn.low, drawn.high))
        columns |= {f"{key}/{name}": (curve.steps, v) for name, v in (("mean", mean), ("low", low), ("high", high))}
    return events.scalars(columns)


def _scores(arm: ArmResult) -> events.Event:
    last = max((int(curve.steps[-1]) for curve in arm.curves.values() if len(curve.steps)), default=0)
    diverged = float(arm.diverged.mean()) if len(arm.diverged) else 0.0
    values = {SCORE: confidence_bands.point(arm.scores).estimate, DIVERGED: diverged}
    return events.event(last, [events.scalar(tag, value) for tag, value in values.items() if np.isfinite(value)])


def _rows(result: ClaimResult) -> Iterator[tuple[str, ...]]:
    yield f"**{result.id}**", f"**{result.overall.outcome}**", "", "", "", ""
    for part in result.parts:
        verdict, scale = part.verdict, wording.scale_of(result.claim.parts.get(part.name))
        numbers = (wording.estimate(verdict, scale), wording.interval(verdict, scale), wording.margin(verdict, scale))
        yield part.name, verdict.outcome, *numbers, wording.seeds(verdict, scale)
