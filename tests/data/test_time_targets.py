"""Targets of the split by time, and what times tell of a part, against loops over the rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.data import Interactions, global_time, leave_last_out, random_ratio, users_held_out

quick = settings(max_examples=60, derandomize=True, deadline=None)
DAY = 86_400

rows_of_a_log = st.lists(
    st.tuples(st.integers(10, 14), st.integers(100, 106), st.integers(0, 6)),
    min_size=1,
    max_size=40,
)


def log_of(rows, day=1) -> Interactions:
    users, items, times = zip(*rows, strict=True)
    times = [day * time for time in times]
    return Interactions({"user_id": users, "item_id": items, "timestamp": times}, duplicates="keep")


def in_order(rows):
    """Each user's (item, time) in time order, ties in file order."""
    found = {}
    for user, item, time in sorted(rows, key=lambda row: row[2]):
        found.setdefault(user, []).append((item, time))
    return dict(sorted(found.items()))


def rows_of(split, part):
    """(user, history, targets) of each row, in raw ids."""
    raw = split.users.decode(part.user_ids).tolist()
    sides = [
        [split.items.decode(row).tolist() for row in side] for side in (part.history, part.targets)
    ]
    return list(zip(raw, *sides, strict=True))


def expected_rows(rows, low, high, targets):
    """The same of the part from `low` up to before `high`, by a loop."""
    found = []
    for user, met in in_order(rows).items():
        places = [i for i, (_, time) in enumerate(met) if low <= time < high]
        chosen = {"first": places[:1], "last": places[-1:], "successive": places}[targets]
        items = [item for item, _ in met]
        found += [(user, items[:place], [items[place]]) for place in chosen if place > 0]
    return found


@quick
@given(
    rows_of_a_log,
    st.integers(1, 4),
    st.integers(1, 2),
    st.sampled_from(["first", "last", "successive"]),
)
def test_each_history_is_exactly_what_lies_before_its_target(rows, first, gap, targets):
    cuts = (first, first + gap)
    expected = [expected_rows(rows, *ends, targets) for ends in (cuts, (cuts[1], 99))]
    trained = sorted((u, i) for u, i, time in rows if time < cuts[0])
    if not all([*expected, trained]):
        with pytest.raises(ValueError, match="is left"):
            global_time(log_of(rows), times=cuts, targets=targets)
        return
    split = global_time(log_of(rows), times=cuts, targets=targets)
    assert rows_of(split, split.validation) == expected[0]
    assert rows_of(split, split.test) == expected[1]
    # No training row after the cut, and every one before it.
    users = split.users.decode(np.repeat(split.train.user_ids, split.train.histories.lengths))
    items = split.items.decode(split.train.histories.values)
    assert sorted(zip(users.tolist(), items.tolist(), strict=True)) == trained
    # Who is left out, or was not trained, is counted.
    seen = {user for user, _ in trained}
    for name, (low, high) in (("validation", cuts), ("test", (cuts[1], 99))):
        part = getattr(split, name)
        found = {user for user, _, _ in rows_of(split, part)}
        assert part.num_users == len(found) == split.counts[f"{name}_users"]
        asked = {user for user, _, time in rows if low <= time < high}
        assert split.counts[f"{name}_users_without_history"] == len(asked - found)
        assert split.counts[f"{name}_users_not_in_train"] == len(found - seen)
        if len(part) > len(found):
            assert split.counts[f"{name}_targets"] == len(part)


ROWS = [
    (1, 5, 0),
    (2, 5, 1),
    (1, 6, 2),
    (1, 7, 6),
    (1, 7, 8),
    (2, 8, 8),
    (1, 9, 9),
    (3, 5, 9),
    (4, 6, 9),
    (4, 7, 9),
]


def test_targets_by_hand():
    split = global_time(log_of(ROWS), times=(5, 7), targets="successive")
    assert rows_of(split, split.validation) == [(1, [5, 6], [7])]
    assert rows_of(split, split.test) == [
        (1, [5, 6, 7], [7]),
        (1, [5, 6, 7, 7], [9]),
        (2, [5], [8]),
        (4, [6], [7]),  # A new user, whose first interaction has no history.
    ]
    assert split.protocol == "global time, cut at 5 and 7, successive targets"
    assert split.counts["test_users_without_history"] == 1  # User 3.
    assert split.counts["test_users_not_in_train"] == 1  # User 4.
    last = global_time(log_of(ROWS), times=(5, 7), targets="last")
    assert rows_of(last, last.test) == [(1, [5, 6, 7, 7], [9]), (2, [5], [8]), (4, [6], [7])]
    first = global_time(log_of(ROWS), times=(5, 7), targets="first")
    assert rows_of(first, first.test) == [(1, [5, 6, 7], [7]), (2, [5], [8])]
    assert first.counts["test_users_without_history"] == 2


def test_known_items_of_a_user_with_several_rows_hold_no_test_target():
    split = global_time(log_of(ROWS), times=(5, 7), targets="successive")
    known = [split.items.decode(row).tolist() for row in split.known_items()]
    assert known == [[], [5, 6, 7], [5], [], [6]]
    known = [split.items.decode(row).tolist() for row in split.known_items(test=True)]
    assert known == [[], [5, 6, 7, 9], [5, 8], [], [6, 7]]


def test_a_part_with_several_rows_a_user():
    test = global_time(log_of(ROWS), times=(5, 7), targets="successive").test
    assert (len(test), test.num_users) == (4, 3)
    assert "3 users, 4 targets" in repr(test)
    drawn = test.sample_candidates(2, seed=1)
    assert drawn.candidates.shape == (4, 2)
    assert drawn.subset([2]).targets[0].tolist() == test.targets[2].tolist()


def test_unknown_targets_are_refused():
    with pytest.raises(ValueError, match="must be one of all, first, last, successive, not 'next'"):
        global_time(log_of(ROWS), times=(5, 7), targets="next")


@quick
@given(rows_of_a_log, st.sampled_from(["leave", "random", "held out", "all", "last", "successive"]))
def test_what_the_times_tell(rows, rule):
    log = log_of(rows, day=3 * DAY)
    rules = {
        "leave": leave_last_out,
        "random": lambda log: random_ratio(log, validation=0.2, test=0.3),
        "held out": lambda log: users_held_out(log, validation=1, test=1),
    }
    by_time = rule not in rules
    if by_time:
        rules[rule] = lambda log: global_time(log, times=(6 * DAY, 12 * DAY), targets=rule)
    try:
        split = rules[rule](log)
    except ValueError:
        return
    moments = [(split.items.encode([item])[0], 3 * DAY * time) for _, item, time in rows]
    for part, cut in ((split.validation, 6 * DAY), (split.test, 12 * DAY)):
        share = part.times.trained_on_future
        counts = np.zeros(len(split.items) + 2, int)
        if by_time:
            assert share == 0
            for item, time in moments:
                counts[item] += cut - 7 * DAY <= time < cut
            assert part.times.recent_counts.tolist() == counts.tolist()
        else:
            assert 0 <= share <= 1
            assert (part.times.recent_counts <= split.train.item_counts).all()
            assert part.times.recent_counts.sum() > 0


def test_the_future_of_leave_last_out_by_hand():
    # User 1 trains at 0 and 1 days, user 2 at 8 and 9; tested at 3 and 11, validated at 2 and 10.
    rows = [
        (1, 5, 0),
        (1, 6, 1),
        (1, 7, 2),
        (1, 8, 3),
        (2, 5, 8),
        (2, 5, 9),
        (2, 6, 10),
        (2, 7, 11),
    ]
    split = leave_last_out(log_of(rows, day=DAY))
    # Of the 4 training interactions 2 are later than user 1's test, none than user 2's.
    assert split.test.times.trained_on_future == pytest.approx((2 / 4 + 0) / 2)
    assert split.validation.times.trained_on_future == pytest.approx((2 / 4 + 0) / 2)
    # Training ends after 9 days: the last 7 hold both of user 2's, and not those of user 1.
    assert split.test.times.recent_counts.tolist() == [0, 2, 0, 0, 0, 0]
    # A part of a part keeps what is told of the whole.
    assert split.test.subset([1]).times is split.test.times


def test_an_interaction_at_the_same_time_is_not_later():
    split = leave_last_out(log_of([(u, i, 4) for u in (1, 2) for i in range(4)]))
    assert split.test.times.trained_on_future == 0


def test_milliseconds_have_weeks_too():
    begin = 1_700_000_000_000
    rows = [(1, i, begin // 1000 + day * DAY) for i, day in enumerate((0, 5, 8, 20, 30))]
    log = Interactions(
        {
            "user_id": [u for u, _, _ in rows],
            "item_id": [i for _, i, _ in rows],
            "timestamp": [1000 * time for _, _, time in rows],
        }
    )
    cuts = tuple(begin + day * DAY * 1000 for day in (10, 25))
    split = global_time(log, times=cuts)
    assert split.validation.times.recent_counts.tolist() == [0, 0, 1, 1, 0, 0, 0]
    assert split.test.times.recent_counts.tolist() == [0, 0, 0, 0, 1, 0, 0]


def test_without_times_nothing_is_told():
    untimed = Interactions({"user_id": [1] * 4, "item_id": [1, 2, 3, 4]})
    split = leave_last_out(untimed)
    assert split.validation.times is None
    assert split.test.times is None


def test_counts_of_recent_items_fit_the_catalogue():
    split = leave_last_out(log_of([(1, i, i) for i in range(5)]))
    other = leave_last_out(log_of([(1, i, i) for i in range(4)]))
    with pytest.raises(ValueError, match=r"times.recent_counts has 6 entries for 5 items"):
        dataclasses.replace(split.test, times=other.test.times)
