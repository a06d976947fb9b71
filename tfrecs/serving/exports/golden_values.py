"""Raw values of golden requests, and what beside a history they become for a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tfrecs._keras import tf
from tfrecs.data import (
    Categorical,
    Column,
    EventInputs,
    Events,
    Histories,
    History,
    Schema,
    Text,
    Timestamp,
    Vector,
    Vocabulary,
)
from tfrecs.serving.exports.signature import unknown_id

# Rows of a golden request.
ROWS = 4


def golden_frame(schema: Schema) -> pd.DataFrame:
    """Returns raw values of a schema's columns: known ones twice, then unknown, then missing."""
    columns = {name: _values(column) for name, column in schema.items()}
    return pd.DataFrame(
        {name: pd.Series(values, dtype=object) for name, values in columns.items()},
        index=range(ROWS),
    )


def _values(column: Column) -> list[Any]:
    if isinstance(column, Categorical):
        first, last, unknown = _known_and_unknown(column.vocabulary)
        if not column.max_values:
            return [first, last, unknown, None]
        return [[first], [last, unknown] * column.max_values, [unknown], None]
    if isinstance(column, History):
        first, last, unknown = _known_and_unknown(column.vocabulary)
        return [[first, last], [unknown, last, first] * column.max_length, [unknown], None]
    if isinstance(column, Text):
        first, last, _ = _known_and_unknown(column.tokenizer.vocabulary)
        return [f"{first} {last}", f"«{last}» {first}!" * 20, "?unknown zzzz", None]
    if isinstance(column, Timestamp):
        return [951_782_400, -1, 1_700_000_000, None]
    if isinstance(column, Vector):
        ramp = np.linspace(-1, 1, column.size).tolist()
        return [ramp, [0.5] * column.size, ramp[::-1], None]
    return [0.5, -2.0, 30.0, None]


def _known_and_unknown(vocabulary: Vocabulary) -> tuple[Any, Any, Any]:
    ids = vocabulary.ids.tolist() or [unknown_id(vocabulary)]
    unknown = unknown_id(vocabulary)
    if not vocabulary.is_integer:
        unknown = "unknown"
        while vocabulary.encode(unknown) != vocabulary.oov_id:
            unknown += "_"
    return ids[0], ids[-1], unknown


def golden_events(
    inputs: EventInputs, histories: Histories, length: int
) -> tuple[pd.DataFrame, dict[str, tf.Tensor]]:
    """What is beside the items of histories: as data, and as the model's features."""
    total = len(histories.values)
    schema = Schema({}) if inputs.schema is None else inputs.schema
    repeated = np.arange(total) % ROWS
    raw = golden_frame(schema).iloc[repeated].reset_index(drop=True)
    if "timestamp" in raw or inputs.times or inputs.request_time:
        # Intervals from nothing to years, and a time that is missing.
        times = [1_700_000_000 + 7 ** (i % 10) for i in range(total)]
        raw["timestamp"] = pd.Series([*times[:2], None, *times[3:]], dtype=object)
    placed = Histories(histories.values, histories.offsets, np.arange(total))
    rows = np.arange(ROWS)
    features = Events(raw).features(placed, rows, length, inputs)
    lists = {
        f"history.{name}": pd.Series(
            [
                values.tolist()
                for values in np.split(column.to_numpy(object), histories.offsets[1:-1])
            ],
            dtype=object,
        )
        for name, column in raw.items()
    }
    frame = pd.DataFrame(lists, index=range(ROWS))
    if inputs.request_time:
        asked = [1_700_000_000 + 86_400 * row for row in range(ROWS)]
        frame["request_time"] = asked
        features["request_time"] = np.array(asked, np.int64)
    return frame, {name: tf.constant(column) for name, column in features.items()}
