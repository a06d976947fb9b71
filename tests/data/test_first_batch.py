"""Batches from within an epoch: what a run that was stopped there goes on with."""

import numpy as np
import pandas as pd
import pytest

from tfrecs._keras import tf
from tfrecs.data import Histories, Numeric, ParquetRows, Rows, Schema, TrainSet
from tfrecs.data.batches import parquet_rows
from tfrecs.data.batches.epochs import epochs


def train_set():
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, 9, length).tolist() for length in rng.integers(2, 7, 20)]
    return TrainSet(Histories.from_lists(rows), np.arange(1, 21), num_items=8)


def rows_of(size):
    return Rows({"x": np.arange(size), "y": np.arange(2 * size).reshape(size, 2)})


@pytest.fixture
def parquet(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "_CHUNK", 8)
    pd.DataFrame({"x": np.arange(47.0)}).to_parquet(tmp_path / "rows.parquet", row_group_size=7)
    return ParquetRows(tmp_path, Schema({"x": Numeric()}), buffer_rows=12)


SOURCES = {
    "sequences": lambda parquet: train_set().sequences(3),
    "pairs": lambda parquet: train_set().pairs(max_history=2),
    "rows": lambda parquet: rows_of(23),
    "Parquet": lambda parquet: parquet,
}


def listed(dataset):
    return [{name: x.tolist() for name, x in b.items()} for b in dataset.as_numpy_iterator()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"seed": 3}) for name in SOURCES),
        ("sequences", {"balanced": False}),
        ("rows", {"seed": None}),
        ("Parquet", {"seed": None}),
    ],
)
def test_the_rest_of_an_epoch_and_then_whole_ones(name, options, parquet):
    source = SOURCES[name](parquet)
    dataset = source.batch(5, **options)
    whole = [listed(dataset) for _ in range(3)]
    count = len(whole[0])
    assert count > 3
    for first in (1, count // 2, count - 1):
        resumed = source.batch(5, first_epoch=1, first_batch=first, **options)
        assert listed(resumed) == whole[1][first:]
        assert listed(resumed) == whole[2]
        assert (resumed.num_batches, resumed.first_batch) == (count, first)
    assert (dataset.num_batches, dataset.first_batch) == (count, 0)


def test_the_batches_before_are_not_made():
    made = tf.Variable(0)

    def make_batch(epoch, batch):
        made.assign_add(1)
        return {"x": 10 * epoch + batch}

    assert [int(b["x"]) for b in epochs(6, make_batch, first_epoch=4, first_batch=4)] == [44, 45]
    assert int(made) == 2


def test_an_epoch_of_unequal_length_claims_no_length():
    assert len(rows_of(9).batch(2)) == 5
    assert int(rows_of(9).batch(2, first_batch=1).cardinality()) == tf.data.UNKNOWN_CARDINALITY


@pytest.mark.parametrize("first", [-1, 5, 6])
def test_an_epoch_has_no_such_batch(first, parquet):
    with pytest.raises(ValueError, match=r"first_batch must be in 0\.\.4, as an epoch has 5 batch"):
        rows_of(9).batch(2, first_batch=first)
    with pytest.raises(ValueError, match="first_batch must be in 0"):
        parquet.batch(10, first_batch=first)
