"""Sequences: windows, targets, buckets, order."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.data import Histories, TrainSet, length_buckets


def train_set(lists, num_items=1000):
    return TrainSet(Histories.from_lists(lists), np.arange(1, len(lists) + 1), num_items)


def pairs_of(dataset):
    """All (user, input, target) of one iteration, with multiplicity."""
    found = []
    for batch in dataset.as_numpy_iterator():
        user = np.broadcast_to(batch["user_id"][:, None], batch["target"].shape)
        where = batch["target"] > 0
        assert np.array_equal(where, batch["history"] > 0)
        found += zip(user[where], batch["history"][where], batch["target"][where], strict=True)
    return sorted(tuple(map(int, pair)) for pair in found)


def expected_pairs(lists, max_length, windows):
    expected = []
    for user, items in enumerate(lists, 1):
        pairs = [(user, a, b) for a, b in itertools.pairwise(items)]
        expected += pairs if windows == "all" else pairs[-max_length:]
    return sorted(expected)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=12).filter(lambda x: max(x) > 1),
    max_length=st.integers(1, 6),
    windows=st.sampled_from(["last", "all"]),
    balanced=st.booleans(),
    batch_size=st.integers(1, 5),
)
def test_an_epoch_holds_each_pair_once(lengths, max_length, windows, balanced, batch_size):
    items = iter(range(1, 1000))
    lists = [[next(items) for _ in range(length)] for length in lengths]
    sequences = train_set(lists).sequences(max_length, windows)
    expected = expected_pairs(lists, max_length, windows)
    dataset = sequences.batch(batch_size, balanced=balanced)
    assert pairs_of(dataset) == expected
    assert pairs_of(dataset) == expected
    assert sequences.num_targets == len(expected)


def test_windows_are_left_padded_and_shifted_by_one():
    sequences = train_set([[5, 6, 7, 8]]).sequences(max_length=2, windows="last")
    (batch,) = sequences.batch(4).as_numpy_iterator()
    assert batch["history"].tolist() == [[6, 7]]
    assert batch["target"].tolist() == [[7, 8]]
    (batch,) = (
        train_set([[5, 6], [1, 2, 3]]).sequences(5).batch(4, balanced=False).as_numpy_iterator()
    )
    rows = dict(zip(batch["user_id"].tolist(), batch["history"].tolist(), strict=True))
    assert rows == {1: [0, 5], 2: [1, 2]}
    assert {batch[name].dtype for name in batch} == {np.dtype(np.int32)}


def test_order_follows_from_seed_and_epoch():
    train = train_set([[i, i + 1, i + 2] for i in range(1, 60)])

    def users(dataset):
        return [batch["user_id"].tolist() for batch in dataset.as_numpy_iterator()]

    first = train.sequences(2).batch(7, seed=3)
    epochs = [users(first), users(first), users(first)]
    assert epochs[0] != epochs[1]
    again = train.sequences(2).batch(7, seed=3)
    assert [users(again), users(again)] == epochs[:2]
    resumed = train.sequences(2).batch(7, seed=3, first_epoch=2)
    assert users(resumed) == epochs[2]
    assert users(train.sequences(2).batch(7, seed=4)) != epochs[0]


def test_windows_change_their_batchmates():
    train = train_set([[i, i + 1] for i in range(1, 401)])
    dataset = train.sequences(2).batch(20, balanced=True)
    together = [next(iter(dataset))["user_id"].numpy().tolist() for _ in range(2)]
    assert len(set(together[0]) & set(together[1])) < 10


def test_balanced_batches_have_like_lengths_and_equal_targets():
    rng = np.random.default_rng(0)
    lists = [list(range(1, n + 2)) for n in rng.geometric(0.1, 3000).clip(1, 50)]
    sequences = train_set(lists).sequences(50)
    wanted = 64 * sequences.num_targets / len(sequences)
    targets, cells = [], 0
    for batch in sequences.batch(64).as_numpy_iterator():
        targets.append((batch["target"] > 0).sum())
        cells += batch["target"].size
    assert sum(targets) / cells > 0.9
    inside = [0.7 * wanted < count < 1.3 * wanted for count in targets]
    assert np.mean(inside) > 0.9
    assert len(targets) == pytest.approx(len(sequences) / 64, rel=0.1)


def test_shapes_are_few():
    rng = np.random.default_rng(0)
    lists = [list(range(1, n + 2)) for n in rng.integers(1, 200, 3000)]
    dataset = train_set(lists).sequences(200).batch(32)
    widths = {batch["history"].shape[1] for batch in dataset.as_numpy_iterator()}
    assert widths <= set(length_buckets(200).tolist())
    assert len(length_buckets(200)) < 50


def test_cardinality_is_known():
    dataset = train_set([[1, 2, 3]] * 10).sequences(5).batch(3, balanced=False)
    assert len(dataset) == 4
    assert len(list(dataset)) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda train: train.sequences(0), "max_length must be at least 1"),
        (lambda train: train.sequences(3, "first"), 'windows must be "last" or "all"'),
        (lambda train: train.sequences(3).batch(0), "batch_size must be at least 1"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(train_set([[1, 2]]))


def test_nothing_to_learn_from():
    with pytest.raises(ValueError, match="No user has two items"):
        train_set([[1], []]).sequences(3)


def test_an_iterator_can_be_deleted_at_once():
    """With autotuning its deletion, and so the end of `fit`, waits for a thread that sleeps."""
    dataset = train_set([[1, 2, 3]]).sequences(3).batch(2)
    assert dataset.options().autotune.enabled is False
