"""The part of a split that models learn from."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from tfrecs.data.batches.rows import Pairs
from tfrecs.data.batches.sequences import Sequences
from tfrecs.data.features.events import EventInputs, Events, no_events
from tfrecs.data.log.histories import Histories


@dataclasses.dataclass(frozen=True, eq=False)
class TrainSet:
    """The training part of a split: one row a user, items in time order.

    Args:
        histories: Each user's training items.
        user_ids: `[U]` int32, the user of each row.
        num_items: n, the size of the item vocabulary.
        weights: `[N]` float32, the weight in the loss of each of `histories.values`; None if all
            weigh the same.
        events: The log's other columns, at the places of the histories; None where there are none.

    Raises:
        ValueError: If the lengths disagree.

    Example:
        >>> train = TrainSet(Histories.from_lists([[1, 2], [2]]), np.array([1, 2]), num_items=3)
        >>> train.item_counts
        array([0, 1, 2, 0, 0])
    """

    histories: Histories
    user_ids: np.ndarray
    num_items: int
    weights: np.ndarray | None = None
    events: Events | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "user_ids", np.asarray(self.user_ids, np.int32))
        if self.weights is not None:
            object.__setattr__(self, "weights", np.asarray(self.weights, np.float32))
            if self.weights.shape != self.histories.values.shape:
                raise ValueError(
                    f"TrainSet: weights of shape {self.weights.shape} for "
                    f"{len(self.histories.values)} items."
                )
        if len(self.user_ids) != len(self.histories):
            raise ValueError(
                f"TrainSet: {len(self.user_ids)} user ids for {len(self.histories)} histories."
            )

    @property
    def disliked(self) -> np.ndarray | None:
        """`[N]` bool, which of `histories.values` the user disliked; None if the log has none."""
        if self.events is None or self.events.disliked is None:
            return None
        return self.events.disliked[self.histories.places]

    @property
    def item_counts(self) -> np.ndarray:
        """`[n + 2]` int64, the number of training interactions of each item id."""
        return np.bincount(self.histories.values, minlength=self.num_items + 2)

    @property
    def target_counts(self) -> np.ndarray:
        """`[n + 2]` int64, the number of training interactions of each item id, less dislikes."""
        if self.disliked is None:
            return self.item_counts
        return np.bincount(self.histories.values[~self.disliked], minlength=self.num_items + 2)

    def sequences(
        self,
        max_length: int,
        windows: Literal["last", "all"] = "all",
        events: EventInputs | None = None,
    ) -> Sequences:
        """Returns training sequences, whose `batch` gives the input of `fit`; see `Sequences`."""
        return Sequences(self, max_length, windows, events)

    def event_columns(self, inputs: EventInputs) -> dict[str, np.ndarray]:
        """Returns what `inputs` ask for of each of `histories.values`; see `Events.columns`.

        Raises:
            ValueError: If the log had no such columns.
        """
        if self.events is None:
            raise no_events(inputs)
        columns = self.events.columns(inputs)
        return {name: column[self.histories.places] for name, column in columns.items()}

    def pairs(self, max_history: int | None = None) -> Pairs:
        """Returns each interaction as a (user, item) pair, perhaps with a history; see `Pairs`."""
        return Pairs(self, max_history)

    def event_features(
        self, rows: np.ndarray, length: int, inputs: EventInputs
    ) -> dict[str, np.ndarray]:
        """Returns what a model reads of the events of some rows, as if it were asked after them.

        See `EvaluationSet.event_features`; `"request_time"` is the time of a row's last event.
        """
        if self.events is None:
            raise no_events(inputs)
        features = self.events.features(self.histories, rows, length, inputs)
        if inputs.request_time:
            features["request_time"] = features["history_time"][:, -1]
        return features

    def __len__(self) -> int:
        return len(self.histories)

    def __repr__(self) -> str:
        return (
            f"TrainSet({len(self)} users, {len(self.histories.values)} interactions, "
            f"{self.num_items} items)"
        )
