"""Who a request is about, in raw ids, as models take it in."""

from __future__ import annotations

from tfrecs._keras import tf
from tfrecs.serving.raw_ids import RawIds, most_recent
from tfrecs.serving.signature import Raw, RawInput


class RawQueries(tf.Module):  # type: ignore[misc]
    """Makes a model's features of `history` and `user_id`.

    Args:
        items: The raw ids of items.
        users: The raw ids of users; None if the model knows none.
        max_history: How many items of a history the model reads, 0 if none.
    """

    def __init__(self, items: RawIds, users: RawIds | None, max_history: int) -> None:
        super().__init__(name="raw_queries")
        self.max_history = max_history
        self._items, self._users = items, users
        self.inputs = {"history": RawInput.of_ids("history", "History", items, 2)}
        if users is not None:
            self.inputs["user_id"] = RawInput.of_ids("user_id", "Id", users)

    def features(self, raw: Raw) -> dict[str, tf.Tensor]:
        """Returns what the model takes in.

        Args:
            raw: Values by the names of `inputs`; `history` may be left out where none is read.
        """
        features = {}
        if self.max_history:
            features["history"] = most_recent(self.history(raw), self.max_history)
        if self._users is not None:
            features["user_id"] = self._users(self.inputs["user_id"].checked(raw["user_id"]))
        return features

    def history(self, raw: Raw) -> tf.Tensor:
        """Returns the ids of the whole history, 0 for what is no known item."""
        ids = self._items(self.inputs["history"].checked(raw["history"]))
        return tf.where(ids > self._items.size, 0, ids)
