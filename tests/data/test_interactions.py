"""What a log keeps, drops, counts and refuses."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.data import Interactions


def log_of(rows, columns=("user_id", "item_id", "timestamp"), **options) -> Interactions:
    return Interactions(pd.DataFrame(rows, columns=list(columns)), **options)


def rows_of(log: Interactions) -> list[tuple]:
    return list(log.frame[["user_id", "item_id", "timestamp"]].itertuples(index=False, name=None))


def test_rows_are_sorted_by_time_and_ties_keep_the_file_order():
    log = log_of([(1, 5, 30), (2, 6, 10), (1, 7, 20), (2, 8, 10), (3, 4, 10)])
    assert rows_of(log) == [(2, 6, 10), (2, 8, 10), (3, 4, 10), (1, 7, 20), (1, 5, 30)]
    assert (len(log), log.num_users, log.num_items) == (5, 3, 5)
    assert log.has_times
    assert not any(log.dropped.values())


def test_without_times_the_file_order_is_the_time_order():
    log = log_of([("b", 1), ("a", 2), ("b", 1)], ("user_id", "item_id"))
    assert not log.has_times
    assert rows_of(log) == [("b", 1, 0), ("a", 2, 1), ("b", 1, 2)]  # a repeat is kept


def test_columns_are_mapped_and_others_are_features():
    log = log_of(
        [(1, "x", 2, 0.5, "mobile"), (1, "y", 1, 0.25, "web")],
        ("who", "what", "when", "dwell", "device"),
        user="who",
        item="what",
        timestamp="when",
    )
    assert list(log.frame) == ["user_id", "item_id", "timestamp", "dwell", "device"]
    assert log.frame["dwell"].tolist() == [0.25, 0.5]
    assert log.frame["device"].tolist() == ["web", "mobile"]


def test_a_feature_of_a_name_the_log_needs_is_renamed():
    log = log_of([(1, 2, 3)], ("item_id", "user_id", "asin"), item="asin")
    assert list(log.frame) == ["user_id", "item_id", "timestamp", "item_id_feature"]
    assert log.frame["item_id_feature"].tolist() == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"shop: no column 'user_id'\. .*'who', 'item_id'.* user=\"\.\.\.\""),
        ({"user": "who", "item": "thing"}, r"no column 'thing'.*item="),
        ({"user": "who", "timestamp": "when"}, r"no column 'when'.*timestamp="),
        ({"user": "x", "item": "y"}, r"no column 'x', 'y'.*user=.*item="),
        ({"user": "who", "item": "who"}, "one column can not be two"),
        ({"user": "who", "duplicates": "all"}, "'all'"),
    ],
)
def test_missing_columns_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Interactions({"who": [1], "item_id": [2]}, name="shop", **options)


def test_a_time_column_is_not_overlooked():
    frame = {"user_id": [1, 1], "item_id": [2, 3], "Time": [20, 10]}
    with pytest.raises(ValueError, match=r"timestamp='Time'.*timestamp=None"):
        Interactions(frame)
    assert Interactions(frame, timestamp="Time").frame["item_id"].tolist() == [3, 2]
    assert Interactions(frame, timestamp=None).frame["item_id"].tolist() == [2, 3]


def test_timestamp_none_takes_the_file_order_and_keeps_the_column():
    log = log_of([(1, 5, 30), (1, 6, 10)], timestamp=None)
    assert log.frame["item_id"].tolist() == [5, 6]
    assert log.frame["timestamp_feature"].tolist() == [30, 10]
    assert not log.has_times


def test_each_bad_row_is_dropped_under_one_rule():
    log = log_of(
        [
            (None, 1, 1),
            ("a", None, 1),
            ("", "", "never"),
            ("a", 2, "never"),
            ("a", 2, -1),
            ("a", 2, "1969-12-31"),
            ("a", 2, None),
            ("a", 2, 7),
            ("a", 2, 7),
            ("a", 2, 8),
        ]
    )
    assert rows_of(log) == [("a", 2, 7), ("a", 2, 8)]
    assert log.dropped == {
        "missing_user_id": 2,
        "missing_item_id": 1,
        "invalid_timestamp": 2,
        "negative_timestamp": 2,
        "duplicate": 1,
    }
    assert "2 rows, 1 users, 1 items" in repr(log)
    assert "2 missing_user_id" in repr(log)


def test_repeats():
    rows = [(1, 5, 10), (1, 5, 10), (2, 5, 10), (1, 5, 20), (1, 6, 20), (1, 5, 10)]
    assert rows_of(log_of(rows)) == [(1, 5, 10), (2, 5, 10), (1, 5, 20), (1, 6, 20)]
    assert rows_of(log_of(rows, duplicates="first")) == [(1, 5, 10), (2, 5, 10), (1, 6, 20)]
    assert len(log_of(rows, duplicates="keep")) == 6
    untimed = log_of([(1, 5), (1, 6), (1, 5)], ("user_id", "item_id"), duplicates="first")
    assert untimed.frame["item_id"].tolist() == [5, 6]
    assert untimed.dropped["duplicate"] == 1


def test_first_of_a_pair_is_first_in_time():
    log = log_of([(1, 5, 20, "late"), (1, 5, 10, "early")],
                 ("user_id", "item_id", "timestamp", "note"), duplicates="first")  # fmt: skip
    assert log.frame["note"].tolist() == ["early"]


def test_empty_logs_are_refused():
    with pytest.raises(ValueError, match="shop: the log has no rows"):
        log_of([], name="shop")
    with pytest.raises(ValueError, match=r"no row is left of 2: dropped 1 missing_user_id, 1 neg"):
        log_of([(None, 1, 1), (1, 1, -1)])


def test_one_item_users_stay():
    assert log_of([(1, 5, 1), (2, 5, 2)]).num_users == 2


def test_ids_become_integers_where_all_can():
    assert log_of([("7", 1.0, 1), ("8", 2.0, 2)]).frame["user_id"].dtype == np.int64
    assert log_of([(7, 1.0, 1)]).frame["item_id"].tolist() == [1]
    assert log_of([(7, "a", 1), ("x", 3, 2)]).frame["user_id"].tolist() == ["7", "x"]
    with pytest.raises(ValueError, match="item_id holds"):
        log_of([(7, 1.5, 1)])


def test_vocabularies():
    users, items = log_of([("b", 9, 1), ("a", 3, 2), ("b", 3, 3)]).vocabularies()
    assert users.ids.tolist() == ["a", "b"]
    assert items.ids.tolist() == [3, 9]


def test_k_core_against_a_loop():
    rng = np.random.default_rng(1)
    rows = sorted(map(tuple, np.unique(rng.integers(0, [30, 25], (180, 2)), axis=0).tolist()))
    log = log_of(rows, ("user_id", "item_id"))
    kept = list(rows)
    for _ in range(100):
        users = [u for u, _ in kept]
        items = [i for _, i in kept]
        kept = [(u, i) for u, i in kept if users.count(u) >= 4 and items.count(i) >= 4]
    core = log.filter_k_core(4)
    assert 0 < len(kept) < len(rows)
    assert [row[:2] for row in rows_of(core)] == kept
    assert core.dropped["k_core"] == len(rows) - len(kept)
    assert len(log) == len(rows)  # the log itself is as it was
    with pytest.raises(ValueError, match="99-core is empty"):
        log.filter_k_core(99)


def test_feature_tables_are_joined_by_raw_id():
    log = log_of(
        [(1, "x", 3, 5.0), (2, "y", 4, 4.0)],
        ("user_id", "item_id", "timestamp", "price"),
        user_features=pd.DataFrame({"user_id": ["2", "1"], "age": [20, 10]}),
        item_features=pd.DataFrame({"item_id": ["x", "x", None], "price": [1.0, 2.0, 3.0]}),
    )
    joined = log.joined()
    assert joined["age"].tolist() == [10, 20]
    assert joined["price"].tolist() == [5.0, 4.0]
    assert joined["price_item"].fillna(-1).tolist() == [1.0, -1]  # the first row of an id counts
    assert log.item_features.index.tolist() == ["x"]
    with pytest.raises(ValueError, match="no column 'item_id'"):
        log_of([(1, 2, 3)], item_features=pd.DataFrame({"id": [1]}))


def test_fingerprint_is_the_sum_of_the_columns():
    log = log_of([(1, "a", 5)])
    text = b"user_id\n" + np.array([1], "<i8").tobytes() + b"item_id\na"
    text += b"timestamp\n" + np.array([5], "<i8").tobytes()
    assert log.fingerprint() == hashlib.sha256(text).hexdigest()
    assert log_of([(1, "a", 6)]).fingerprint() != log.fingerprint()


cell = st.one_of(st.integers(-2, 4), st.none(), st.sampled_from(["", "x", "2"]))


@settings(max_examples=80, derandomize=True, deadline=None)
@given(st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=12))
def test_bad_rows_against_a_loop(rows):
    def text(value):
        return None if value is None or value == "" else str(value)

    kept, seen = [], set()
    for user, item, time in rows:
        moment = None if time in (None, "", "x") else int(time)
        row = (text(user), text(item), moment)
        if None not in row and moment >= 0:
            kept.append(row)
    ordered = [r for r in sorted(kept, key=lambda r: r[2]) if not (r in seen or seen.add(r))]
    unreadable = sum(time == "x" for *_, time in rows)
    if unreadable > 2:  # Of so few rows that is more than 1%.
        with pytest.raises(ValueError, match="times can not be read, such as 'x'"):
            log_of(rows)
        return
    if not ordered:
        with pytest.raises(ValueError, match="no row is left"):
            log_of(rows)
        return
    log = log_of(rows)
    assert [(str(u), str(i), t) for u, i, t in rows_of(log)] == ordered
    assert sum(log.dropped.values()) == len(rows) - len(ordered)
