"""Pairs: every interaction once an epoch, another order each epoch, the same under a seed."""

from __future__ import annotations

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.data import Histories, Pairs, TrainSet

ROWS = [[1, 2, 3], [4], [2, 5, 5, 6]]
ALL = sorted([(10, 1), (10, 2), (10, 3), (20, 4), (30, 2), (30, 5), (30, 5), (30, 6)])


def pairs() -> Pairs:
    return TrainSet(Histories.from_lists(ROWS), np.array([10, 20, 30]), num_items=6).pairs()


def epoch(dataset) -> list[tuple[int, int]]:
    return [
        pair
        for batch in dataset
        for pair in zip(
            batch["user_id"].numpy().tolist(), batch["item_id"].numpy().tolist(), strict=True
        )
    ]


def test_an_epoch_holds_each_pair_once():
    dataset = pairs().batch(3)
    assert len(pairs()) == 8
    assert [len(batch["user_id"]) for batch in dataset] == [3, 3, 2]
    assert int(dataset.cardinality()) == 3
    assert sorted(epoch(dataset)) == ALL
    assert {spec.dtype for spec in dataset.element_spec.values()} == {tf.int32}


def test_epochs_differ_and_repeat_under_a_seed():
    first, second = (pairs().batch(3, seed=1) for _ in range(2))
    epochs = [epoch(first) for _ in range(3)]
    assert epochs == [epoch(second) for _ in range(3)]
    assert len({tuple(order) for order in epochs}) == 3
    assert epoch(pairs().batch(3, seed=2)) != epochs[0]


def test_a_resumed_run_continues_the_epochs():
    dataset = pairs().batch(3, seed=1)
    epochs = [epoch(dataset) for _ in range(3)]
    assert epoch(pairs().batch(3, seed=1, first_epoch=2)) == epochs[2]


def test_the_batch_size_does_not_change_the_order():
    assert epoch(pairs().batch(3, seed=1)) == epoch(pairs().batch(8, seed=1))


def test_refusals():
    with pytest.raises(ValueError, match="at least 1"):
        pairs().batch(0)
    empty = TrainSet(Histories.from_lists([[]]), np.array([1]), num_items=1)
    with pytest.raises(ValueError, match="no interaction"):
        empty.pairs()
