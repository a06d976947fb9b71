"""Texts to the int32 ids of their words."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tfrecs._keras import tf
from tfrecs.data.features.folding import ALONE, OTHER, SPACE, fold, fold_table
from tfrecs.data.log.vocabulary import Vocabulary


class Tokenizer:
    """Splits texts into words and numbers them: ids 1..n are words, 0 is padding, n + 1 any other.

    A word is an unbroken run of letters and digits, without case, accents and compatibility forms
    ("Été" is "ete", "ﬁ" is "fi"; Unicode NFKD, case folding, no combining marks). A Chinese or
    Japanese character is a word by itself. In exports, `in_graph` follows the same rule.

    Args:
        words: The words, id 1 first, as `tokenize` gives them.

    Raises:
        ValueError: If a word stands twice, or `tokenize` could not give it.

    Example:
        >>> import tfrecs
        >>> titles = ["Toy Story (1995)", "The Story of Us", "Toy, toy!"]
        >>> tokenizer = tfrecs.data.Tokenizer.from_texts(titles, min_count=2)
        >>> tokenizer.words
        ['toy', 'story']
        >>> tokenizer.encode(["A toy's story", ""], max_tokens=5)
        array([[3, 1, 3, 2, 0],
               [0, 0, 0, 0, 0]], dtype=int32)
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = [str(word) for word in words]
        for word in self.words:
            if self.tokenize(word) != [word]:
                raise ValueError(
                    f"Tokenizer: {word!r} is no word that it would find in a text, but "
                    f"{self.tokenize(word)}. Use Tokenizer.from_texts to learn words from texts."
                )
        self.vocabulary = Vocabulary(np.array(self.words, object))

    @classmethod
    def from_texts(
        cls, texts: Iterable[str], min_count: int = 1, max_size: int | None = None
    ) -> Tokenizer:
        """Returns the tokenizer of the words in texts, the most frequent first.

        Args:
            texts: The texts.
            min_count: Rarer words are left out.
            max_size: Most words; None for all.

        Raises:
            ValueError: If `min_count` or `max_size` is below 1, or a text is no string.
        """
        if min_count < 1 or (max_size is not None and max_size < 1):
            raise ValueError(
                f"min_count and max_size must be at least 1, not {min_count} and {max_size}."
            )
        counts = Counter(chain.from_iterable(map(cls.tokenize, checked_texts(texts))))
        kept = [(-count, word) for word, count in counts.items() if count >= min_count]
        return cls(word for _, word in sorted(kept)[:max_size])

    @staticmethod
    def tokenize(text: str) -> list[str]:
        """Returns the words of a text.

        Example:
            >>> Tokenizer.tokenize("Don't miss ÀMÉLIE, 2001!")
            ['don', 't', 'miss', 'amelie', '2001']
        """
        return fold(text).split()

    def encode(self, texts: Iterable[str], max_tokens: int = 32) -> np.ndarray:
        """Returns the ids of each text's first words, `[texts, max_tokens]` int32, padded with 0.

        Raises:
            ValueError: If `max_tokens` is below 1 or a text is no string.
        """
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {max_tokens}.")
        rows = [self.tokenize(text)[:max_tokens] for text in checked_texts(texts)]
        ids = np.zeros((len(rows), max_tokens), np.int32)
        lengths = np.array([len(row) for row in rows], np.int64)
        words = np.array(list(chain.from_iterable(rows)), object)
        ids[np.arange(max_tokens) < lengths[:, np.newaxis]] = self.vocabulary.encode(words)
        return ids

    def in_graph(self, max_tokens: int = 32) -> tf.Module:
        """Returns a module that computes the ids of `encode` in a graph.

        It maps UTF-8 string tensors `[batch]` to `[batch, max_tokens]` int32 by TensorFlow's
        operations, for exports that take raw texts. For training, encode texts once beforehand.

        Example:
            >>> import tensorflow as tf, tfrecs
            >>> module = tfrecs.data.Tokenizer(["toy", "story"]).in_graph(max_tokens=3)
            >>> module(tf.constant(["Toy Story", "STORIES"])).numpy()
            array([[1, 2, 0],
                   [3, 0, 0]], dtype=int32)
        """
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {max_tokens}.")
        return TokenizerModule(self.words, max_tokens)

    def fingerprint(self) -> str:
        """Returns the sha256 of the words: equal for equal tokenizers only."""
        return self.vocabulary.fingerprint()

    def save(self, path: str | Path) -> None:
        """Writes the words as UTF-8 text, one a line, id 1 first."""
        self.vocabulary.save(path)

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Returns the tokenizer that `save` wrote."""
        return cls(Path(path).read_bytes().decode().split("\n")[:-1])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, ready for JSON."""
        return {"words": list(self.words)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Tokenizer:
        """Returns the tokenizer that `get_config` described."""
        return cls(**config)

    def __len__(self) -> int:
        return len(self.words)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tokenizer):
            return NotImplemented
        return self.words == other.words

    def __hash__(self) -> int:
        return hash(self.vocabulary)

    def __repr__(self) -> str:
        return f"Tokenizer({len(self)} words)"


def checked_texts(texts: Iterable[str]) -> list[str]:
    """Returns the texts as a list, and refuses any that is no string."""
    if isinstance(texts, str):
        raise ValueError("texts must be several texts, such as a list, not one string.")
    rows = list(texts)
    for position, text in enumerate(rows):
        if not isinstance(text, str):
            raise ValueError(
                f"The text at position {position} is {text!r} ({type(text).__name__}), not a "
                'string. Put "" where a text is missing.'
            )
    return rows


class TokenizerModule(tf.Module):
    """Maps string tensors `[batch]` to the ids `[batch, max_tokens]` of their words.

    `ids` maps words to their ids, n + 1 for others, if a file holds the words; by default they are
    constants of the graph.
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
        """Returns the ids of each text's first words, padded with 0."""
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
    """The content of a table, named after the content in the graph instead of at random."""

    fingerprint = ""

    @property
    def _shared_name(self) -> str:
        return f"constants_{self.fingerprint}"
