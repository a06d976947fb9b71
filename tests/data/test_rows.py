"""Rows as batches, and the click-through split."""

import numpy as np
import pandas as pd
import pytest

from tfrecs.data import Interactions, Label, Numeric, Rows, Schema, Timestamp, click_through


def columns(n=10):
    return {"a": np.arange(n, dtype=np.int32), "b": np.arange(2 * n).reshape(n, 2)}


def test_an_epoch_has_each_row_once_and_another_order_each_time():
    dataset = Rows(columns()).batch(4, seed=3)
    orders = []
    for _ in range(2):
        batches = list(dataset)
        assert [len(batch["a"]) for batch in batches] == [4, 4, 2]
        for batch in batches:
            np.testing.assert_array_equal(batch["b"][:, 0], 2 * batch["a"])
        orders.append(np.concatenate([batch["a"] for batch in batches]))
        assert sorted(orders[-1]) == list(range(10))
    assert (orders[0] != orders[1]).any()
    again = [batch["a"] for batch in Rows(columns()).batch(4, seed=3, first_epoch=1)]
    np.testing.assert_array_equal(np.concatenate(again), orders[1])
    plain = [batch["a"] for batch in Rows(columns()).batch(4, seed=None)]
    np.testing.assert_array_equal(np.concatenate(plain), np.arange(10))


def test_what_rows_refuse():
    with pytest.raises(ValueError, match="all as long"):
        Rows({"a": np.zeros(2), "b": np.zeros(3)})
    with pytest.raises(ValueError, match="at least one row"):
        Rows({"a": np.zeros(0)})
    with pytest.raises(ValueError, match="no column 'y', only a"):
        Rows({"a": np.zeros(2)}, "y")
    with pytest.raises(ValueError, match="they have no label"):
        _ = Rows({"a": np.zeros(2)}).labels
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        Rows(columns()).batch(0)


@pytest.fixture
def log():
    rng = np.random.default_rng(0)
    n = 200
    return Interactions(
        {
            "user_id": rng.integers(1, 20, n),
            "item_id": rng.integers(1, 30, n),
            "timestamp": np.arange(n) * 3600,
            "rating": rng.integers(1, 6, n).astype(float),
        },
        user_features=pd.DataFrame({"user_id": range(1, 20), "age": np.arange(19) + 20.5}),
    )


def test_click_through(log):
    context = Schema({"timestamp": Timestamp(("hour",))})
    split = click_through(log, context=context, validation=0.2, test=0.1, seed=1)
    kept = log.frame[log.frame["rating"] != 3]
    assert split.counts == {
        "rows": len(kept),
        "rows_left_out": 200 - len(kept),
        "positives": int((kept["rating"] >= 4).sum()),
    }
    parts = [split.train, split.validation, split.test]
    assert [len(p) for p in parts[1:]] == [int(len(kept) * 0.2), int(len(kept) * 0.1)]
    assert sum(map(len, parts)) == len(kept)

    def key(frame):
        return sorted(zip(*(frame[c] for c in ("user", "item", "hour", "label")), strict=True))

    got = pd.concat(
        pd.DataFrame(
            {
                "user": split.users.decode(p.columns["user_id"]),
                "item": split.items.decode(p.columns["item_id"]),
                "hour": p.columns["timestamp"][:, 0] - 1,
                "label": p.labels,
            }
        )
        for p in parts
    )
    want = pd.DataFrame(
        {
            "user": kept["user_id"],
            "item": kept["item_id"],
            "hour": kept["timestamp"] // 3600 % 24,
            "label": (kept["rating"] >= 4).astype(float),
        }
    )
    assert key(got) == key(want)
    assert split.user_features.columns["age"][1] == 20.5 + split.users.ids[0] - 1
    assert split.item_features is None
    again = click_through(log, context=context, validation=0.2, test=0.1, seed=1)
    np.testing.assert_array_equal(again.test.labels, split.test.labels)


def test_click_through_refuses(log):
    with pytest.raises(ValueError, match="no column 'clicked' to predict"):
        click_through(log, label="clicked")
    with pytest.raises(ValueError, match="0 positive rows"):
        click_through(log, positive_from=9)
    with pytest.raises(ValueError, match="together below 1"):
        click_through(log, validation=0.5, test=0.5)
    with pytest.raises(ValueError, match="too few for these shares"):
        click_through(log, test=0.001)
    everything = click_through(log, negative_to=None)
    assert everything.counts["rows"] == 200
    assert Numeric().spec.dtype == everything.train.labels.dtype


def test_rows_with_several_labels():
    rows = Rows({"a": np.arange(3), "b": np.arange(3) / 2}, ["b", "a"])
    assert (rows.label, rows.label_names) == ("b", ("b", "a"))
    np.testing.assert_array_equal(rows.labels, [0, 0.5, 1])
    assert rows.take(np.array([2])).label_names == ("b", "a")
    assert repr(rows) == "Rows(3 rows of a, b, labels b, a)"
    with pytest.raises(ValueError, match="no column 'c', only a"):
        Rows({"a": np.zeros(2)}, ["a", "c"])


def test_click_through_with_another_label(log):
    log.frame["seconds"] = np.where(np.arange(200) % 4 == 0, np.nan, np.arange(200.0))
    context = Schema({"seconds": Label(optional=True), "timestamp": Timestamp(("hour",))})
    split = click_through(log, context=context, validation=0.2, test=0.1, seed=1)
    assert list(split.context) == ["timestamp", "rating", "seconds"]
    assert split.train.label_names == split.context.labels == ("rating", "seconds")
    parts = [split.train, split.validation, split.test]
    got = np.concatenate([part.columns["seconds"] for part in parts])
    want = log.frame["seconds"][log.frame["rating"] != 3]
    np.testing.assert_array_equal(np.sort(got), np.sort(want))
    # A model's own context, and one from a YAML file, part in the same way.
    for again in (split.context, context.get_config()):
        other = click_through(log, context=again, validation=0.2, test=0.1, seed=1)
        assert other.context == split.context
        np.testing.assert_array_equal(other.test.columns["seconds"], split.test.columns["seconds"])
    with pytest.raises(ValueError, match="no column 'shares' to predict.*Leave it out of the cont"):
        click_through(log, context=Schema({"shares": Label()}))
