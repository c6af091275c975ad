"""What normalization is said to change, measured on any torch module and a batch."""

from rlnorm.probes.formulas import PROBES, Moments, Probe, overestimation
from rlnorm.probes.measure import NETWORK, Probed, State, measure, plain, probe
from rlnorm.probes.snapshots import Times, snapshot

__all__ = [
    "NETWORK",
    "PROBES",
    "Moments",
    "Probe",
    "Probed",
    "State",
    "Times",
    "measure",
    "overestimation",
    "plain",
    "probe",
    "snapshot",
]
