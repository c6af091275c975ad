"""TensorBoard as a view of a study: event files made from the results, and made anew whenever they are asked for.

DIR/tensorboard                       the answers as text and pictures; the Custom Scalars layout
DIR/tensorboard/<claim>/<part>/<arm>  curves, mean and 95 % band over runs, how runs are distributed, and how values are
                                      in one agent; HParams
.../<arm>/seed-8                      single runs, with `per_seed`

TensorBoard unticks every run where there are more than forty: the first `MOST` arms are written, and it is said which
were left out. While a study runs, `live.py` shows what there is so far.
"""

import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import quote

import numpy as np

from rlnorm.errors import ConfigError
from rlnorm.study.claim import Effect
from rlnorm.study.judge.results import ArmResult, ClaimResult, Curve, PartResult, StudyResult
from rlnorm.study.report import answers, confidence_bands, distributions, events, markdown, pictures, wording
from rlnorm.study.report.language import t

HOST = "localhost"
POINTS = 100_000
FOLDER = "tensorboard"
LONGEST = 100
MOST = 39  # and the run of the folder itself makes forty
HEADS = ("claim and its parts", "verdict", "estimate", "interval", "margin", "seeds")
TAGS: Mapping[str, Mapping[str, str]] = {
    "sb3": {
        "return": "rollout/ep_rew_mean",
        "epsilon": "rollout/exploration_rate",
        "test_accuracy": "eval/accuracy",
        "loss": "train/loss",
        "q": "train/q_mean",
    },
    "cleanrl": {
        "return": "charts/episodic_return",
        "epsilon": "charts/epsilon",
        "test_accuracy": "charts/test_accuracy",
        "loss": "losses/td_loss",
        "q": "losses/q_values",
    },
}
"""Curve -> tag, in the words of stable-baselines3 (the default) and of CleanRL."""
LEADING = ("learning rate", "norm", "env", "place")
"""Columns of HParams that come first: TensorBoard sorts by name, those that are said to differ before the others."""
FIRST = ("return", "test_accuracy")
"""What stands first on the screen."""


@dataclass(frozen=True)
class Run:
    """One arm of a part with the claim it belongs to; `name` is its run's in TensorBoard."""

    claim: ClaimResult
    part: PartResult
    arm: ArmResult
    name: str

    @property
    def control(self) -> bool:
        """Whether the arm is there to be worse, or to be better."""
        part = self.claim.claim.parts.get(self.part.name)
        if not isinstance(part, Effect):
            return False
        return self.arm.name in (part.question.negative_control, part.question.positive_control)

    @property
    def bands(self) -> str:
        """The tags under which its claim's charts find its bands: those of no other claim or part."""
        return f"seeds/{self.name.rpartition('/')[0]}"


def write(
    study: StudyResult, directory: Path, per_seed: bool = False, tags: str = "sb3", claims: Sequence[str] = ()
) -> None:
    """Write the study's event files under `directory`, in place of those that were there.

    tags    whose names curves get: "sb3" or "cleanrl"
    claims  only these claims' runs; empty: all, as far as TensorBoard shows them
    """
    for folder in (directory / FOLDER, *(directory / safe(claim.id) / FOLDER for claim in study.claims)):
        events.clear(folder)
    everyone = [run for run in runs(study) if not claims or run.claim.id in claims]
    shown, left_out = everyone[:MOST], everyone[MOST:]
    named = TAGS[tags]
    first = [events.bands_layout(charts(shown, named)), events.text(t("answers"), overview(study, left_out))]
    first += [events.text(f"{t('claim')}/{claim.id}", page(claim)) for claim in study.claims]
    first += [events.image(name, png) for name, png in pictures.answers_of(study)]
    events.write(directory / FOLDER, [events.event(0, first)])
    settings = hparams(shown)
    metrics = sorted({_score_tag(run) for run in shown})
    for run, own in zip(shown, settings):
        folder = directory / FOLDER / run.name
        told = [*events.hparams(own, set(LEADING), metrics), *_means(run, named), *distributions.of(run.arm)]
        events.write(folder, [*told, _scores(run)])
        for row, seed in enumerate(run.arm.seeds if per_seed else ()):
            single = {_tag(key, named): (curve.steps, curve.values[row]) for key, curve in _lines(run.arm)}
            events.write(folder / f"seed-{seed}", events.scalars(single))


def runs(study: StudyResult) -> list[Run]:
    """Every arm that was run, those of decisive parts and no controls first: the order in which they are kept."""
    found = list[Run]()
    for claim in study.claims:
        names = part_names(part.name for part in claim.parts)
        for part in claim.parts:
            for arm in part.arms.values():
                run = Run(claim, part, arm, f"{safe(claim.id)}/{names[part.name]}/{safe(arm.name)}")
                if run.control and "control" not in arm.name:
                    run = replace(run, name=f"{run.name}-control")
                if arm.seeds:
                    found.append(run)
    return sorted(found, key=lambda run: (run.control, run.part.name not in run.claim.claim.decisive))


def part_names(parts: Iterable[str]) -> dict[str, str]:
    """part -> a short name as one path component: without the version of an environment and the word rate."""
    found = dict[str, str]()
    for part in parts:
        short = safe(re.sub(r"-v\d+\b|\brate\b|\bown\b", "", part))
        found[part] = short if short not in found.values() else f"{short}-{len(found)}"
    return found


def safe(name: str) -> str:
    """A name as one path component: letters of any script, digits and ``._+-`` stay, all else becomes a hyphen.

    A name of which nothing stays, or too much, gets a hash that keeps it apart from others.
    """
    kept = re.sub(r"-*[^\w.+-]+-*", "-", name).strip("-.")
    if kept and len(kept.encode()) <= LONGEST:
        return kept
    short = kept.encode()[:LONGEST].decode(errors="ignore")
    return f"{short}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")


def address(port: int, study_tags: Sequence[str]) -> str:
    """Where the board opens: on the time series, with the answers and the first curves pinned to the top."""
    picture = {"plugin": "images", "tag": pictures.PICTURE, "runId": "defaultExperimentId/.", "sample": 0}
    cards = [picture, *({"plugin": "scalars", "tag": tag} for tag in study_tags)]
    return f"http://{HOST}:{port}/?pinnedCards={quote(json.dumps(cards, separators=(',', ':')))}#timeseries"


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
    with suppress(KeyboardInterrupt), serving(directory / FOLDER, port) as (bare, server):
        tags = [tags[key] for tags in TAGS.values() for key in FIRST if _has_tag(directory / FOLDER, tags[key])]
        opens = address(int(bare.rstrip("/").rpartition(":")[2]), tags)
        print(f"TensorBoard shows {directory} at {opens} (Ctrl-C ends it)", flush=True)  # noqa: T201
        server.wait()


def _has_tag(folder: Path, tag: str) -> bool:
    """Whether some event file holds a tag, without reading its events one by one."""
    return any(tag.encode() in path.read_bytes() for path in folder.rglob("events.out.*"))


def overview(study: StudyResult, left_out: Sequence[Run] = ()) -> str:
    """A sentence a claim, then all verdicts as a Markdown table."""
    cell = markdown.cell
    lines = [wording.half_trained(study), ""]
    for claim in study.claims:
        word = answers.word(claim.overall.outcome, answers.is_preview_of(claim))
        lines.append(f"* **{cell(answers.title(claim))}**: {word}. {cell(answers.sentence(claim))}")
    if left_out:
        ids = ", ".join(dict.fromkeys(run.claim.id for run in left_out))
        text = t(
            "{count} more runs are left out, of {claims}: `rlnorm board DIR --claims ID` shows them.",
            count=len(left_out),
            claims=ids,
        )
        lines += ["", text]
    lines += ["", *markdown.table([t(head) for head in HEADS], (row for claim in study.claims for row in _rows(claim)))]
    return "\n".join(lines).strip()


def page(result: ClaimResult) -> str:
    """One claim with its verdicts as Markdown."""
    cell, given = markdown.cell, [part for part in result.parts if part.verdict.judgement.reason]
    reasons = [f"* **{cell(part.name)}**: {cell(part.verdict.judgement.reason)}" for part in given]
    head = [
        f"## {cell(answers.title(result))}",
        "",
        cell(answers.sentence(result)),
        "",
        cell(result.claim.statement),
        "",
    ]
    head += [f"{t('Source')}: {cell(result.claim.source)}", ""]
    return "\n".join([*head, *markdown.table([t(name) for name in HEADS], _rows(result)), "", *reasons])


def hparams(shown: Sequence[Run]) -> list[events.HParams]:
    """The settings of every arm as TensorBoard wants them: the same keys and types everywhere, never None.

    Norm, environment, place and rate come first; what is the same in all arms is left out. A setting is a number or a
    truth value only where it is one in every arm; else it is text, a dash where missing.
    """
    found: list[dict[str, object]] = []
    for run in shown:
        settings, arm = dict(run.arm.settings), run.arm
        first = {"learning rate": arm.rate, **{key: settings.pop(key, None) for key in LEADING[1:]}}
        own = {"claim": run.claim.id, "part": run.part.name, "arm": arm.name}
        role = {"control": run.control}
        found.append({**first, **own, **role, **{key: settings[key] for key in settings if key not in own}})
    keys = dict.fromkeys(key for settings in found for key in settings)
    columns = {key: _one_type([settings.get(key) for settings in found]) for key in keys}
    telling = {key: column for key, column in columns.items() if key == "arm" or len(set(column)) > 1}
    return [{key: column[i] for key, column in telling.items()} for i in range(len(found))]


def charts(shown: Sequence[Run], named: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """A category a claim -> a chart for each of its parts' curves -> the prefix of its tags: all arms but controls."""
    found: dict[str, dict[str, str]] = {}
    for run in shown:
        if not run.control:
            own = found.setdefault(f"{run.claim.id}: {answers.title(run.claim)}", {})
            drawn = [
                key for key, _ in sorted(_lines(run.arm), key=lambda line: line[0] not in FIRST) if key != "epsilon"
            ]
            own |= {f"{run.part.name}: {_title(key)}": f"{run.bands}/{_tag(key, named)}" for key in drawn}
    return found


def _title(key: str) -> str:
    return t(wording.CURVES[key]) if key in wording.CURVES else " ".join(key.split("/")[1:]).replace("_", " ")


def _tag(key: str, named: Mapping[str, str]) -> str:
    return named.get(key, key)


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


def _means(run: Run, named: Mapping[str, str]) -> Iterator[events.Event]:
    columns: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    spread: dict[str, Curve] = {}
    for key, curve in _lines(run.arm):
        drawn, tag = confidence_bands.curve(curve.values), _tag(key, named)
        mean = np.where(np.isfinite(drawn.mean), drawn.mean, drawn.rest)
        columns[tag] = curve.steps, mean
        if key == "epsilon":
            continue
        spread[f"runs/{tag}"] = curve
        if not run.control:
            # a Margin chart needs all three at every step: where there is no band, it has no width
            low, high = (np.where(np.isfinite(end), end, mean) for end in (drawn.low, drawn.high))
            ends = (("mean", mean), ("low", low), ("high", high))
            columns |= {f"{run.bands}/{tag}/{name}": (curve.steps, values) for name, values in ends}
    yield from events.scalars(columns)
    yield from events.histograms({tag: (curve.steps, curve.values) for tag, curve in spread.items()})


def _score_tag(run: Run) -> str:
    return f"score/{run.part.metric}"


def _scores(run: Run) -> events.Event:
    arm = run.arm
    last = max((int(curve.steps[-1]) for curve in arm.curves.values() if len(curve.steps)), default=0)
    diverged = float(arm.diverged.mean()) if len(arm.diverged) else 0.0
    values = {_score_tag(run): confidence_bands.point(arm.scores).estimate, "score/diverged fraction": diverged}
    return events.event(last, [events.scalar(tag, value) for tag, value in values.items() if np.isfinite(value)])


def _rows(result: ClaimResult) -> Iterator[tuple[str, ...]]:
    word = answers.word(result.overall.outcome, answers.is_preview_of(result))
    yield f"**{result.id}**", f"**{word}**", "", "", "", ""
    for part in result.parts:
        verdict, scale = part.verdict, wording.scale_of(result.claim.parts.get(part.name))
        numbers = (wording.estimate(verdict, scale), wording.interval(verdict, scale), wording.margin(verdict, scale))
        yield (
            part.name,
            answers.word(verdict.outcome, answers.is_preview(verdict)),
            *numbers,
            wording.seeds(verdict, scale),
        )
