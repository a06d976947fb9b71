"""Who a request is about, in raw ids, as models take it in; and which items it names."""

from __future__ import annotations

from tfrecs._keras import tf
from tfrecs.serving.raw_ids import RawIds, most_recent
from tfrecs.serving.signature import Raw, RawInput


class RawQueries(tf.Module):  # type: ignore[misc]
    """Makes a model's features of `history` and `user_id`, as far as it reads them.

    Args:
        items: The raw ids of items.
        users: The raw ids of users; None if the model knows none.
        max_history: How many items of a history the model reads, 0 if none.
    """

    def __init__(self, items: RawIds, users: RawIds | None, max_history: int) -> None:
        super().__init__(name="raw_queries")
        self._max_history = max_history
        self._items, self._users = items, users
        self.inputs: dict[str, RawInput] = {}
        if max_history:
            self.inputs["history"] = RawInput.of_ids("history", "History", items, 2)
        if users is not None:
            self.inputs["user_id"] = RawInput.of_ids("user_id", "Id", users)

    def features(self, raw: Raw) -> dict[str, tf.Tensor]:
        """Returns what the model takes in.

        Args:
            raw: Values by the names of `inputs`.
        """
        features = {}
        if self._max_history:
            features["history"] = most_recent(self.known(raw["history"]), self._max_history)
        if self._users is not None:
            features["user_id"] = self._users(raw["user_id"])
        return features

    def known(self, items: tf.Tensor) -> tf.Tensor:
        """Returns the ids of raw item ids, 0 for what is no known item."""
        ids = self._items(items)
        return tf.where(ids > self._items.size, 0, ids)
