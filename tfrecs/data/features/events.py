"""What a log tells of interactions beside user and item: ratings, prices, devices, times."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tfrecs._keras import tf
from tfrecs.data.features.columns import Categorical, Column, Numeric
from tfrecs.data.features.schema import Schema
from tfrecs.data.features.wide_columns import Timestamp
from tfrecs.data.log.histories import Histories
from tfrecs.data.log.interactions import Interactions
from tfrecs.data.log.times import in_seconds, parse_times

# A missing time in seconds: the value of NaT in NumPy and pandas.
MISSING_TIME = -(2**63)


@dataclasses.dataclass(frozen=True)
class EventInputs:
    """What a model reads of the events of a history, beside their items.

    Args:
        schema: The columns of events that it reads: categories of one value, numbers and times.
            None for none.
        times: Whether it reads when the events were.
        request_time: Whether it reads when the recommendation is asked for.

    Raises:
        ValueError: If the schema holds another kind of column.

    Example:
        >>> from tfrecs.data import Numeric, Schema
        >>> EventInputs(Schema({"price": Numeric()}), times=True)
        EventInputs('price', times)
    """

    schema: Schema | None = None
    times: bool = False
    request_time: bool = False

    def __post_init__(self) -> None:
        for name, column in (self.schema or {}).items():
            single = isinstance(column, Categorical) and not column.max_values
            if not single and not isinstance(column, Numeric | Timestamp):
                raise ValueError(
                    f"The event column {name!r} is {type(column).__name__}: events have "
                    "categories of one value, numbers and times."
                )
        timed = self.times or self.request_time
        time = None if self.schema is None else self.schema.get("timestamp")
        if timed and time is not None and not isinstance(time, Timestamp):
            raise ValueError(
                "The model reads the times of events, so the event column 'timestamp' must be a "
                "Timestamp, or be left out."
            )

    def missing(self, name: str) -> float:
        """Returns what stands for a missing value in a batch's column of this name."""
        if name in ("history_time", "request_time"):
            return MISSING_TIME
        assert self.schema is not None
        return self.schema[name.removeprefix("history.")].missing

    def specs(self) -> dict[str, tf.TensorSpec]:
        """Returns types and shapes of a batch's columns, by name."""
        specs = {}
        for name, column in (self.schema or {}).items():
            shape = [None, None, *column.spec.shape[1:]]
            specs[f"history.{name}"] = tf.TensorSpec(shape, column.spec.dtype)
        if self.times or self.request_time:
            specs["history_time"] = tf.TensorSpec([None, None], tf.int64)
        if self.request_time:
            specs["request_time"] = tf.TensorSpec([None], tf.int64)
        return specs

    def missing_events(self, rows: Any, length: Any) -> dict[str, tf.Tensor]:
        """Returns a batch's columns without a value.

        Args:
            rows: Number of rows.
            length: Number of events of each.
        """
        return {
            name: tf.fill(
                [rows, *[length, *spec.shape[2:]][: len(spec.shape) - 1]],
                tf.constant(self.missing(name), spec.dtype),
            )
            for name, spec in self.specs().items()
        }

    def __repr__(self) -> str:
        read = [*map(repr, self.schema or ())]
        read += [name for name in ("times", "request_time") if getattr(self, name)]
        return f"EventInputs({', '.join(read)})"


class Events:
    """The columns of a log's interactions, beside user and item.

    `Histories.places` says which row belongs to an item of a history. Columns are encoded when a
    model asks for them, once for all parts of a split.

    Args:
        frame: A row an interaction; the column "timestamp", if there is one, holds its time.
        disliked: `[rows]` bool, which interactions are dislikes; None where the log has none.

    Example:
        >>> import pandas as pd
        >>> events = Events(pd.DataFrame({"rating": [5.0, 3.0], "timestamp": [60, 90]}))
        >>> columns = events.columns(EventInputs(events.schema(["rating"]), times=True))
        >>> {name: column.tolist() for name, column in columns.items()}
        {'history.rating': [5.0, 3.0], 'history_time': [60, 90]}
    """

    def __init__(self, frame: pd.DataFrame, disliked: np.ndarray | None = None) -> None:
        self.frame = frame
        self.disliked = disliked
        self._encoded: tuple[Schema | None, dict[str, np.ndarray]] = (None, {})

    @classmethod
    def of(cls, log: Interactions, more: Interactions | None = None) -> Events | None:
        """Returns the events of a log, and of another one behind it; None if there is no column."""
        logs = [log] if more is None else [log, more]
        if more is not None and log.has_dislikes != more.has_dislikes:
            raise ValueError(
                f"{log.name} and {more.name}: give dislike=... for both logs, or for neither."
            )
        frames, disliked = [], []
        for each in logs:
            without = ["user_id", "item_id"]
            without += ["weight"] * each.has_weights + ["timestamp"] * (not each.has_times)
            frames.append(each.frame.drop(columns=without))
            disliked.append(each.disliked)
        frame = frames[0] if more is None else pd.concat(frames, ignore_index=True)
        if not len(frame.columns):
            return None
        return cls(frame, np.concatenate(disliked) if log.has_dislikes else None)

    def schema(self, names: Sequence[str]) -> Schema:
        """Returns a schema of some columns, read from their values; see `Schema.from_frame`.

        "timestamp" is a `Timestamp`: hour, weekday and month.

        Raises:
            ValueError: If there is no such column, or its values are not to be encoded.
        """
        names = [names] if isinstance(names, str) else list(names)
        self._check(names)
        columns: dict[str, Column] = {}
        read = Schema.from_frame(self.frame[[name for name in names if name != "timestamp"]])
        for name in names:
            if name in read.left_out:
                raise ValueError(f"The event column {name!r} is of no use: {read.left_out[name]}.")
            columns[name] = Timestamp() if name == "timestamp" else read[name]
        return Schema(columns)

    def columns(self, inputs: EventInputs) -> dict[str, np.ndarray]:
        """Returns what a model reads of each row.

        Returns:
            `"history.<column>"` `[rows, ..]` as the schema encodes it; and `"history_time"`
            `[rows]` int64, in seconds since 1970, if `inputs.times` or `inputs.request_time`.

        Raises:
            ValueError: If there is no such column, or the log has no times.
        """
        schema = inputs.schema
        found: dict[str, np.ndarray] = {}
        if schema is not None:
            self._check(schema)
            if self._encoded[0] is not schema:
                self._encoded = (schema, schema.encode(self.frame[list(schema)]))
            found = {f"history.{name}": column for name, column in self._encoded[1].items()}
        if inputs.times or inputs.request_time:
            found["history_time"] = self.seconds
        return found

    def features(
        self, histories: Histories, rows: np.ndarray, length: int, inputs: EventInputs
    ) -> dict[str, np.ndarray]:
        """Returns what a model reads of the last events of some histories.

        Args:
            histories: The histories, with places in these events.
            rows: Which of them.
            length: Number of events of each.
            inputs: What the model reads.

        Returns:
            `"history.<column>"` and `"history_time"`, `[len(rows), length, ..]`, missing at padding
            on the left.
        """
        position, inside = histories.last_positions(rows, length)
        # Where no history has an item, any row of the log stands for the padding.
        places = histories.places if len(histories.values) else np.zeros(1, np.int32)
        assert places is not None
        return {
            name: _filled(column[places[position]], inside, inputs.missing(name))
            for name, column in self.columns(inputs).items()
        }

    @cached_property
    def seconds(self) -> np.ndarray:
        """`[rows]` int64, the times in seconds since 1970; each number's size tells its unit.

        Raises:
            ValueError: If the log has no times.
        """
        if "timestamp" not in self.frame:
            raise ValueError(
                "The model reads times, and the log has no time column: name it with "
                'timestamp="...".'
            )
        times, invalid = parse_times(self.frame["timestamp"])
        return np.where(invalid, MISSING_TIME, in_seconds(times))

    def _check(self, names: Sequence[str] | Schema) -> None:
        """Refuses names that are no columns."""
        for name in names:
            if name not in self.frame.columns:
                raise ValueError(
                    f"The log's interactions have no column {name!r} beside user and item, only "
                    f"{', '.join(map(repr, self.frame.columns))}."
                )

    def __repr__(self) -> str:
        return f"Events({len(self.frame)} rows: {', '.join(self.frame.columns)})"


def inputs_of(scorer: Any) -> EventInputs | None:
    """Returns what a scorer of items reads of events; one that does not say reads nothing."""
    return getattr(scorer, "event_inputs", None)


def no_events(inputs: EventInputs) -> ValueError:
    """Returns the error of a part of a split without events, of which a model reads some."""
    return ValueError(
        f"The model reads {inputs} beside the items of a history, and the data have items alone: "
        "make the split from a log with such columns."
    )


def _filled(values: np.ndarray, inside: np.ndarray, missing: float) -> np.ndarray:
    """Returns values `[rows, length, ..]`, missing where `inside` `[rows, length]` is False."""
    inside = inside.reshape([*inside.shape, *[1] * (values.ndim - 2)])
    return np.where(inside, values, values.dtype.type(missing))
