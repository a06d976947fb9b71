"""What requests say of users: their ids, their histories and what is beside the items of these."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from tfrecs._keras import tf
from tfrecs.data import EventInputs, Schema, Timestamp
from tfrecs.data.features.events import MISSING_TIME
from tfrecs.serving.exports.raw_columns import RawColumns
from tfrecs.serving.exports.signature import (
    Raw,
    RawIds,
    RawInput,
    VocabularyFiles,
    at_places,
    recent_places,
    tensor_name,
)


class RawQueries(tf.Module):  # type: ignore[misc]
    """Makes a model's features of raw values, as far as it reads them.

    The inputs are `history` and `user_id`; `history_<column>` for each column of events, and
    `history_timestamp` for their times, with a value for each item of the history; and
    `request_time`.

    Args:
        items: The raw ids of items.
        users: The raw ids of users; None if the model knows none.
        max_history: How many items of a history the model reads, 0 if none.
        events: What the model reads of the events of a history; None for nothing.
        files: Where vocabularies are written.
    """

    def __init__(
        self,
        items: RawIds,
        users: RawIds | None,
        max_history: int,
        events: EventInputs | None,
        files: VocabularyFiles,
    ) -> None:
        super().__init__(name="raw_queries")
        self._max_history = max_history
        self._items, self._users = items, users
        inputs: dict[str, RawInput] = {}
        if max_history:
            inputs["history"] = RawInput.of_ids("history", "History", items, 2)
        if users is not None:
            inputs["user_id"] = RawInput.of_ids("user_id", "Id", users)
        self._events = None
        self._asks_time = events is not None and events.request_time
        if events is not None:
            self._events = _RawEvents(events, files, inputs)
            inputs |= self._events.inputs
        if self._asks_time:
            kind = Timestamp.__name__
            inputs["request_time"] = RawInput("request_time", kind, tf.int64, (None,), MISSING_TIME)
        self.inputs = inputs

    def features(self, raw: Raw) -> dict[str, tf.Tensor]:
        """Returns the model's features from the raw values of `inputs`."""
        features = {}
        if self._max_history:
            known = self.known(raw["history"])
            places = recent_places(known, self._max_history)
            features["history"] = at_places(known, places, 0)
            if self._events is not None:
                features |= self._events(raw, places)
        if self._users is not None:
            features["user_id"] = self._users(raw["user_id"])
        if self._asks_time:
            features["request_time"] = raw["request_time"]
        return features

    def known(self, items: tf.Tensor) -> tf.Tensor:
        """Returns the ids of raw item ids, 0 for an unknown item."""
        ids = self._items(items)
        return tf.where(ids > self._items.size, 0, ids)


class _RawEvents(tf.Module):  # type: ignore[misc]
    """Encodes what is beside the items of a history."""

    def __init__(self, events: EventInputs, files: VocabularyFiles, taken: Collection[str]) -> None:
        super().__init__(name="raw_events")
        schema = events.schema or Schema({})
        self._encode = RawColumns(schema, files)
        # The columns are encoded value by value, and come in lists.
        self._names = {key: tensor_name(f"history_{key}", taken) for key in self._encode.inputs}
        lists = {self._names[key]: _of_lists(given) for key, given in self._encode.inputs.items()}
        self._shapes = {name: column.spec.shape[1:].as_list() for name, column in schema.items()}
        self._times = None
        if events.times or events.request_time:
            times = RawInput("timestamp", Timestamp.__name__, tf.int64, (None,), MISSING_TIME)
            names = {given.column: name for name, given in lists.items()}
            # A column of times may be a feature too, which needs no second input.
            self._times = names.get("history.timestamp", "history_timestamp")
            lists.setdefault(self._times, _of_lists(times))
        self.inputs = lists

    def __call__(self, raw: Raw, places: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the columns by their names in a batch, at the places of a history's items."""
        width = tf.shape(raw["history"])[1]
        widths = tf.stack([tf.shape(raw[name])[1] for name in self.inputs])
        equal = tf.debugging.Assert(
            tf.reduce_all(widths == width),
            [f"Inputs differ from history in their width ({', '.join(self.inputs)}):", widths],
        )
        with tf.control_dependencies([equal]):
            lists = {
                name: at_places(raw[name], places, given.missing)
                for name, given in self.inputs.items()
            }
        encoded = self._encode(
            {key: tf.reshape(lists[name], [-1]) for key, name in self._names.items()}
        )
        features = {
            f"history.{name}": tf.reshape(
                column, tf.concat([tf.shape(places), self._shapes[name]], axis=0)
            )
            for name, column in encoded.items()
        }
        for name, column in features.items():  # Reshaping forgets static sizes.
            shape = [None, places.shape[1], *self._shapes[name.removeprefix("history.")]]
            features[name] = tf.ensure_shape(column, shape)
        if self._times is not None:
            features["history_time"] = lists[self._times]
        return features


def _of_lists(given: RawInput) -> RawInput:
    """Returns the input of lists, a value for each item of a history, of a column's values."""
    return dataclasses.replace(
        given, column=f"history.{given.column}", shape=(None, None), beside="history"
    )
