"""TensorBoard's event files, written in bulk: one event holds all tags of a step.

`SummaryWriter.add_scalar` writes them one by one at about 80 µs each; its `add_hparams` opens a run of its own.
"""

import os
import re
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.struct_pb2 import Value as StructValue
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as layout_metadata
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

# The classes of generated modules come into being at import: a type checker cannot see them.
_api: Any = api_pb2
_data: Any = plugin_data_pb2
_event: Any = event_pb2
_layout: Any = layout_pb2
_summary: Any = summary_pb2
_tensor: Any = tensor_pb2
_shape: Any = tensor_shape_pb2
_types: Any = types_pb2

Event = Any
Value = Any
OURS = re.compile(r"events\.out\.(tfevents|partial)\.\d+\.\d+\.rlnorm")
HParams = Mapping[str, bool | float | str]


def event(step: int, values: Iterable[Value]) -> Event:
    """All values of one step."""
    return _event.Event(step=step, wall_time=time.time(), summary=_summary.Summary(value=list(values)))


def scalar(tag: str, value: float) -> Value:
    """One number, kept as float32."""
    return _summary.Summary.Value(tag=tag, simple_value=value)


def scalars(columns: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Iterator[Event]:
    """tag -> (steps (T,), values (T,)) as one event per step; what is not finite is left out."""
    rows: dict[int, list[Value]] = {}
    for tag, (steps, values) in columns.items():
        for step, value in zip(steps.tolist(), values.tolist()):
            if np.isfinite(value):
                rows.setdefault(int(step), []).append(scalar(tag, value))
    return (event(step, rows[step]) for step in sorted(rows))


def text(tag: str, markdown: str) -> Value:
    """A text in Markdown, for the Text tab."""
    shape = _shape.TensorShapeProto(dim=[_shape.TensorShapeProto.Dim(size=1)])
    tensor = _string(markdown.encode(), tensor_shape=shape)
    metadata = text_metadata.create_summary_metadata(display_name=tag, description="")
    return _summary.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def image(tag: str, png: bytes) -> Value:
    """A picture, for the Images tab and the Time Series."""
    width, height = struct.unpack(">II", png[16:24])
    picture = _summary.Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
    return _summary.Summary.Value(tag=tag, image=picture)


def histograms(columns: Mapping[str, tuple[np.ndarray, np.ndarray]], most: int = 20) -> Iterator[Event]:
    """tag -> (steps (T,), values (n, T)): how the finite ones of n runs are distributed, at `most` steps."""
    for tag, (steps, values) in columns.items():
        for at in np.unique(np.linspace(0, len(steps) - 1, min(len(steps), most)).round().astype(int)):
            known = values[:, at][np.isfinite(values[:, at])]
            if len(known):
                counts, limits = np.histogram(known, bins=min(len(known), 10))
                yield event(int(steps[at]), [histogram(tag, counts.tolist(), limits)])


def histogram(tag: str, counts: Sequence[int], limits: np.ndarray) -> Value:
    """How many values lie between each two of `limits`, which are one more; TensorBoard shows nothing else of them."""
    own = _summary.HistogramProto(
        min=limits[0], max=limits[-1], num=sum(counts), bucket_limit=limits, bucket=[0, *counts]
    )
    return _summary.Summary.Value(tag=tag, histo=own)


def bands_layout(categories: Mapping[str, Mapping[str, str]]) -> Value:
    """The layout of the Custom Scalars tab: category -> title of a Margin chart -> prefix of /mean, /low, /high.

    Tags are exact and of one run; a chart shows every run that is ticked. Only one layout may be in a log directory.
    """
    drawn = [
        # the tab shows the charts of a category from the last to the first
        _layout.Category(title=category, chart=[_band(title, key) for title, key in reversed([*charts.items()])])
        for category, charts in categories.items()
        if charts
    ]
    tensor = _string(_layout.Layout(category=drawn).SerializeToString(), tensor_shape=_shape.TensorShapeProto())
    metadata = layout_metadata.create_summary_metadata()
    return _summary.Summary.Value(tag=layout_metadata.CONFIG_SUMMARY_TAG, metadata=metadata, tensor=tensor)


def _band(title: str, key: str) -> Any:
    """A Margin chart of one mean with its band."""
    series = _layout.MarginChartContent.Series(value=f"{key}/mean", lower=f"{key}/low", upper=f"{key}/high")
    return _layout.Chart(title=title, margin=_layout.MarginChartContent(series=[series]))


def hparams(own: HParams, differing: Set[str], metrics: Iterable[str]) -> Iterator[Event]:
    """The three summaries of the HParams tab for one run; settings that differ between runs are marked.

    Every run of a log directory must give the same keys with the same types, and the same metrics (tags of scalars).
    """
    now = time.time()
    experiment = _api.Experiment(
        hparam_infos=[
            _api.HParamInfo(name=key, type=_type(value), differs=key in differing) for key, value in own.items()
        ],
        metric_infos=[_api.MetricInfo(name=_api.MetricName(tag=tag)) for tag in metrics],
        time_created_secs=now,
    )
    settings = {key: _struct(value) for key, value in own.items()}
    for tag, data in (
        (hparams_metadata.EXPERIMENT_TAG, {"experiment": experiment}),
        (
            hparams_metadata.SESSION_START_INFO_TAG,
            {"session_start_info": _data.SessionStartInfo(hparams=settings, start_time_secs=now)},
        ),
        (
            hparams_metadata.SESSION_END_INFO_TAG,
            {"session_end_info": _data.SessionEndInfo(status=_api.STATUS_SUCCESS, end_time_secs=now)},
        ),
    ):
        metadata = hparams_metadata.create_summary_metadata(_data.HParamsPluginData(**data))
        yield event(0, [_summary.Summary.Value(tag=tag, metadata=metadata, tensor=hparams_metadata.NULL_TENSOR)])


def write(run: Path, events: Iterable[Event]) -> None:
    """Write one event file into the folder `run`, whole or not at all."""
    run.mkdir(parents=True, exist_ok=True)
    # a name never used before: a running TensorBoard would go on reading where the old file of that name ended
    name = f"{time.time_ns()}.{os.getpid()}.rlnorm"
    partial = run / f"events.out.partial.{name}"
    with partial.open("wb") as out:
        writer = RecordWriter(out)
        writer.write(_event.Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        for each in events:
            writer.write(each.SerializeToString())
    partial.replace(run / f"events.out.tfevents.{name}")


def clear(folder: Path) -> None:
    """Remove our event files under `folder`, and the folders that this leaves empty. Others' files stay."""
    ours = [path for path in folder.rglob("events.out.*") if OURS.fullmatch(path.name)]
    for path in ours:
        path.unlink(missing_ok=True)
    emptied = {parent for path in ours for parent in path.parents if parent.is_relative_to(folder)}
    for each in sorted(emptied, reverse=True):
        with suppress(OSError):  # there is something in it
            each.rmdir()


def _string(content: bytes, **more: Any) -> Any:
    return _tensor.TensorProto(dtype=_types.DT_STRING, string_val=[content], **more)


def _struct(value: bool | float | str) -> StructValue:
    if isinstance(value, bool):
        return StructValue(bool_value=value)
    return StructValue(string_value=value) if isinstance(value, str) else StructValue(number_value=value)


def _type(value: bool | float | str) -> int:
    if isinstance(value, bool):
        return _api.DATA_TYPE_BOOL
    return _api.DATA_TYPE_STRING if isinstance(value, str) else _api.DATA_TYPE_FLOAT64
