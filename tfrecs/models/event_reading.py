"""What sequence models share to read the events of a history beside their items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfrecs._keras import tf
from tfrecs.data import EventInputs, Schema
from tfrecs.layers import EventEmbedding
from tfrecs.models.base import Features, Model

if TYPE_CHECKING:
    from typing_extensions import Self


class EventReading(Model):
    """A model that may read what a log tells of the events of a history.

    A constructor calls `read_events`, and makes `event_embedding` by `make_event_embedding`.
    """

    event_dim: int
    _event_inputs: EventInputs | None
    event_embedding: EventEmbedding | None

    @classmethod
    def from_split(cls, split: Any, **kwargs: Any) -> Self:
        """Returns a model of a split, which has read the events' schema and numbers from it."""
        names = kwargs.get("event_features")
        if "event_schema" not in kwargs:
            events = getattr(split, "events", None)
            kwargs["event_schema"] = None
            if names:
                if events is None:
                    raise ValueError(
                        f"{cls.__name__}: event_features are {names!r}, and the data have no "
                        "columns beside users and items."
                    )
                kwargs["event_schema"] = events.schema(names)
        model = super().from_split(split, **kwargs)
        if model.event_embedding is not None:
            columns = split.train.event_columns(EventInputs(model.event_embedding.schema))
            model.event_embedding.adapt(
                {name.removeprefix("history."): column for name, column in columns.items()}
            )
        return model

    def read_events(self, names: Sequence[str] | None, schema: Schema | None) -> None:
        """Notes which columns of events the model reads, if any.

        Args:
            names: Names of columns; None for all of the schema.
            schema: What the columns hold; None for no columns.

        Raises:
            ValueError: If there are names without a schema, or other ones than its own.
        """
        self._event_inputs = None
        # Not of the class: Keras tracks no layer under a name that the class has.
        self.event_embedding = None
        if not names and schema is None:
            return
        if schema is None:
            raise ValueError(
                f"event_features {names!r} name columns of a log: make the model by "
                f"{type(self).__name__}.from_split, or give event_schema."
            )
        read = [names] if isinstance(names, str) else list(names or schema)
        for name in read:
            if name not in schema:
                raise ValueError(f"The event_schema has no column {name!r}: {schema}.")
        chosen = Schema({name: schema[name] for name in read})
        self._event_inputs = EventInputs(chosen)
        self.remember(event_features=read, event_schema=chosen)

    @property
    def event_inputs(self) -> EventInputs | None:
        """What the model reads of the events of a history, beside their items; None for nothing."""
        return self._event_inputs

    def make_event_embedding(self, dim: int, seed: int | None) -> EventEmbedding | None:
        """Returns a new projection of the events' columns; None where none is read."""
        schema = None if self._event_inputs is None else self._event_inputs.schema
        if schema is None:
            return None
        return EventEmbedding(
            schema, dim, self.event_dim, seed, dtype=tf.float32, name="event_embedding"
        )

    def _events(self, events: Features | None) -> dict[str, Features]:
        """Returns what `encode` is told of events: what it reads, cut to `max_length`."""
        inputs = self.event_inputs
        if inputs is None or events is None:
            return {}
        lacking = [name for name in inputs.specs() if name not in events]
        if lacking:
            raise ValueError(
                f"{type(self).__name__} reads {', '.join(map(repr, lacking))} beside "
                f'"history", and the batch has only {", ".join(map(repr, events))}.'
            )
        return {"events": last_events({n: events[n] for n in inputs.specs()}, self.max_length)}

    def _features_of(self, split: Any) -> dict[str, Any]:
        inputs = self._event_inputs
        schema = {} if inputs is None else {"event_schema": inputs.schema}
        return super()._features_of(split) | schema


def last_events(events: Features, length: int) -> Features:
    """Returns what a batch has of the last `length` events of each row."""
    return {n: x if n == "request_time" else x[:, -length:] for n, x in events.items()}
