"""Rows of Criteo's shape, made from a seed: 26 categories, 13 numbers, a label that follows.

It needs numpy alone, so that it runs in every trainer's environment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Values of the 26 categorical columns of Criteo's display advertising challenge (Kaggle, 2014).
CRITEO = (
    *(1_460, 583, 10_131_227, 2_202_608, 305, 24, 12_517, 633, 3, 93_145, 5_683, 8_351_593, 3_194),
    *(27, 14_992, 5_461_306, 10, 5_652, 2_173, 4, 7_046_547, 18, 15, 286_181, 105, 142_572),
)
NUMBERS = 13
CATEGORY_NAMES = tuple(f"C{place + 1}" for place in range(len(CRITEO)))
NUMBER_NAMES = tuple(f"I{place + 1}" for place in range(NUMBERS))


def vocabulary_sizes(total: int) -> np.ndarray:
    """Sizes in Criteo's proportions, none below 3, that sum to `total`.

    Raises:
        ValueError: `total` is too small for that.
    """
    sizes = np.maximum(np.array(CRITEO, np.int64) * total // sum(CRITEO), 3)
    sizes[sizes.argmax()] += total - sizes.sum()
    if sizes.min() < 3:
        raise ValueError(f"{total} ids are too few for {len(sizes)} columns of at least 3")
    return sizes


@dataclass(frozen=True)
class Table:
    """Rows.

    Attributes:
        categories: int32 `[rows, 26]`, ids from 1; Zipf's law with exponent 1.
        numbers: float32 `[rows, 13]`, standard normal, as after a logarithm and standardisation.
        labels: float32 `[rows]`, about a quarter of them 1.
    """

    categories: np.ndarray
    numbers: np.ndarray
    labels: np.ndarray

    def columns(self) -> dict[str, np.ndarray]:
        """All columns by name, each contiguous, `label` last."""
        result = dict(zip(CATEGORY_NAMES, np.ascontiguousarray(self.categories.T), strict=True))
        result |= zip(NUMBER_NAMES, np.ascontiguousarray(self.numbers.T), strict=True)
        return {**result, "label": self.labels}


def make_table(rows: int, total: int, seed: int = 0) -> Table:
    """Makes rows.

    The log-odds of a label are a sum of an effect of each category, which follows from its id, of
    the numbers, and of a product of two categories' effects.

    Args:
        rows: How many.
        total: Sum of the vocabularies' sizes.
        seed: Of everything but the effects, which are always the same.
    """
    rng = np.random.default_rng(seed)
    sizes = vocabulary_sizes(total)
    # The inverse of the distribution function log(1 + id) / log(1 + size).
    uniform = rng.random((rows, len(sizes)))
    ids = np.floor(np.exp(uniform * np.log1p(sizes))).astype(np.int32)
    ids = np.minimum(ids, sizes.astype(np.int32))
    numbers = rng.standard_normal((rows, NUMBERS), np.float32)
    rules = np.random.default_rng(2014)
    effects = rules.normal(scale=0.3, size=(len(sizes), 1009))
    found = effects[np.arange(len(sizes)), ids % 1009]
    logits = found.sum(1) + numbers @ rules.normal(scale=0.2, size=NUMBERS)
    logits += 10 * found[:, 0] * found[:, 1]
    logits += -1.3 - np.median(logits)
    labels = rng.random(rows) < 1 / (1 + np.exp(-logits))
    return Table(ids, numbers, labels.astype(np.float32))
