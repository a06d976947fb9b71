"""Texts, histories and vectors: what their values become, and where they are carried."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.data import (
    Categorical,
    Column,
    FeatureTable,
    History,
    Interactions,
    Label,
    Numeric,
    ParquetRows,
    Rows,
    Schema,
    Text,
    Tokenizer,
    Vector,
    Vocabulary,
    click_through,
)


def test_history_keeps_the_most_recent_on_the_right():
    column = History(Vocabulary([10, 20, 30]), max_length=2)
    rows = pd.Series([[10, 20, 30], [20], [], None])
    assert column.encode(rows).tolist() == [[2, 3], [0, 2], [0, 0], [0, 0]]


@pytest.mark.parametrize("form", [list, tuple, np.float32, np.float64, np.float16])
def test_vectors_of_any_form(form):
    vectors = [[0.5, -1.0, 2.0], [0.25, 0.0, 4.0]]
    make = form if form in (list, tuple) else lambda row: np.array(row, form)
    values = pd.Series([make(vectors[0]), None, make(vectors[1]), float("nan")])
    got = Vector(3).encode(values)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, [vectors[0], [0] * 3, vectors[1], [0] * 3])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1.0], r"row 1 of 'v' has the shape \[1\], not \[2\]. Put None where one is missing"),
        (3.5, r"row 1 of 'v' has the shape \[\], not \[2\]"),
        ([1.0, float("nan")], "row 1 of 'v' has numbers that are not finite"),
        ([1.0, float("inf")], "row 1 of 'v' has numbers that are not finite"),
        (["a", "b"], "row 1 of 'v' is no list of numbers: could not convert string"),
    ],
)
def test_wrong_vectors(row, message):
    with pytest.raises(ValueError, match=message):
        Vector(2).encode(pd.Series([[1.0, 2.0], row], name="v"))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="size of a vector must be at least 1, not 0"):
        Vector(0)
    with pytest.raises(ValueError, match="pooling of a text must be mean or sif, not 'max'"):
        Text(Tokenizer(["toy"]), pooling="max")
    with pytest.raises(ValueError, match="word_dim must be at least 1, not 0"):
        Text(Tokenizer(["toy"]), word_dim=0)
    with pytest.raises(ValueError, match="mean, recency or attention, not 'sif'"):
        History(Vocabulary([1]), pooling="sif")


def test_configs_written_before_there_were_poolings_are_read():
    old = {
        "Text": {"tokenizer": {"words": ["toy"]}, "max_tokens": 3},
        "History": {"vocabulary": {"ids": [7]}, "max_length": 3},
        "Numeric": {"encoding": "piecewise"},
    }
    columns = {kind: Column.from_config({"kind": kind, **config}) for kind, config in old.items()}
    assert columns["Text"] == Text(Tokenizer(["toy"]), 3, "mean", None)
    assert columns["History"] == History(Vocabulary([7]), 3, "mean")
    assert columns["Numeric"] == Numeric("piecewise", "quantile")


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.lists(st.booleans(), max_size=6), st.sampled_from([list, np.array]))
def test_a_schema_reads_vectors(size, missing, form):
    numbers = np.random.default_rng(size).normal(size=(len(missing) + 1, size)).astype(np.float32)
    # The first row is there: a column without values is no column of vectors.
    absent = np.array([False, *missing])
    rows = [None if gone else form(row.tolist()) for gone, row in zip(absent, numbers, strict=True)]
    frame = pd.DataFrame({"v": pd.Series(rows, dtype=object)})
    schema = Schema.from_frame(frame)
    assert schema["v"] == Vector(size)
    np.testing.assert_array_equal(schema.encode(frame)["v"], numbers * ~absent[:, np.newaxis])


def test_what_a_schema_takes_for_no_vectors():
    frame = pd.DataFrame(
        {
            "whole": [[1, 2], [2, 3], [1, 2]],
            "words": [["a", "b"], ["a", "c"], ["a", "b"]],
            "lengths": [[1.0], [1.0, 2.0], [1.0]],
            "empty": [[], [], None],
            "missing": [[0.5, 1.0], None, [0, 2]],
        }
    )
    schema = Schema.from_frame(frame)
    assert isinstance(schema["whole"], Categorical)
    assert isinstance(schema["words"], Categorical)
    assert isinstance(schema["lengths"], Categorical)
    assert schema.left_out == {"empty": "none of its values repeats"}
    assert schema["missing"] == Vector(2)
    assert repr(schema).endswith("missing: Vector of 2)")
    texts = pd.DataFrame({"t": ["one red", "two blue", "three green"]})
    assert Schema.from_frame(texts).left_out == {"t": "none of its words repeats"}


def test_feature_tables_hold_vectors():
    frame = pd.DataFrame({"v": [np.float32([1, 2]), np.float32([3, 4])]}, index=["b", "c"])
    table = FeatureTable.from_frame(frame, Vocabulary(["a", "b", "c"]))
    np.testing.assert_array_equal(table.columns["v"], [[0, 0], [0, 0], [1, 2], [3, 4], [0, 0]])
    assert FeatureTable.from_config(table.get_config()).columns["v"].shape == (5, 2)


def test_click_through_carries_vectors_and_histories():
    rng = np.random.default_rng(0)
    items = rng.integers(1, 6, 60)
    vectors = rng.normal(size=(5, 3)).astype(np.float32)
    log = Interactions(
        {
            "user_id": np.arange(60) % 7,
            "item_id": items,
            "rating": np.arange(60) % 2 * 5.0,
            "seen": [[int(item)] * (row % 3) for row, item in enumerate(items)],
        },
        item_features=pd.DataFrame({"item_id": range(1, 6), "image": list(vectors)}),
        duplicates="keep",
    )
    known = log.vocabularies()[1]
    split = click_through(log, context=Schema({"seen": History(known, max_length=2)}))
    assert split.item_features.schema["image"] == Vector(3)
    np.testing.assert_array_equal(split.item_features.columns["image"][1:6], vectors)
    batch = next(iter(split.train.batch(16)))
    seen, ids = batch["seen"].numpy(), batch["item_id"].numpy()
    assert seen.shape == (16, 2)
    np.testing.assert_array_equal(seen, np.where(seen > 0, ids[:, np.newaxis], 0))
    assert (seen[:, 0] <= seen[:, 1]).all()
    assert seen.any()


def test_parquet_carries_vectors_and_histories(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "image": [*rng.normal(size=(49, 3)).astype(np.float32), None],
            "seen": [[7] * (n % 4) for n in range(50)],
            "y": np.arange(50) % 2,
        }
    )
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=20)
    schema = Schema.from_frame(frame, label="y", skip=["seen"])
    assert schema["image"] == Vector(3)
    schema = schema.with_columns(seen=History(Vocabulary([7]), max_length=3))
    stored = ParquetRows(tmp_path / "rows.parquet", schema)
    held = Rows.from_frame(frame, schema)
    for mine, theirs in zip(stored.batch(16, seed=None), held.batch(16, seed=None), strict=True):
        assert set(mine) == set(theirs) == {"image", "seen", "y"}
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])
    assert isinstance(schema["y"], Label)
