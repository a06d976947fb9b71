"""Rows streamed from Parquet: nothing lost, an order that follows from the seed, memory held."""

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.data.batches import parquet_rows
from tfrecs.data.batches.parquet_rows import ParquetRows
from tfrecs.data.features.columns import Categorical, Label, Numeric
from tfrecs.data.features.schema import Schema
from tfrecs.data.log.vocabulary import Vocabulary

SCHEMA = Schema(
    {
        "x": Numeric(),
        "job": Categorical(Vocabulary(["cook", "judge"])),
        "tags": Categorical(Vocabulary([7, 8]), max_values=2),
        "y": Label(),
    }
)


def frame(rows):
    number = np.arange(rows)
    return pd.DataFrame(
        {
            "y": number % 2,
            "other": "unread",
            "x": number.astype(float),
            "job": np.array(["cook", "judge", None, "spy"], object)[number % 4],
            "tags": [[7] * (n % 3) for n in range(rows)],
        }
    )


def write(path, rows, group=10):
    frame(rows).to_parquet(path, row_group_size=group)
    return path


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(parquet_rows, "_CHUNK", 4)


def check(batch):
    """The columns of each row belong together and are encoded."""
    number = batch["x"].numpy().astype(int)
    np.testing.assert_array_equal(batch["y"], number % 2)
    np.testing.assert_array_equal(batch["job"], np.array([1, 2, 0, 3])[number % 4])
    np.testing.assert_array_equal(batch["tags"], [[n % 3 > 0, n % 3 > 1] for n in number])


@pytest.mark.slow
def test_an_epoch_has_each_row_once_and_another_order_each_time(tmp_path):
    rows = ParquetRows(write(tmp_path / "a.parquet", 57), SCHEMA, buffer_rows=12)
    dataset = rows.batch(5, seed=3)
    assert len(rows) == rows.num_targets == 57
    assert int(dataset.cardinality()) == 12
    orders = []
    for _ in range(2):
        batches = list(dataset)
        assert [len(batch["x"]) for batch in batches] == [5] * 11 + [2]
        for batch in batches:
            assert set(batch) == set(SCHEMA)
            check(batch)
        orders.append(np.concatenate([batch["x"] for batch in batches]).astype(int))
        assert sorted(orders[-1]) == list(range(57))
    assert (orders[0] != orders[1]).any()
    again = [batch["x"] for batch in rows.batch(5, seed=3, first_epoch=1)]
    np.testing.assert_array_equal(np.concatenate(again), orders[1])
    # The order is that of the seed, whatever the batch size.
    larger = np.concatenate([batch["x"] for batch in rows.batch(9, seed=3)])
    np.testing.assert_array_equal(larger, orders[0])
    other = np.concatenate([batch["x"] for batch in rows.batch(5, seed=4)])
    assert (other != orders[0]).any()
    plain = [batch["x"] for batch in rows.batch(5, seed=None)]
    np.testing.assert_array_equal(np.concatenate(plain), np.arange(57))


def test_rows_of_far_row_groups_meet(tmp_path):
    rows = ParquetRows(write(tmp_path / "a.parquet", 100), SCHEMA, buffer_rows=50)
    first = next(iter(rows.batch(20)))["x"].numpy().astype(int) // 10
    assert len(set(first)) > 2  # of the ten row groups


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 23), min_size=1, max_size=6).filter(any),
    group=st.integers(1, 9),
    batch_size=st.integers(1, 30),
    buffer_rows=st.integers(1, 40),
    seed=st.none() | st.integers(0, 9),
)
def test_nothing_is_lost(tmp_path_factory, sizes, group, batch_size, buffer_rows, seed):
    folder = tmp_path_factory.mktemp("parts")
    everything = pd.DataFrame({"x": np.arange(sum(sizes), dtype=float)})
    start = 0
    for number, size in enumerate(sizes):
        part = everything.iloc[start : start + size]
        part.to_parquet(folder / f"{number}.parquet", row_group_size=group)
        start += size
    rows = ParquetRows(folder, Schema({"x": Numeric()}), buffer_rows)
    batches = [batch["x"].numpy() for batch in rows.batch(batch_size, seed=seed)]
    assert all(len(batch) == batch_size for batch in batches[:-1])
    got = np.concatenate(batches)
    np.testing.assert_array_equal(got if seed is None else np.sort(got), everything["x"])


def test_the_buffer_bounds_what_is_held(tmp_path, monkeypatch):
    rows = ParquetRows(write(tmp_path / "a.parquet", 400), SCHEMA, buffer_rows=40)
    read = []
    encode = ParquetRows._encode
    monkeypatch.setattr(ParquetRows, "_encode", lambda *a: read.append(len(a[1])) or encode(*a))
    ahead = []
    rng = np.random.default_rng(0)
    given = 0
    for part in parquet_rows._mixed(rows._chunks(rng), rows.buffer_rows, rng):
        ahead.append(sum(read) - given)
        given += len(part["x"])
    assert given == 400
    assert max(ahead) <= 40 + 4


@pytest.mark.slow
def test_a_model_trains_from_it(tmp_path):
    import tfrecs

    rows = ParquetRows(write(tmp_path / "a.parquet", 60), SCHEMA)
    schema = SCHEMA.with_columns(tags=None)
    rows = ParquetRows(rows.paths, schema)
    model = tfrecs.models.DeepCross(schema, dim=4, deep_units=[8], seed=1)
    model.adapt(rows.sample(30))
    model.compile(tfrecs.optimizers.Adam(0.05))
    losses = model.fit(rows.batch(16), epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0] < 1


def test_several_labels_of_which_one_is_missing_in_places(tmp_path):
    stars = [None if n % 3 == 0 else float(n) for n in range(20)]
    frame(20).assign(stars=stars).to_parquet(tmp_path / "a.parquet", row_group_size=6)
    rows = ParquetRows(tmp_path / "a.parquet", SCHEMA.with_columns(stars=Label(optional=True)))
    assert rows.label_names == rows.sample(5).label_names == ("y", "stars")
    assert repr(rows) == "ParquetRows(20 rows of x, job, tags, y, stars, labels y, stars)"
    for batch in rows.batch(7):
        number = batch["x"].numpy()
        want = np.where(number % 3 == 0, np.nan, number)
        np.testing.assert_array_equal(batch["stars"], want)


def test_samples(tmp_path):
    rows = ParquetRows(write(tmp_path / "a.parquet", 30), SCHEMA)
    some = rows.sample(7, seed=1)
    assert len(some) == len(set(some.columns["x"])) == 7
    np.testing.assert_array_equal(some.columns["y"], some.columns["x"] % 2)
    np.testing.assert_array_equal(some.columns["x"], rows.sample(7, seed=1).columns["x"])
    assert some.label == "y"
    assert sorted(rows.sample(99).columns["x"]) == list(range(30))
    with pytest.raises(ValueError, match="size must be at least 1"):
        rows.sample(0)


def test_files_can_be_named_one_by_one(tmp_path):
    for name in "ba":
        write(tmp_path / f"{name}.parquet", 5)
    (tmp_path / "notes.txt").write_text("no rows")
    assert [file.name for file in ParquetRows(str(tmp_path), SCHEMA).paths] == [
        "a.parquet",
        "b.parquet",
    ]
    named = ParquetRows([tmp_path / "b.parquet"], SCHEMA)
    assert len(named) == 5
    assert repr(named) == "ParquetRows(5 rows of x, job, tags, y, label y)"


def test_what_it_refuses(tmp_path):
    path = write(tmp_path / "a.parquet", 5)
    with pytest.raises(FileNotFoundError, match="b.parquet: name a file, a folder"):
        ParquetRows(tmp_path / "b.parquet", SCHEMA)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty"):
        ParquetRows(tmp_path / "empty", SCHEMA)
    with pytest.raises(ValueError, match="no column 'age', only 'y', 'other'"):
        ParquetRows(path, SCHEMA.with_columns(age=Numeric()))
    with pytest.raises(ValueError, match="buffer_rows must be at least 1"):
        ParquetRows(path, SCHEMA, 0)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        ParquetRows(path, SCHEMA).batch(0)
    with pytest.raises(ValueError, match="There are no rows in"):
        ParquetRows(write(tmp_path / "none.parquet", 0), SCHEMA)


def test_a_bad_row_is_named_by_its_file(tmp_path):
    table = pa.table({"x": [1.0] * 12, "y": [0.0] * 10 + [None, 1.0]})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=6)
    rows = ParquetRows(path, Schema({"x": Numeric(), "y": Label()}))
    with pytest.raises(Exception, match="row group 1, from row 4: The label 'y' of row 0 is"):
        list(itertools.islice(rows.batch(2), 9))


def test_weights_come_with_the_rows(tmp_path):
    rows = frame(25).assign(importance=np.arange(25) / 2, stay=pd.to_timedelta(range(25), "s"))
    rows.to_parquet(tmp_path / "rows.parquet", row_group_size=10)
    schema = Schema({**SCHEMA, "stay": Numeric()})
    streamed = ParquetRows(tmp_path / "rows.parquet", schema, weight="importance")
    for batch in streamed.batch(4):
        np.testing.assert_array_equal(batch["sample_weight"], batch["x"].numpy() / 2)
        np.testing.assert_array_equal(batch["stay"], batch["x"])
    assert "sample_weight" in streamed.sample(5).columns
    rows.assign(importance=-1.0).to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match="bad.parquet, row group 0.*'importance'.*0 or more"):
        ParquetRows(tmp_path / "bad.parquet", schema, weight="importance").sample(5)
    with pytest.raises(ValueError, match="no column 'wieght'"):
        ParquetRows(tmp_path / "rows.parquet", schema, weight="wieght")
