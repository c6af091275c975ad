"""Results as people look at them in Python: a short `repr`, a table in notebooks, data frames."""

from collections.abc import Iterator
from dataclasses import fields
from html import escape
from importlib import import_module
from typing import Any

from rlnorm.errors import ConfigError, unknown
from rlnorm.study.judge.results import StudyResult
from rlnorm.study.report import answers, terminal, verdicts, wording
from rlnorm.study.report.language import t

FRAMES = ("verdicts", "runs", "curves")
RUNS = ("claim", "part", "arm", "seed", "rate", "metric", "score", "diverged", "final_return", "second_score")
CURVES = ("claim", "part", "arm", "seed", "step", "name", "value")


class Results(StudyResult):
    """A study's results. `claims` holds all that was found; printing shows a line a claim."""

    @classmethod
    def of(cls, study: StudyResult) -> "Results":
        """The same results."""
        return cls(**{field.name: getattr(study, field.name) for field in fields(study)})

    def __repr__(self) -> str:
        return terminal.text(self).rstrip()

    def _repr_html_(self) -> str:
        """What a notebook shows: a line a claim."""
        heads = t("claim"), t("answer"), t("in short"), t("runs")
        lines = [[escape(cell) for cell in row] for row in self._lines()]
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in lines)
        head = "".join(f"<th>{name}</th>" for name in heads)
        warning = wording.half_trained(self)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" + (
            f"<p>{escape(warning)}</p>" if warning else ""
        )

    def _lines(self) -> Iterator[tuple[str, str, str, str]]:
        for claim in self.claims:
            part = answers.decider(claim)
            runs = answers.runs(part.verdict, answers.scale_of(claim, part)) if part else wording.NOTHING
            word = answers.word(claim.overall.outcome, answers.is_preview_of(claim))
            yield answers.title(claim), word, answers.sentence(claim), runs

    def to_frame(self, what: str = "verdicts") -> Any:
        """A pandas DataFrame.

        verdicts  a row a verdict, as in verdicts.json, without what is nested there
        runs      a row a judged run: its score, whether it diverged, its final greedy return and second score
        curves    a row a recorded number of a run: return, loss, ..., and probes by their tags

        ConfigError for any other name, or where pandas is not installed.
        """
        if what not in FRAMES:
            raise ConfigError(unknown("frame", what, FRAMES))
        try:  # by name: type checkers see it only where it is installed
            pandas = import_module("pandas")
        except ImportError:
            raise ConfigError("to_frame needs pandas, which is not installed: `pip install pandas`.") from None
        if what == "verdicts":
            rows = verdicts.rows(self)
            plain = [name for name in rows[0] if not any(isinstance(row[name], dict | list) for row in rows)]
            return pandas.DataFrame([[row[name] for name in plain] for row in rows], columns=plain)
        columns, found = (RUNS, self._runs()) if what == "runs" else (CURVES, self._curves())
        return pandas.DataFrame(list(found), columns=list(columns))

    def _runs(self) -> Iterator[tuple[object, ...]]:
        for claim, part, arm in wording.arms_of(self):
            for i, seed in enumerate(arm.seeds):
                more = (None if values is None else float(values[i]) for values in (arm.final, arm.second))
                score, diverged = float(arm.scores[i]), bool(arm.diverged[i])
                yield claim.id, part.name, arm.name, seed, arm.rate, part.metric, score, diverged, *more

    def _curves(self) -> Iterator[tuple[object, ...]]:
        for claim, part, arm in wording.arms_of(self):
            for name, curve in {**arm.curves, **arm.probes}.items():
                for seed, values in zip(arm.seeds, curve.values, strict=True):
                    for step, value in zip(curve.steps, values, strict=True):
                        yield claim.id, part.name, arm.name, seed, int(step), name, float(value)
