"""The rule of `tfrecs.data.folding` as TensorFlow operations, for exports that take raw texts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from tfrecs._keras import tf
from tfrecs.data.folding import ALONE, OTHER, SPACE, fold_table


class TokenizerModule(tf.Module):
    """Maps string tensors `[batch]` to the ids `[batch, max_tokens]` of their words.

    Args:
        words: The words, id 1 first.
        max_tokens: Words of a text that count.
        ids: Maps words to their ids, n + 1 for others, such as from a file; by default the words
            are constants of the graph.
    """

    def __init__(
        self,
        words: Sequence[str],
        max_tokens: int,
        ids: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> None:
        super().__init__(name="tokenizer")
        starts, kinds, others = fold_table()
        self._starts, self._kinds = starts, kinds
        self._max_tokens = max_tokens
        self._others = _table(list(others), tf.int32, list(others.values()), tf.string, "")
        if ids is None:
            numbers = range(1, len(words) + 1)
            self._words = _table(words, tf.string, numbers, tf.int32, len(words) + 1)
            ids = self._words.lookup
        self._ids: Callable[[tf.Tensor], tf.Tensor] = ids

    def __call__(self, texts: tf.Tensor) -> tf.Tensor:
        """Returns the ids of the first words of each text, 0 after the last one."""
        codes = tf.strings.unicode_decode(texts, "UTF-8")
        code, rows = codes.flat_values, codes.value_rowids()
        kind = tf.gather(self._kinds, tf.searchsorted(self._starts, code, side="right") - 1)
        letters = tf.strings.unicode_encode(code[:, tf.newaxis], "UTF-8")
        letters = tf.where(kind == SPACE, " ", letters)
        letters = tf.where(kind == ALONE, tf.strings.join([" ", letters, " "]), letters)
        letters = tf.where(kind == OTHER, self._others.lookup(code), letters)
        folded = tf.strings.unsorted_segment_join(letters, rows, codes.nrows())
        words = tf.strings.split(folded)
        ids = words.with_flat_values(self._ids(words.flat_values))
        ids = ids.to_tensor(0, shape=[None, self._max_tokens])
        return tf.ensure_shape(ids, [None, self._max_tokens])


def _table(
    keys: Sequence, key_type: tf.DType, values: Sequence, value_type: tf.DType, default: object
) -> tf.lookup.StaticHashTable:
    initializer = _Constants(tf.constant(keys, key_type), tf.constant(values, value_type))
    initializer.fingerprint = hashlib.sha256(repr((keys, values)).encode()).hexdigest()
    return tf.lookup.StaticHashTable(initializer, default)


class _Constants(tf.lookup.KeyValueTensorInitializer):
    """A table's content, whose name in the graph tells the content and is not drawn at random."""

    fingerprint = ""

    @property
    def _shared_name(self) -> str:
        return f"constants_{self.fingerprint}"
