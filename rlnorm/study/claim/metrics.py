"""The scores that a part may name, and what each is made of."""

from collections.abc import Mapping
from dataclasses import replace

from rlnorm.study.claim.declare import Effect
from rlnorm.study.claim.dqn_metrics import DQN
from rlnorm.study.claim.question import Metric
from rlnorm.study.claim.scored import Scored, summary_metric
from rlnorm.study.claim.supervised_metrics import SUPERVISED

METRICS: Mapping[str, Scored] = {scored.metric.name: scored for scored in (*DQN, *SUPERVISED)}


def metric_of(part: Effect, name: str, steps: int) -> Metric:
    """What a run's score in a part is, for runs of that budget."""
    scored = METRICS[name]
    metric = replace(scored.metric, random=float(steps), reachable=0.0) if scored.of_budget else scored.metric
    return summary_metric(metric, part.summary if part.points else "mean")
