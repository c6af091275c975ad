"""Where we differ from torch on purpose: the one table, read by the tests that run torch's own cases.

Elsewhere: errors are of torch's class, in our own words; momentum outside [0, 1] is refused; InstanceNorm counts its
batches and takes `momentum=None` as the cumulative average; InstanceNorm refuses a wrong width without affine too.
"""

EARLIER = "a setting without a meaning is refused where it is given: by the constructor, not by the first pass"
NO_BATCH = "an empty batch is no batch: it is not counted, so that a cumulative average is not thinned by it"
NO_CHANNELS = "an input without a channel axis is refused; torch lets it pass if it is empty"

LEFT_OUT = {"inplace": "it overwrites what a backward pass may need, ours or a neighbour's"}
"""Parameter of torch's functions and modules -> why ours have none of that name."""

BATCH_NORMS = ("nn.BatchNorm1d", "nn.BatchNorm2d", "nn.BatchNorm3d")

MODULE_INPUTS: dict[tuple[str, str], str] = {(name, "zero_batch"): NO_BATCH for name in BATCH_NORMS}
"""(module, description of torch's case) -> why the counter differs."""

MODULE_ERRORS: dict[tuple[str, str], str] = {
    (name, eps): EARLIER for name in BATCH_NORMS for eps in ("eps=-1.0", "eps=0.0")
}
"""(module, keyword arguments of torch's case) -> why it is raised elsewhere."""

FUNCTION_SAMPLES: dict[tuple[str, int], str] = {("nn.functional.batch_norm", i): NO_CHANNELS for i in (3, 4)}
"""(function, number of torch's sample) -> why it is refused."""
