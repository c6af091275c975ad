"""The table of checks: what each looks for, its consequence, the remedy, and the source.

A check is one row of `CHECKS` and one function: subject -> findings. Tests and documentation are made from the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from rlnorm.doctor.findings import Found, Level, Threshold
from rlnorm.doctor.layers import bias_before_norm, decayed_gain, norm_on_output
from rlnorm.doctor.modes import acting_on_batch, batch_of_one, left_in_training, target_on_batch
from rlnorm.doctor.statistics import FAR, WARM, WIDE, poisoned, statistics_far
from rlnorm.doctor.subject import Subject
from rlnorm.doctor.targets import MOVED, integer_state, missed_state, shared_norm, target_behind

Need = Literal["norm", "pass", "data"]
LIVE: tuple[Need, ...] = ("norm", "pass")


@dataclass(frozen=True)
class Check:
    """One row.

    find        subject -> where and evidence of each finding; raises Unmade for what cannot be told
    level       of its findings
    needs       "norm": a norm; "pass": one pass through the network; "data": observations of an environment in it
    thresholds  numbers from which on something counts
    """

    name: str
    level: Level
    looks_for: str
    consequence: str
    remedy: str
    source: str
    find: Callable[[Subject], Found]
    needs: tuple[Need, ...] = ()
    thresholds: tuple[Threshold, ...] = ()


CHECKS: Mapping[str, Check] = {
    check.name: check
    for check in (
        Check(
            "acting-on-batch", "fault",
            "a norm that, while the network acts, normalizes with the batch or updates its statistics",
            "An action depends on which observations are evaluated together, a batch of one fails or is normalized to "
            "nothing, and collecting moves the statistics.",
            "Put the norm in eval mode before acting (model.eval(), in an SB3 policy set_training_mode(False)), and "
            "keep running statistics (track_running_stats=True).",
            "Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.1; stable-baselines3 issues 535, 614",
            acting_on_batch, ("pass",),
        ),
        Check(
            "left-in-training", "hint",
            "a whole network in train mode, with norms that normalize with the batch or update their statistics",
            "If it acts like this, an action depends on the batch it is evaluated in, and acting moves the statistics.",
            "Call eval() before acting; in training, examine (online, target) instead.",
            "as acting-on-batch",
            left_in_training, ("pass",),
        ),
        Check(
            "target-on-batch", "fault",
            "a norm in a target network that normalizes with the batch or updates statistics of its own",
            "The same transition gets another target in every minibatch, and the target's statistics are no copy.",
            "Keep the target in eval mode all the time, and copy statistics with the parameters.",
            "Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.1; stable-baselines3 dqn.py, policies.py",
            target_on_batch, ("pass",),
        ),
        Check(
            "target-behind", "fault",
            "a target that received parameters and not the statistics that belong to them",
            "The target computes another function than the online network did, and bootstraps from it.",
            "Copy buffers with the parameters at each target update: target.load_state_dict(online.state_dict()), or "
            "for averaged parameters copy_ every buffer.",
            "stable-baselines3 issue 996",
            target_behind, (), (MOVED,),
        ),
        Check(
            "missed-state", "fault",
            "state of the online network that no target update of stable-baselines3 copies",
            "The target normalizes with this state as it was at set-up, for ever.",
            'Keep statistics in float buffers named "running_*", updated in place (copy_, mul_, never assigned), '
            "and not moved or cast after the model is set up.",
            "stable-baselines3 utils.get_parameters_by_name, DQN._setup_model",
            missed_state, ("pass",),
        ),
        Check(
            "integer-state", "fault",
            "an integer buffer with running_ in its name under a target network of stable-baselines3",
            "The first target update stops with: result type Float can't be cast to the desired output type Long.",
            "Register it as a float, or name it without running_.",
            "stable-baselines3 utils.polyak_update",
            integer_state,
        ),
        Check(
            "shared-norm", "fault",
            "a norm that is the same object, or shares storage, in online network and target",
            "Each update of the online network moves the target at once: there is no fixed target.",
            "Build the target anew or with copy.deepcopy, then load the online state.",
            "Mnih et al. 2015, Nature 518, Methods",
            shared_norm, ("norm",),
        ),
        Check(
            "batch-of-one", "fault",
            "minibatches of one sample for norms that normalize with the batch",
            "Training stops with an error, or the sample is normalized to beta whatever it is.",
            "Choose batch_size so that n_steps * n_envs leaves no remainder of 1, and above 1.",
            "torch.nn.BatchNorm1d; stable-baselines3 PPO.train",
            batch_of_one, LIVE,
        ),
        Check(
            "statistics-far", "fault",
            "running statistics far from the data that reach the norm while acting",
            "Acting and targets use another function than the one that was trained.",
            "Estimate them anew with rlnorm.nn.update_bn, check that training updates them, and that observations are "
            "wrapped and normalized as in training.",
            "Bhatt et al. 2024, arXiv:1902.05605, sec. 4",
            statistics_far, (*LIVE, "data"), (FAR, WIDE, WARM),
        ),
        Check(
            "poisoned", "fault",
            "running statistics that are NaN or infinite",
            "Outputs in eval mode are NaN for ever: an average never forgets a NaN, nor does a copy to the target "
            "(0 * NaN is NaN).",
            "Find the batch that was not finite, reset the statistics, and build norms with guard=True.",
            "rlnorm.nn.BatchNorm1d, guard",
            poisoned, ("norm",),
        ),
        Check(
            "norm-on-output", "hint",
            "a norm behind the last weights of a network",
            "Values and actions cannot leave gamma * xhat + beta: the norm sets their scale, not the return.",
            "End the network with a bare Linear; a norm at the end of a features extractor is fine.",
            "rlnorm.networks.mlp; Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.2",
            norm_on_output, LIVE,
        ),
        Check(
            "bias-before-norm", "hint",
            "a bias right before a norm that takes off each channel's mean",
            "The bias does nothing; its gradient is rounding, which Adam turns into full steps that the running mean "
            "must follow.",
            "Build that layer with bias=False; beta does its work.",
            "Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.2",
            bias_before_norm, LIVE,
        ),
        Check(
            "decayed-gain", "hint",
            "weight decay on gamma, beta or gains",
            "Decay pulls the scale of normalized layers to 0 and restrains no function that the norm lets through.",
            "Give rlnorm.nn.no_decay_parameters(model) a parameter group with weight_decay=0.",
            "Goyal et al. 2017, arXiv:1706.02677, sec. 5.1",
            decayed_gain,
        ),
    )
}  # fmt: skip
