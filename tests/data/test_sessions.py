"""Sessions: the published files in small, and logs cut by the time of whole sessions."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfrecs.data import Interactions, Vocabulary, read, read_sessions, sessions

# Ten sessions: with a share of .2 the last two validate.
TRAIN = "7 8 9\n8 7\n9 8 8\n7\n7 9\n9 7\n8 9\n7 8\n8 5 8\n5 6\n"
TEST = "7 8 7\t8\n7 8\t7\n99 9\t6\n7\t99\n99\t7\n"


def files_of(tmp_path, train=TRAIN, test=TEST):
    (tmp_path / "train.txt").write_bytes(train.encode())
    (tmp_path / "test.txt.gz").write_bytes(gzip.compress(test.encode()))
    return tmp_path / "train.txt", tmp_path / "test.txt.gz"


def raw(rows, items):
    return [items.decode(row).tolist() for row in rows]


def test_published_sessions(tmp_path):
    split = read_sessions(*files_of(tmp_path), validation=0.2)
    assert split.items.ids.tolist() == [5, 6, 7, 8, 9]
    assert raw(split.train.histories, split.items) == [
        *([7, 8, 9], [8, 7], [9, 8, 8], [7], [7, 9], [9, 7], [8, 9], [7, 8])
    ]
    # 5 and 6 do not train: of "8 5 8" remain 8 and the repeated 8, of "5 6" nothing.
    assert raw(split.validation.history, split.items) == [[8]]
    assert raw(split.validation.targets, split.items) == [[8]]
    # 99 is in no file of training: it leaves histories, and lines whose target it is. 6 is a target
    # that only validation holds.
    assert raw(split.test.history, split.items) == [[7, 8, 7], [7, 8], [9]]
    assert raw(split.test.targets, split.items) == [[8], [7], [6]]
    assert split.test.recommend_known
    assert split.validation.recommend_known
    assert split.counts == {
        "train_sessions": 8,
        "train_sessions_one_item": 1,
        "test_lines_of_unknown_targets": 1,
        "validation_sessions": 1,
        "validation_sessions_too_short": 1,
        "validation_events_not_in_train": 3,
        "validation_targets": 1,
        "validation_targets_not_in_train": 0,
        "test_sessions": 3,
        "test_sessions_too_short": 1,
        "test_events_not_in_train": 2,
        "test_targets": 3,
        "test_targets_not_in_train": 1,
    }


def test_every_prefix_of_a_training_session_is_an_example(tmp_path):
    split = read_sessions(*files_of(tmp_path), validation=0.2)
    sequences = split.train.sequences(max_length=50)
    assert sequences.num_targets == 2 + 1 + 2 + 0 + 1 + 1 + 1 + 1
    batch = next(iter(sequences.batch(8, balanced=False)))
    pairs = {
        (tuple(h[h > 0]), tuple(t[t > 0]))
        for h, t in zip(batch["history"].numpy(), batch["target"].numpy(), strict=True)
    }
    nine = tuple(split.items.encode([9, 8, 8]))
    assert (nine[:-1], nine[1:]) in pairs


def test_the_validation_sessions_may_train(tmp_path):
    split = read_sessions(*files_of(tmp_path), validation=0.2, train_on_validation=True)
    assert len(split.train) == 10
    assert raw(split.validation.targets, split.items) == [[8], [6]]
    assert split.counts["test_targets_not_in_train"] == 0
    assert "trained on validation sessions" in split.protocol


def test_string_ids_and_line_ends(tmp_path):
    files = files_of(tmp_path, "\ufeffa b\r\n\r\nb a\r\na b", "b \ta\r\n\r\n")
    split = read_sessions(*files, validation=0.4)
    assert raw(split.train.histories, split.items) == [["a", "b"], ["b", "a"]]
    assert raw(split.test.targets, split.items) == [["a"]]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("7 8\n8\t7\n", TEST, r"train.txt, line 2: '8\\t7'.*without a tab.*interchanged"),
        (TRAIN, "7\t8\n7 8\n", r"test.txt.gz, line 2: '7 8'.*<TAB>target"),
        (TRAIN, "7\t8 9\n", "test.txt.gz, line 1"),
        (TRAIN, "\t8\n", "test.txt.gz, line 1"),
        (TRAIN, "7\t8\t9\n", "test.txt.gz, line 1"),
        ("", TEST, "train.txt: the file is empty"),
        (TRAIN, "\n\n", "test.txt.gz: the file is empty"),
        ("7,8\n8,7,9\n", TEST, "train.txt: no line has two items, parted by spaces"),
        ("user_id\titem_id\n1\t2\n", TEST, "train.txt, line 1.*a table"),
        ("7 8\n", TEST, "0 of 1 sessions would validate"),
        ("7\n8\n9\n7 8\n8 7\n", TEST, "no session of two items is left to train on"),
        (TRAIN, "a b\tc\n", "no session is left for test: of 0 none has two"),
        ("1 2\n3 4\n", TEST, "no session is left for validation: of 1 none has two items that"),
    ],
)
def test_wrong_files(train, test, message, tmp_path):
    share = 0.5 if train.startswith(("7\n", "1 2")) else 0.2
    with pytest.raises(ValueError, match=message):
        read_sessions(*files_of(tmp_path, train, test), validation=share)


def test_damaged_and_missing_files(tmp_path):
    train, test = files_of(tmp_path)
    test.write_bytes(test.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"test.txt.gz: the archive ends too early"):
        read_sessions(train, test)
    train.write_bytes("7 8".encode("utf-16"))
    with pytest.raises(ValueError, match="UTF-16"):
        read_sessions(train, test)
    with pytest.raises(FileNotFoundError, match="nothing.txt"):
        read_sessions(tmp_path / "nothing.txt", test)
    with pytest.raises(ValueError, match="share of the training sessions, not 10"):
        read_sessions(train, test, validation=10)


# Session "s" lasts from 0 to 30, "t" from 10 to 12, "u" from 20 to 40, "v" from 50 to 53.
EVENTS = {
    "user_id": [*"s", *"tt", *"uuu", *"ss", *"vvvv"],
    "item_id": [1, 2, 1, 1, 4, 2, 2, 1, 1, 2, 1, 3],
    "timestamp": [0, 10, 12, 20, 21, 40, 29, 30, 50, 51, 52, 53],
}


def test_whole_sessions_are_cut_by_their_end():
    split = sessions(Interactions(EVENTS), times=(20, 40))
    assert raw(split.train.histories, split.items) == [[2, 1]]
    # Session s ends at 30, and each of its items after the first is a target.
    assert raw(split.validation.history, split.items) == [[1], [1, 2]]
    assert raw(split.validation.targets, split.items) == [[2], [1]]
    # A session that ends at a cut belongs to the part after it; 4 and 3 are in no earlier part.
    assert split.items.ids.tolist() == [1, 2]
    assert split.users.decode(split.test.user_ids).tolist() == ["u", "v", "v"]
    assert raw(split.test.history, split.items) == [[1], [1], [1, 2]]
    assert raw(split.test.targets, split.items) == [[2], [2], [1]]
    assert split.counts["test_events_not_in_train"] == 2
    assert split.test.recommend_known


def test_whole_sessions_are_cut_by_their_start():
    split = sessions(Interactions(EVENTS), times=(20, 50), by="start")
    assert raw(split.train.histories, split.items) == [[1, 2, 1], [2, 1]]
    assert split.users.decode(split.validation.user_ids).tolist() == ["u"]
    assert raw(split.validation.targets, split.items) == [[2]]  # 4 does not train.
    assert split.users.decode(split.test.user_ids).tolist() == ["v"] * 2


def test_quantiles_are_shares_of_the_sessions():
    split = sessions(Interactions(EVENTS), quantiles=(0.5, 0.75))
    # By their ends the order is t, s, u, v.
    assert split.users.decode(split.train.user_ids).tolist() == ["s", "t"]
    assert set(split.users.decode(split.validation.user_ids)) == {"u"}
    # 4 is in a validation session: in the test, too, it may be a target then.
    assert split.items.ids.tolist() == [1, 2, 4]
    again = sessions(Interactions(EVENTS), quantiles=(0.5, 0.75), train_on_validation=True)
    assert raw(again.train.histories, again.items) == [[1, 2, 1], [2, 1], [1, 4, 2]]
    assert again.test.targets == split.test.targets


def test_a_given_test():
    log = Interactions({name: values[:9] for name, values in EVENTS.items()} | {"weight": range(9)})
    test = Interactions({"user_id": ["x"] * 3, "item_id": [2, 9, 2], "timestamp": [1, 2, 3]})
    with pytest.raises(ValueError, match="one share, before validation, not"):
        sessions(log, test=test, quantiles=(0.5, 0.8))
    log = log.take(log.frame["user_id"].to_numpy() != "v")
    split = sessions(log, test=test, quantiles=(0.7,))
    # Rows keep their weights: session s has rows 0, 6 and 7 of the file, t has 1 and 2.
    assert split.train.weights.tolist() == [0, 6, 7, 1, 2]
    assert raw(split.validation.targets, split.items) == [[2]]
    assert (raw(split.test.history, split.items), raw(split.test.targets, split.items)) == (
        [[2]],
        [[2]],
    )
    assert split.users.decode(split.test.user_ids).tolist() == ["x"]
    # The moment may be given instead, and it is one.
    assert len(sessions(log, test=test, times=(35,)).train) == 2
    with pytest.raises(ValueError, match="one moment"):
        sessions(log, test=test, times=(35, 36))


def test_features_and_known_ids_of_a_log():
    years = pd.DataFrame({"item_id": [1, 2, 3, 4], "year": [10.0, 20.0, 30.0, 40.0]})
    log = Interactions(EVENTS, item_features=years)
    split = sessions(log, times=(20, 40))
    # Items 3 and 4 are of the test alone; their features are left out with them.
    assert split.item_features.columns["year"].tolist()[1:3] == [10, 20]
    log = log.continuing(Vocabulary(["v"]), Vocabulary([2]))
    split = sessions(log, times=(20, 40))
    assert split.items.ids.tolist() == [2, 1]
    assert split.users.ids.tolist()[0] == "v"


def test_wrong_sessions():
    log = Interactions(EVENTS)
    with pytest.raises(ValueError, match='by must be "start" or "end"'):
        sessions(log, by="middle")
    with pytest.raises(ValueError, match="has no time column"):
        sessions(Interactions({"user_id": [1, 1], "item_id": [1, 2]}))
    with pytest.raises(ValueError, match=r"4 sessions of log stand in log too, such as 's'"):
        sessions(log, test=log)
    with pytest.raises(TypeError, match="not str"):
        sessions(log, test="test.tsv")
    with pytest.raises(ValueError, match="do not rise"):
        sessions(log, times=(20, 20))
    with pytest.raises(ValueError, match="quantiles must rise"):
        sessions(log, quantiles=(0.9, 0.8))
    with pytest.raises(ValueError, match="left to train on"):
        sessions(log, times=(1, 20))
    with pytest.raises(ValueError, match="left for test"):
        sessions(log, times=(20, 99))


published = pytest.mark.skipif(
    "TFRECS_DATA" not in os.environ, reason="TFRECS_DATA names no data folder"
)


@pytest.mark.slow
@published
@pytest.mark.parametrize(
    ("name", "examples", "items", "tests"),
    [("diginetica", 719_470, 43_097, 60_858), ("tmall", 351_268, 40_727, 25_898)],
)
def test_published_counts(name, examples, items, tests):
    files = (f"{name}/train.txt.gz", f"{name}/test.txt.gz")
    split = read_sessions(*files, train_on_validation=True)
    assert split.train.sequences(50).num_targets == examples
    assert (len(split.items), len(split.test)) == (items, tests)


@pytest.mark.slow
@published
def test_published_clicks():
    columns = {"user": "SessionId", "item": "ItemId", "timestamp": "Time"}
    log, test = (read(Path("rsc15-64", f"{n}.tsv.gz"), **columns) for n in ("train", "test"))
    split = sessions(log, test=test, train_on_validation=True)
    assert len(split.train.histories.values) == len(log) == 99_943
    # Each event of a test session but its first is a target.
    assert len(split.test) == 7_299 - test.num_users
    assert np.all(split.test.targets.lengths == 1)
