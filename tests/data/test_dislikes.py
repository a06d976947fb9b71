"""Dislikes: part of histories, and never a target."""

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs.data import Interactions, global_time, leave_last_out, sessions
from tfrecs.data.splits.protocols import random_ratio

RATED = pd.DataFrame(
    {
        "user_id": [1] * 5 + [2] * 4 + [3] * 4,
        "item_id": [1, 2, 3, 4, 5, 2, 3, 1, 4, 5, 1, 2, 3],
        "timestamp": [10, 20, 30, 40, 50, 10, 21, 31, 41, 11, 22, 32, 42],
        "rating": [5, 1, 4, 4, 5, 3, 2, 5, 1, 5, 4, 1, 3],
    }
)


def rated():
    return Interactions(RATED, dislike="rating <= 2")


def liked(log, ids):
    """Which of the raw ids of (user, item) are liked."""
    table = log.frame.set_index(["user_id", "item_id"])["rating"]
    return [table[pair] > 2 for pair in ids]


def test_the_condition_marks_rows():
    log = rated()
    assert log.has_dislikes
    assert log.disliked.tolist() == (log.frame["rating"] <= 2).tolist()
    assert "4 disliked" in repr(log)
    assert not Interactions(RATED).disliked.any()


def test_a_missing_rating_is_no_dislike():
    frame = RATED.assign(rating=[None, 1, *[4] * 11])
    assert Interactions(frame, dislike="rating <= 2").disliked.sum() == 1


def test_wrong_conditions_name_the_argument():
    with pytest.raises(ValueError, match=r"^dislike='stars <= 2': there is no column 'stars'"):
        Interactions(RATED, dislike="stars <= 2")
    with pytest.raises(ValueError, match=r"dislike='rating > 0' fits every row"):
        Interactions(RATED, dislike="rating > 0")


def test_a_column_of_that_name_is_a_feature():
    log = Interactions(RATED.assign(disliked=7), dislike="rating <= 2")
    assert log.frame["disliked_feature"].tolist() == [7] * 13
    assert not Interactions(RATED.assign(disliked=True)).has_dislikes


PROTOCOLS = {
    "leave_last_out": leave_last_out,
    "all": global_time,
    "successive": lambda log: global_time(log, targets="successive"),
    "last": lambda log: global_time(log, targets="last"),
    "random_ratio": lambda log: random_ratio(log, validation=0.3, test=0.3),
    "sessions": lambda log: sessions(log, quantiles=(0.3, 0.7)),
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_target_of_a_test_is_disliked(name):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(40), 6),
            "item_id": np.tile(np.arange(6), 40) + rng.integers(0, 3, 240) * 6,
            "timestamp": rng.permutation(240),
            "rating": rng.integers(1, 6, 240),
        }
    )
    split = PROTOCOLS[name](Interactions(frame, dislike="rating <= 2"))
    plain = PROTOCOLS[name](Interactions(frame))
    ratings = frame.set_index(["user_id", "item_id"])["rating"]
    for part, without in ((split.validation, plain.validation), (split.test, plain.test)):
        users = split.users.decode(part.user_ids[part.targets.rows])
        targets = split.items.decode(part.targets.values)
        assert (ratings.loc[list(zip(users, targets, strict=True))] > 2).all()
        if name != "last":  # That takes the last one that is liked.
            rows = without.user_ids[without.targets.rows]
            all_users, all_items = (
                plain.users.decode(rows),
                plain.items.decode(without.targets.values),
            )
            wanted = set(zip(all_users, all_items, strict=True))
            kept = {pair for pair in wanted if ratings[pair] > 2}
            assert set(zip(users, targets, strict=True)) == kept < wanted
        # Disliked items stay in histories.
        known = split.items.decode(part.history.values)
        owners = split.users.decode(part.user_ids[part.history.rows])
        assert (ratings.loc[list(zip(owners, known, strict=True))] <= 2).any()
    assert any("disliked" in name and count for name, count in split.counts.items())


def test_sequences_tell_dislikes_apart():
    train = leave_last_out(rated()).train
    plain = leave_last_out(Interactions(RATED)).train
    got = {int(row["user_id"]): row for row in train.sequences(5).batch(1).take(3).unbatch()}
    want = {int(row["user_id"]): row for row in plain.sequences(5).batch(1).take(3).unbatch()}
    seen = 0
    for user, row in want.items():
        np.testing.assert_array_equal(got[user]["history"], row["history"])
        both = got[user]["target"] + got[user]["disliked"]
        np.testing.assert_array_equal(both, row["target"])
        assert not (got[user]["target"] * got[user]["disliked"]).numpy().any()
        seen += np.count_nonzero(got[user]["disliked"])
        assert "disliked" not in row
    assert seen == 2  # 2 of user 1, 3 of user 2; what comes last trains nobody.
    for length in (1, 2, 5):
        for windows in ("last", "all"):
            sequences = train.sequences(length, windows)
            epoch = [np.count_nonzero(batch["target"]) for batch in sequences.batch(2)]
            assert sequences.num_targets == sum(epoch)


def test_pairs_have_no_dislikes_but_histories_do():
    log = rated()
    train = leave_last_out(log).train
    pairs = tfrecs.data.Pairs(train, max_history=3)
    assert len(pairs) == (~train.disliked).sum() < len(train.histories.values)
    rows = {}
    for row in pairs.batch(2).take(len(pairs) // 2 + 1).unbatch():
        rows[int(row["user_id"]), int(row["item_id"])] = row["history"].numpy().tolist()
    everything = {}
    for user, items in zip(train.user_ids, train.histories, strict=True):
        for place, item in enumerate(items):
            before = items[max(0, place - 3) : place].tolist()
            everything[int(user), int(item)] = [0] * (3 - len(before)) + before
    assert rows == {pair: h for pair, h in everything.items() if all(liked(log, [pair]))}


def test_frequencies_of_rows_count_targets_alone():
    split = leave_last_out(rated())
    train = split.train
    assert train.target_counts.sum() == (~train.disliked).sum() < train.item_counts.sum()
    shares = np.exp(tfrecs.negatives.ItemFrequency.from_split(split)(np.arange(1, 6)))
    counts = train.target_counts[1:-1]
    np.testing.assert_allclose(shares[counts > 0], (counts / counts.sum())[counts > 0], rtol=1e-5)


def test_nothing_to_learn_is_an_error():
    frame = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 1], "rating": [5, 1, 5]})
    histories = tfrecs.data.Histories.from_lists([[1, 2]])
    events = tfrecs.data.Events(frame[["rating"]], np.array([False, True, False]))
    histories = tfrecs.data.Histories(histories.values, histories.offsets, np.array([0, 1]))
    train = tfrecs.data.TrainSet(histories, np.array([1]), 2, events=events)
    with pytest.raises(ValueError, match="No user has an item to learn"):
        train.sequences(3)


def test_two_logs_of_sessions_both_have_dislikes():
    later = RATED.assign(user_id=RATED["user_id"] + 10, timestamp=RATED["timestamp"] + 100)
    with pytest.raises(ValueError, match="for both logs, or for neither"):
        sessions(Interactions(RATED), test=Interactions(later, dislike="rating <= 2"))


@pytest.mark.parametrize("column", ["user_id", "item_id", "timestamp"])
def test_a_column_of_ids_or_times_is_no_weight(column):
    with pytest.raises(ValueError, match="that of ids or times already"):
        Interactions(RATED, weight=column)


def test_columns_of_reserved_names_stay_features():
    frame = RATED.assign(weight="heavy", w=2.0, disliked=7)
    log = Interactions(frame, weight="w", dislike="rating <= 2")
    assert log.frame["weight"].tolist() == [2.0] * 13
    assert log.frame["weight_feature"].tolist() == ["heavy"] * 13
    assert log.disliked.sum() == 4
    marked = Interactions(frame, weight="w").selected(dislike="rating <= 2")
    assert marked.frame["disliked_feature"].tolist() == [7] * 13
    assert marked.disliked.sum() == 4


def test_a_file_is_read_with_dislikes(tmp_path):
    RATED.to_csv(tmp_path / "log.csv", index=False)
    log = tfrecs.data.read(tmp_path / "log.csv", dislike="rating <= 2")
    assert log.disliked.sum() == 4
