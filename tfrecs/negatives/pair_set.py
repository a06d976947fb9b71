"""A set of pairs of a row and an item, asked by two look-ups a pair."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import keras, tf

# Slots a pair: with fewer than two, pairs cannot all be placed.
_SLOTS_A_PAIR = 2.2
_LEAST_SLOTS = 16
# A placement that takes more rounds runs in a circle, and others of the numbers are tried.
_MOST_ROUNDS = 500
_MOST_TRIES = 100


class PairSet(keras.layers.Layer):
    """Tells which pairs are in a set, by cuckoo hashing (Pagh and Rodler, 2004).

    A pair is in one of two slots, so that a question takes two look-ups, however many items a row
    has. The slots are `row_number[row] ^ item_number[item]`, with two random numbers for each row
    and each item (tabulation hashing, which is random enough for this: Pătraşcu and Thorup, 2012).
    No two rows have the same number: a slot and an item tell the row, and a slot need hold no more
    than the item and which of the two numbers brought it there, 4 bytes.

    Args:
        num_rows: Number of rows, 0..num_rows - 1.
        num_items: Number of items, 1..num_items, below 2^30.
        num_pairs: Number of pairs in the set.
    """

    def __init__(self, num_rows: int, num_items: int, num_pairs: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_rows = num_rows
        self.num_items = num_items
        needed = max(_SLOTS_A_PAIR * num_pairs, num_rows, _LEAST_SLOTS)
        self.num_slots = 1 << int(np.ceil(np.log2(needed)))
        self._row_numbers = [self._weight(f"rows_{i}", num_rows) for i in range(2)]
        self._item_numbers = [self._weight(f"items_{i}", num_items + 1) for i in range(2)]
        self._slots = self._weight("slots", self.num_slots, initial=-1)

    def _weight(self, name: str, size: int, initial: int = 0) -> tf.Variable:
        return self.add_weight(
            name=name,
            shape=(size,),
            dtype=tf.int32,
            initializer=keras.initializers.Constant(initial),
            trainable=False,
        )

    def fill(self, rows: np.ndarray, items: np.ndarray) -> None:
        """Sets the pairs, all different.

        Args:
            rows: int64 `[num_pairs]`.
            items: int64 `[num_pairs]`.
        """
        for seed in range(_MOST_TRIES):
            rng = np.random.default_rng(seed)
            of_rows = [rng.permutation(self.num_slots)[: self.num_rows] for _ in range(2)]
            of_items = rng.integers(0, self.num_slots, (2, self.num_items + 1))
            places = np.stack([n[rows] ^ m[items] for n, m in zip(of_rows, of_items, strict=True)])
            owner, side = _placed(places, self.num_slots)
            if owner is not None:
                break
        else:
            raise RuntimeError(f"{len(rows)} pairs could not be placed in {self.num_slots} slots.")
        taken = owner >= 0
        slots = np.full(self.num_slots, -1)
        slots[taken] = (2 * items + side)[owner[taken]]
        numbers = [*of_rows, *of_items, slots]
        weights = [*self._row_numbers, *self._item_numbers, self._slots]
        for weight, values in zip(weights, numbers, strict=True):
            weight.assign(values.astype(np.int32))

    def call(self, rows: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Returns which pairs are in the set.

        Args:
            rows: `[b]`.
            items: int32 `[k]`, asked of every row, or `[b, k]`; 0 is in no pair.

        Returns:
            `[b, k]` bool.
        """
        found = []
        for side, numbers in enumerate(zip(self._row_numbers, self._item_numbers, strict=True)):
            of_rows, of_items = (
                tf.gather(n, x) for n, x in zip(numbers, (rows, items), strict=True)
            )
            slot = tf.bitwise.bitwise_xor(of_rows[:, tf.newaxis], of_items)
            found.append(tf.gather(self._slots, slot) == 2 * items + side)
        return found[0] | found[1]


def _placed(places: np.ndarray, num_slots: int) -> tuple[np.ndarray | None, np.ndarray]:
    """Gives each pair one of its two places.

    All that have none move at once: who finds its place taken takes it, and who has lost a place
    goes to its other one.

    Args:
        places: int64 `[2, num_pairs]`.
        num_slots: How many places there are.

    Returns:
        The pair in each slot, -1 for none (None if they found no rest), and which of its places
        each pair has.
    """
    owner = np.full(num_slots, -1)
    side = np.zeros(places.shape[1], np.int64)
    moving = np.arange(places.shape[1])
    for _ in range(_MOST_ROUNDS):
        if not moving.size:
            return owner, side
        to = places[side[moving], moving]
        evicted = np.unique(owner[to])
        owner[to] = moving  # Of several for one place the last one stays.
        moving = np.concatenate([moving[owner[to] != moving], evicted[evicted >= 0]])
        side[moving] ^= 1
    return None, side
