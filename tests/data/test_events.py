"""What a log tells of events beside their items: kept by splits, encoded, and put into batches."""

import numpy as np
import pandas as pd
import pytest

from tfrecs.data import (
    Categorical,
    EventInputs,
    Events,
    Histories,
    Interactions,
    Numeric,
    Schema,
    Timestamp,
    TrainSet,
    Vector,
    Vocabulary,
    global_time,
    leave_last_out,
    random_ratio,
    sessions,
    users_held_out,
)
from tfrecs.data.features.events import MISSING_TIME

FRAME = pd.DataFrame(
    {
        "user_id": [1, 2, 1, 1, 2, 1, 1],
        "item_id": [10, 30, 20, 30, 10, 40, 50],
        "rating": [5.0, 1.0, np.nan, 3.0, 2.0, 4.0, 1.0],
        "device": ["tv", "tv", "web", "tv", None, "web", "car"],
        "timestamp": [100, 105, 110, 130, 135, 170, 250],
    }
)
SCHEMA = Schema({"rating": Numeric(), "device": Categorical(Vocabulary(["tv", "web"]))})
READ = EventInputs(SCHEMA, times=True, request_time=True)


def rows_of(log):
    """Each event's item and time, of all users."""
    frame = log.frame
    return {(u, i): t for u, i, t in zip(*(frame[c] for c in frame.columns[:3]), strict=True)}


def test_a_batch_by_hand():
    train = leave_last_out(Interactions(FRAME)).train
    (batch,) = train.sequences(3, events=READ).batch(2, balanced=False)
    # User 1 trains on items 10, 20, 30 (1, 2, 3); 40 validates, 50 tests. User 2 has two items.
    order = np.argsort(-batch["user_id"].numpy())
    got = {name: x.numpy()[order] for name, x in batch.items()}
    assert got["user_id"].tolist() == [2, 1]
    assert got["history"].tolist() == [[0, 3], [1, 2]]
    assert got["target"].tolist() == [[0, 1], [2, 3]]
    np.testing.assert_array_equal(got["history.rating"], [[np.nan, 1.0], [5.0, np.nan]])
    assert got["history.device"].tolist() == [[0, 1], [1, 2]]
    assert got["history_time"].tolist() == [[MISSING_TIME, 105], [100, 110]]
    assert got["request_time"].tolist() == [135, 130]
    assert got["history_time"].dtype == np.int64


def test_batches_without_events_are_as_before():
    train = leave_last_out(Interactions(FRAME)).train
    (batch,) = train.sequences(3).batch(2, balanced=False)
    assert set(batch) == {"user_id", "history", "target"}


def test_an_empty_window_of_a_static_batch_has_missing_events():
    train = leave_last_out(Interactions(FRAME)).train
    (batch,) = train.sequences(2, events=READ).batch(4, static=True)
    empty = ~(batch["history"].numpy() > 0).any(axis=1)
    assert empty.sum() == 2
    assert np.isnan(batch["history.rating"].numpy()[empty]).all()
    assert (batch["history.device"].numpy()[empty] == 0).all()
    assert (batch["request_time"].numpy()[empty] == MISSING_TIME).all()


def test_rows_of_evaluation_by_hand():
    test = leave_last_out(Interactions(FRAME)).test
    got = test.event_features(np.array([0]), 5, READ)
    np.testing.assert_array_equal(got["history.rating"], [[np.nan, 5.0, np.nan, 3.0, 4.0]])
    assert got["history.device"].tolist() == [[0, 1, 2, 1, 2]]
    assert got["history_time"].tolist() == [[MISSING_TIME, 100, 110, 130, 170]]
    assert got["request_time"].tolist() == [250]


@pytest.mark.parametrize(
    "rule",
    [
        leave_last_out,
        random_ratio,
        users_held_out,
        global_time,
        lambda log: global_time(log, targets="successive"),
        lambda log: global_time(log, targets="first"),
        sessions,
    ],
)
def test_every_rule_keeps_events_beside_their_items(rule):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(40), 10),
            "item_id": np.concatenate([rng.permutation(30)[:10] for _ in range(40)]),
            "timestamp": rng.permutation(400) + 1000,
        }
    )
    if rule is sessions:
        frame["timestamp"] = np.arange(400) + 1000
    log = Interactions(frame)
    split, known = rule(log), rows_of(log)
    read = EventInputs(times=True, request_time=True)

    def checked(users, histories, times, rows):
        for row in rows:
            user = split.users.ids[users[row] - 1]
            items = split.items.ids[histories[row] - 1]
            want = [known[user, item] for item in items][-4:]
            assert times[row][-len(want) :].tolist() == want

    train = split.train
    times = train.event_columns(read)["history_time"]
    parts = [
        times[a:b]
        for a, b in zip(train.histories.offsets, train.histories.offsets[1:], strict=False)
    ]
    checked(train.user_ids, train.histories, parts, range(len(train)))
    for part in (split.validation, split.test, split.test.subset(np.array([3, 1]))):
        got = part.event_features(np.arange(len(part)), 4, read)
        rows = np.flatnonzero(part.history.lengths)
        checked(part.user_ids, part.history, got["history_time"], rows)
        for row in range(len(part)):
            user = split.users.ids[part.user_ids[row] - 1]
            item = split.items.ids[part.targets[row][0] - 1]
            assert got["request_time"][row] == known[user, item]


def test_sessions_of_two_logs_keep_their_events():
    frame = pd.DataFrame(
        {"user_id": [1, 1, 2, 2], "item_id": [5, 6, 6, 5], "timestamp": [1, 2, 13, 14]}
    )
    log = Interactions(frame.assign(category=["a", "b", "b", "a"]))
    test = Interactions(
        pd.DataFrame(
            {"user_id": [3, 3], "item_id": [6, 5], "timestamp": [21, 22], "category": ["b", "a"]}
        )
    )
    split = sessions(log, test=test, times=[10])
    read = EventInputs(split.events.schema(["category"]), times=True)
    got = split.test.event_features(np.array([0]), 1, read)
    assert got["history_time"].tolist() == [[21]]
    assert got["history.category"].tolist() == [[2]]


def test_other_units_become_seconds():
    frame = FRAME.assign(timestamp=FRAME["timestamp"] * 1000 + 10**12)
    events = leave_last_out(Interactions(frame)).events
    assert events.seconds.tolist() == [10**9 + t for t in sorted(FRAME["timestamp"])]


def test_a_schema_is_read_from_the_log():
    events = leave_last_out(Interactions(FRAME)).events
    schema = events.schema(["timestamp", "rating"])
    assert list(schema) == ["timestamp", "rating"]
    assert isinstance(schema["timestamp"], Timestamp)
    with pytest.raises(
        ValueError, match="no column 'price' beside user and item, only 'timestamp'"
    ):
        events.schema(["price"])
    with pytest.raises(ValueError, match="'note' is of no use: it has no values"):
        Events(pd.DataFrame({"note": [None, None]})).schema(["note"])


def test_what_events_cannot_be_is_refused():
    with pytest.raises(ValueError, match="'image' is Vector: events have categories of one value"):
        EventInputs(Schema({"image": Vector(2)}))
    with pytest.raises(ValueError, match="'tags' is Categorical"):
        EventInputs(Schema({"tags": Categorical(Vocabulary(["a"]), max_values=2)}))
    with pytest.raises(ValueError, match="'timestamp' must be a Timestamp"):
        EventInputs(Schema({"timestamp": Numeric()}), times=True)


def test_data_without_events_are_refused():
    train = TrainSet(Histories.from_lists([[1, 2]]), np.array([1]), num_items=2)
    with pytest.raises(ValueError, match=r"reads EventInputs\(times\) beside the items"):
        train.sequences(2, events=EventInputs(times=True))
    untimed = leave_last_out(Interactions(FRAME.drop(columns="timestamp")))
    with pytest.raises(ValueError, match="the log has no time column"):
        untimed.train.sequences(2, events=EventInputs(times=True))
    assert leave_last_out(Interactions(FRAME[["user_id", "item_id"]])).events is None


def test_columns_are_encoded_once_for_all_parts():
    split = leave_last_out(Interactions(FRAME))
    split.train.event_columns(READ)
    first = split.events.columns(READ)["history.rating"]
    split.test.event_features(np.array([0]), 2, READ)
    assert split.events.columns(READ)["history.rating"] is first


def test_places_follow_the_values():
    rows = Histories(np.array([5, 6, 5, 7, 8]), np.array([0, 3, 5]), np.array([9, 4, 2, 0, 1]))
    assert rows.take([1, 0]).places.tolist() == [0, 1, 9, 4, 2]
    assert rows.distinct().places.tolist() == [9, 4, 0, 1]
    assert rows.cut([1], [4]).places.tolist() == [4, 2, 0]
    assert rows.keep(rows.values != 6).places.tolist() == [9, 2, 0, 1]
    with pytest.raises(ValueError, match="2 places for 1 values"):
        Histories(np.array([1]), np.array([0, 1]), np.array([1, 2]))
