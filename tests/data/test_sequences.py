"""Sequences: windows, targets, buckets, order."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.data import Histories, TrainSet, length_buckets
from tfrecs.data.batches.sequences import few_widths


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
    how=st.sampled_from([{"balanced": False}, {}, {"static": True}, {"static": "few"}]),
    batch_size=st.integers(1, 5),
)
def test_an_epoch_holds_each_pair_once(lengths, max_length, windows, how, batch_size):
    items = iter(range(1, 1000))
    lists = [[next(items) for _ in range(length)] for length in lengths]
    sequences = train_set(lists).sequences(max_length, windows)
    expected = expected_pairs(lists, max_length, windows)
    dataset = sequences.batch(batch_size, **how)
    assert pairs_of(dataset) == expected
    assert pairs_of(dataset) == expected
    assert sequences.num_targets == len(expected)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 9])
def test_few_widths_pad_the_least(most):
    rng = np.random.default_rng(most)
    widths = np.sort(rng.choice(np.arange(1, 60), 8, replace=False))
    counts = rng.integers(0, 9, 8) * rng.integers(0, 2, 8)
    counts[-1] = 1

    def cells(chosen):
        return sum(
            n * min(w for w in chosen if w >= own) for own, n in zip(widths, counts, strict=True)
        )

    found = few_widths(widths, counts, most)
    assert len(found) <= most
    every = (
        (*more, widths[-1])
        for number in range(min(most, 8))
        for more in itertools.combinations(widths[:-1], number)
    )
    assert cells(found.tolist()) == min(map(cells, every))


def test_a_width_must_save_enough():
    widths, counts = np.array([10, 20]), np.array([50, 50])  # 1,500 of 2,000 places.
    assert few_widths(widths, counts, 2, saving=0.2).tolist() == [10, 20]
    assert few_widths(widths, counts, 2, saving=0.3).tolist() == [20]


def test_few_shapes_hold_about_the_same_number_of_targets():
    rng = np.random.default_rng(0)
    lists = [rng.integers(1, 900, n).tolist() for n in np.minimum(rng.geometric(0.1, 500) + 1, 51)]
    sequences = train_set(lists).sequences(max_length=50)
    shapes, filled, targets = set(), 0, []
    for batch in sequences.batch(16, seed=3, static="few"):
        shapes.add(tuple(batch["history"].shape))
        filled += int(np.prod(batch["history"].shape))
        targets.append(int((batch["target"].numpy() > 0).sum()))
    assert 2 <= len(shapes) <= 4
    assert len({width for _, width in shapes}) == len(shapes)
    assert sum(targets) == sequences.num_targets
    wanted = 16 * sequences.num_targets / len(sequences)
    assert sum(abs(n - wanted) > 0.5 * wanted for n in targets) <= len(shapes)
    # Padded to the full length, most is padding.
    assert filled < 0.45 * 50 * len(sequences)
    again, other = (sequences.batch(16, seed=3, static="few", first_epoch=n) for n in (0, 1))
    (first, *_), (same, *_), (second, *_) = (
        [batch["user_id"].numpy().tolist() for batch in batches]
        for batches in (sequences.batch(16, seed=3, static="few"), again, other)
    )
    assert first == same != second


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
        (lambda train: train.sequences(3).batch(2, static="one"), "static must be True, False or"),
        (lambda train: train.pairs().batch(2, static="one"), "static must be True, False or"),
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
