"""The graph that is served: raw ids of users in, raw ids and scores of the best items out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfrecs._keras import tf
from tfrecs.data import Vocabulary

if TYPE_CHECKING:
    from tfrecs.models import Model


def padding_id(items: Vocabulary) -> int | str:
    """The raw id that stands for no item: "" or -1, or the next lower integer that is no item's."""
    if not items.is_integer:
        return ""
    padding = -1
    while items.encode(padding) != items.oov_id:
        padding -= 1
    return padding


def _tables(ids: Vocabulary, path: Path) -> tuple[Any, Any]:
    """Tables from raw ids to line numbers (-1 if unknown), and back (`padding_id` if none)."""
    key = tf.int64 if ids.is_integer else tf.string
    # Integers are read as a column, strings as whole lines: they may hold any character.
    whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    raw = 0 if ids.is_integer else whole
    fingerprint = ids.fingerprint()

    def table(keys: Any, key_index: int, values: Any, value_index: int, default: Any) -> Any:
        initializer = _Vocabulary(
            str(path), keys, key_index, values, value_index, vocab_size=len(ids)
        )
        initializer.fingerprint = fingerprint
        return tf.lookup.StaticHashTable(initializer, default)

    return table(key, raw, tf.int64, line, -1), table(tf.int64, line, key, raw, padding_id(ids))


class TopItems(tf.Module):  # type: ignore[misc]
    """The signature `recommend` of a model that scores all items for a user.

    A product model's item vectors are computed here, once: a request costs a query vector, one
    matrix product and one top-k. Everything is plain TensorFlow: no Python, no custom operation, no
    compiled function, nothing that a stock server lacks.

    Args:
        model: A model that scores items for `{"history": [batch, max_history]}`,
            `{"user_id": [batch]}`, or both.
        items: The raw ids of its items.
        users: The raw ids of its users; None if it knows none.
        max_history: How many items of a history it reads, 0 if none.
        k: Number of items to return.
        folder: Where `items.txt`, and `users.txt` where there are users, hold the raw ids, one a
            line; they become assets of the SavedModel.
    """

    def __init__(
        self,
        model: Model,
        items: Vocabulary,
        users: Vocabulary | None,
        max_history: int,
        k: int,
        folder: Path,
    ) -> None:
        super().__init__(name="top_items")
        # Methods, not the model itself: `tf.Module` would save all that hangs on it.
        self._query_vectors, self._score = model.query_vectors, model.score
        self._k = k
        self._length = max_history
        self._lines, self._raw_ids = _tables(items, folder / "items.txt")
        self._users = None if users is None else _tables(users, folder / "users.txt")[0]
        self._num_users = len(users or ())
        self._item_vectors = None
        if model.is_product:
            # Row i is item i, as column i of the scores; row 0 is padding.
            vectors = tf.pad(tf.cast(model.item_vectors(), tf.float32), [[1, 0], [0, 0]])
            self._item_vectors = tf.Variable(vectors, trainable=False, name="item_vectors")
        signature = [tf.TensorSpec([None, None], self._lines.key_dtype, name="history")]
        if self._users is not None:
            signature.append(tf.TensorSpec([None], self._users.key_dtype, name="user_id"))
        self.recommend = tf.function(self._recommend, input_signature=signature)
        # What the graph reads of the model is saved, and no more; in an order of their own (the
        # graph's is random), so that the same model always gives the same files.
        read = self.recommend.get_concrete_function().graph.variables
        self._weights = sorted(read, key=lambda weight: weight.name)

    def _recommend(
        self, history: tf.Tensor, user_id: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        # A TensorFlow session feeds any shape, whatever the signature says.
        history = tf.ensure_shape(history, [None, None])
        # The padding on the left makes every row as long as the model reads, and puts the id 0
        # among the ones never to be recommended.
        items = tf.cast(self._lines.lookup(history) + 1, tf.int32)
        items = tf.pad(items, [[0, 0], [max(self._length, 1), 0]])
        features = {"history": self._most_recent(items)} if self._length else {}
        if user_id is not None and self._users is not None:
            line = self._users.lookup(tf.ensure_shape(user_id, [None]))
            unknown = tf.constant(self._num_users, tf.int64)
            features["user_id"] = tf.cast(tf.where(line < 0, unknown, line) + 1, tf.int32)
        scores = self._scores(features)
        best, ids = tf.math.top_k(_without(scores, items), self._k)
        available = best > best.dtype.min
        raw_ids = self._raw_ids.lookup(tf.where(available, tf.cast(ids, tf.int64) - 1, -1))
        return {"item_id": raw_ids, "score": best}

    def _most_recent(self, items: tf.Tensor) -> tf.Tensor:
        """The last ids of each row that are items, in order, padded on the left with 0."""
        position = tf.range(tf.shape(items)[1])
        newest = tf.math.top_k(tf.where(items > 0, position, -1), self._length).indices
        return tf.gather(items, newest[:, ::-1], batch_dims=1)

    def _scores(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        """Scores `[batch, 1 + n]`, column i of item i."""
        if self._item_vectors is None:
            scores = tf.cast(self._score(features), tf.float32)
            return tf.pad(scores, [[0, 0], [1, 0]])
        queries = tf.cast(self._query_vectors(features), tf.float32)
        return tf.matmul(queries, self._item_vectors, transpose_b=True)


def _without(scores: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
    """`scores` with the least float32 at `items` (0 included) and wherever no number stands."""
    # Top-k returns nonsense around NaN, and JSON has no word for infinity.
    lowest = scores.dtype.min
    scores = tf.where(tf.math.is_finite(scores), scores, lowest)
    row = tf.broadcast_to(tf.range(tf.shape(items)[0])[:, tf.newaxis], tf.shape(items))
    seen = tf.stack([row, items], axis=-1)
    return tf.tensor_scatter_nd_update(scores, seen, tf.fill(tf.shape(items), lowest))


class _Vocabulary(tf.lookup.TextFileInitializer):  # type: ignore[misc]
    """A table's content, whose name in the graph tells the content and not a temporary path."""

    fingerprint = ""

    @property
    def _shared_name(self) -> str:
        return f"vocabulary_{self.fingerprint}_{self._key_index}_{self._value_index}"
