"""Pretrained word vectors, from the files that word2vec, GloVe and fastText are published in."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tfrecs.data.features.text import Tokenizer

_Source = str | Path | Mapping[str, np.ndarray]


def word_vectors(source: _Source, tokenizer: Tokenizer) -> np.ndarray:
    """Returns the vectors of a tokenizer's words, for `TextEmbedding.load_vectors`.

    A file's words are folded as the tokenizer folds texts. Of those that then are one word ("Été"
    and "ete"), the first counts: these files have frequent words first.

    Args:
        source: A text file, plain or gzipped, with a word and its numbers in each line, separated
            by spaces; a first line with the number of words and the size (word2vec, fastText) may
            be there. Or a mapping from words to vectors.
        tokenizer: The words that are wanted.

    Returns:
        float32 `[words, dim]`, row i for id i + 1; NaN in rows of words that the source lacks.

    Raises:
        ValueError: If a line has another number of numbers, or none of the words is there.

    Example:
        >>> import tfrecs
        >>> tokenizer = tfrecs.data.Tokenizer(["toy", "story"])
        >>> tfrecs.data.word_vectors({"Toy": [0.5, 1.0], "boat": [3.0, 3.0]}, tokenizer)
        array([[0.5, 1. ],
               [nan, nan]], dtype=float32)
    """
    row_of = {word: row for row, word in enumerate(tokenizer.words)}
    pairs = source.items() if isinstance(source, Mapping) else _lines(Path(source))
    found: dict[int, np.ndarray] = {}
    for word, numbers in pairs:
        words = tokenizer.tokenize(word)
        row = row_of.get(words[0]) if len(words) == 1 else None
        if row is not None and row not in found:
            found[row] = _vector(word, numbers)
            dim = len(next(iter(found.values())))
            if len(found[row]) != dim:
                raise ValueError(
                    f"word_vectors: {word!r} has {len(found[row])} numbers, others have {dim}."
                )
    if not found:
        name = "the mapping" if isinstance(source, Mapping) else str(source)
        raise ValueError(
            f"word_vectors: none of the tokenizer's {len(tokenizer)} words is in {name}."
        )
    vectors = np.full((len(tokenizer), dim), np.nan, np.float32)
    vectors[list(found)] = list(found.values())
    return vectors


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line's word and, as one string, its numbers."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file):
            word, _, numbers = line.rstrip().partition(" ")
            if number == 0 and word.isdigit() and numbers.isdigit():
                continue
            yield word, numbers


def _vector(word: str, numbers: str | np.ndarray) -> np.ndarray:
    try:
        if isinstance(numbers, str):
            numbers = np.array(numbers.split(), np.float32)
        vector = np.asarray(numbers, np.float32)
    except ValueError as error:
        raise ValueError(f"word_vectors: the vector of {word!r} is no numbers: {error}") from None
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise ValueError(
            f"word_vectors: the vector of {word!r} must be finite numbers in one row, at least 1."
        )
    return vector
