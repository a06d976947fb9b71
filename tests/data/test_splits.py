"""Splits against loops over each user's interactions."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.data import (
    EvaluationSet,
    Histories,
    Interactions,
    Split,
    TrainSet,
    Vocabulary,
    global_time,
    leave_last_out,
    random_ratio,
    users_held_out,
)

quick = settings(max_examples=40, derandomize=True, deadline=None)


def log_of(rows) -> Interactions:
    users, items, times = zip(*rows, strict=True)
    return Interactions({"user_id": users, "item_id": items, "timestamp": times}, duplicates="keep")


def users_of(rows) -> dict[int, list[int]]:
    """Each user's items in time order, ties in file order."""
    found = defaultdict(list)
    for user, item, _ in sorted(rows, key=lambda row: row[2]):
        found[user].append(item)
    return dict(sorted(found.items()))


def trained(split: Split) -> dict[int, list[int]]:
    raw = split.users.decode(split.train.user_ids).tolist()
    rows = (split.items.decode(row).tolist() for row in split.train.histories)
    return dict(zip(raw, rows, strict=True))


def evaluated(split: Split, part: EvaluationSet) -> dict[int, tuple[list[int], list[int]]]:
    raw = split.users.decode(part.user_ids).tolist()
    rows = [
        (split.items.decode(history).tolist(), split.items.decode(targets).tolist())
        for history, targets in zip(part.history, part.targets, strict=True)
    ]
    return dict(zip(raw, rows, strict=True))


rows_of_a_log = st.lists(
    st.tuples(st.integers(10, 14), st.integers(100, 106), st.integers(0, 5)),
    min_size=1,
    max_size=30,
)


def distinct(items: list[int]) -> list[int]:
    return list(dict.fromkeys(items))


@quick
@given(rows_of_a_log)
def test_leave_last_out(rows):
    users = users_of(rows)
    long = {user: items for user, items in users.items() if len(items) >= 3}
    if not long:
        with pytest.raises(ValueError, match="no user is left for validation"):
            leave_last_out(log_of(rows))
        return
    split = leave_last_out(log_of(rows))
    assert trained(split) == {u: items[:-2] if u in long else items for u, items in users.items()}
    assert evaluated(split, split.validation) == {u: (i[:-2], [i[-2]]) for u, i in long.items()}
    assert evaluated(split, split.test) == {u: (i[:-1], [i[-1]]) for u, i in long.items()}
    assert split.items.ids.tolist() == sorted({row[1] for row in rows})
    assert split.users.ids.tolist() == sorted(users)
    assert split.counts["users"] == len(users)
    assert split.counts["users_train_only"] == len(users) - len(long)
    assert split.counts["users_one_interaction"] == sum(len(i) == 1 for i in users.values())
    counts = np.zeros(len(split.items) + 2, int)
    for items in trained(split).values():
        for item in items:
            counts[split.items.ids.tolist().index(item) + 1] += 1
    for part in (split.validation, split.test):
        assert part.item_counts.tolist() == counts.tolist() == split.train.item_counts.tolist()
        unseen = [t for _, targets in evaluated(split, part).values() for t in targets]
        unseen = sum(counts[split.items.ids.tolist().index(t) + 1] == 0 for t in unseen)
        name = "validation" if part is split.validation else "test"
        assert split.counts[f"{name}_targets_not_in_train"] == unseen


@quick
@given(rows_of_a_log, st.integers(1, 3), st.integers(1, 2))
def test_global_time(rows, first, gap):
    cuts = (first, first + gap)
    expected = []
    for low, high in ((cuts[0], cuts[1]), (cuts[1], 99)):
        before = users_of([row for row in rows if row[2] < low])
        within = users_of([row for row in rows if low <= row[2] < high])
        expected.append({u: (before[u], distinct(i)) for u, i in within.items() if u in before})
    train = users_of([row for row in rows if row[2] < cuts[0]])
    if not all([*expected, train]):
        with pytest.raises(ValueError, match="is left"):
            global_time(log_of(rows), times=cuts)
        return
    split = global_time(log_of(rows), times=cuts)
    assert trained(split) == train
    assert evaluated(split, split.validation) == expected[0]
    assert evaluated(split, split.test) == expected[1]
    late = {row[0] for row in rows if row[2] >= cuts[1]}
    assert split.counts["test_users_without_history"] == len(late) - len(expected[1])


def test_global_time_quantiles_put_ties_behind_the_cut():
    rows = [(1, i, t) for i, t in enumerate([0, 1, 2, 3, 4, 5, 5, 5, 8, 9])]
    split = global_time(log_of(rows), quantiles=(0.7, 0.9))
    assert trained(split) == {1: [0, 1, 2, 3, 4]}
    assert evaluated(split, split.validation) == {1: ([0, 1, 2, 3, 4], [5, 6, 7, 8])}
    assert evaluated(split, split.test) == {1: (list(range(9)), [9])}
    assert split.protocol == "global time, cut at 5 and 9"


def test_global_time_takes_dates():
    log = Interactions(
        {
            "user_id": [1] * 3,
            "item_id": [1, 2, 3],
            "timestamp": ["2020-01-01", "2020-01-02", "2020-01-03"],
        }
    )
    split = global_time(log, times=("2020-01-02", "2020-01-02T12:00:00Z"))
    assert evaluated(split, split.test) == {1: ([1, 2], [3])}


def test_global_time_refuses():
    untimed = Interactions({"user_id": [1, 1, 1], "item_id": [1, 2, 3]})
    with pytest.raises(ValueError, match="no time column"):
        global_time(untimed)
    log = log_of([(1, 1, 1), (1, 2, 2), (1, 3, 3)])
    for options in ({"times": (3, 2)}, {"times": (1, 1)}, {"quantiles": (0.9, 0.8)}):
        with pytest.raises(ValueError, match="rise"):
            global_time(log, **options)
    with pytest.raises(ValueError, match="two moments"):
        global_time(log, times=(1, "soon"))
    with pytest.raises(ValueError, match="nothing is left to train on"):
        global_time(log, times=(0, 2))


@quick
@given(rows_of_a_log, st.integers(0, 3))
def test_random_ratio(rows, seed):
    log = log_of(rows)
    users = users_of(rows)
    sizes = {}
    for user, items in users.items():
        test = min(int(len(items) * 0.3 + 0.5), len(items) - 1)
        sizes[user] = (min(int(len(items) * 0.2 + 0.5), len(items) - 1 - test), test)
    if not all(any(size[part] for size in sizes.values()) for part in (0, 1)):
        with pytest.raises(ValueError, match="no user is left"):
            random_ratio(log, validation=0.2, test=0.3, seed=seed)
        return
    split = random_ratio(log, validation=0.2, test=0.3, seed=seed)
    train = trained(split)
    validation, test = evaluated(split, split.validation), evaluated(split, split.test)
    for user, items in users.items():
        validated, tested = sizes[user]
        assert len(train[user]) == len(items) - validated - tested
        assert (user in validation, user in test) == (validated > 0, tested > 0)
        remaining = iter(items)
        assert all(item in remaining for item in train[user])  # in time order
        if tested:
            history, targets = test[user]
            assert len(history) == len(items) - tested
            assert set(history) | set(targets) == set(items)
            assert len(targets) == len(set(targets)) <= tested
        if validated:
            assert validation[user][0] == train[user]
    again = random_ratio(log, validation=0.2, test=0.3, seed=seed)
    assert trained(again) == train


def test_random_ratio_is_random_and_even():
    items = list(range(1000))
    log = log_of([(1, i, i) for i in items])
    targets = [
        evaluated(split, split.test)[1][1]
        for split in (random_ratio(log, test=0.2, seed=seed) for seed in (0, 1))
    ]
    assert targets[0] != targets[1]
    assert [len(t) for t in targets] == [200, 200]
    assert abs(np.mean(targets[0]) - 499.5) < 5 * 288.7 / np.sqrt(200)


@pytest.mark.parametrize("shares", [(0, 0.1), (0.1, 0), (0.5, 0.5), (-1, 0.5)])
def test_random_ratio_refuses(shares):
    with pytest.raises(ValueError, match="shares"):
        random_ratio(log_of([(1, 1, 1)]), validation=shares[0], test=shares[1])


def test_users_held_out():
    rows = [(u, 10 * u + i, i) for u in range(20) for i in range(4)] + [(99, 1, 0)]
    users = users_of(rows)
    split = users_held_out(log_of(rows), validation=3, test=0.2, targets=2, seed=5)
    train = trained(split)
    validation, test = evaluated(split, split.validation), evaluated(split, split.test)
    assert (len(validation), len(test)) == (3, 4)  # .2 of 21 users
    assert {*train} | {*validation} | {*test} == {*users}
    assert len(train) + len(validation) + len(test) == len(users)
    assert train == {user: users[user] for user in train}
    for part in (validation, test):
        assert part == {user: (users[user][:-2], users[user][-2:]) for user in part}
    assert 99 in train  # too short to hold out
    assert split.counts["users_too_short_to_hold_out"] == 1
    assert split.counts["users_held_out_test"] == 4
    again = users_held_out(log_of(rows), validation=3, test=0.2, targets=2, seed=5)
    assert evaluated(again, again.test) == test
    other = users_held_out(log_of(rows), validation=3, test=0.2, targets=2, seed=6)
    assert evaluated(other, other.test) != test


def test_users_held_out_refuses():
    log = log_of([(u, i, i) for u in range(4) for i in range(2)])
    for sizes in ((2, 3), (2, 2), (0, 1), (1, 0.01)):
        with pytest.raises(ValueError, match="can not be held out of 4, of whom 4"):
            users_held_out(log, validation=sizes[0], test=sizes[1])
    with pytest.raises(ValueError, match="at least 1"):
        users_held_out(log, targets=0)


def test_evaluation_set_checks_its_parts():
    items, users = Vocabulary([1, 2, 3]), Vocabulary([7, 8])
    parts = {
        "user_ids": [1, 2],
        "history": Histories.from_lists([[1], [2]]),
        "targets": Histories.from_lists([[2], [1]]),
        "item_counts": np.zeros(5, int),
        "items": items,
        "users": users,
    }
    good = EvaluationSet(**parts)
    assert good.user_ids.dtype == np.int32
    assert len(good) == 2
    for wrong, message in (
        ({"user_ids": [1]}, "one row a user"),
        ({"targets": Histories.from_lists([[2], []])}, "row 1 has no target"),
        ({"item_counts": np.zeros(3, int)}, "one for each id"),
        ({"candidates": np.zeros((3, 1))}, "one row a user"),
    ):
        with pytest.raises(ValueError, match=message):
            EvaluationSet(**parts | wrong)
    with pytest.raises(ValueError, match="item 1 is a target of row 1"):
        good.with_candidates([[3], [1]])
    ranked = good.with_candidates([[3, 0], [3, 2]])
    assert ranked.candidates.dtype == np.int32
    part = ranked.subset([1])
    assert (part.user_ids.tolist(), part.candidates.tolist()) == ([2], [[3, 2]])
    assert part.history[0].tolist() == [2]
    assert part.targets[0].tolist() == [1]
    assert len(ranked.subset(np.array([False, True]))) == 1


def test_train_set_checks_its_parts():
    with pytest.raises(ValueError, match="1 user ids for 2"):
        TrainSet(Histories.from_lists([[1], [2]]), np.array([1]), 2)
