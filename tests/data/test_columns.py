"""Each kind of column: what its values become."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrecs.data import (
    Categorical,
    Column,
    History,
    Label,
    Numeric,
    Text,
    Timestamp,
    Tokenizer,
    Vector,
    Vocabulary,
)
from tfrecs.data.features.wide_columns import CALENDAR, calendar_ids

COLUMNS = [
    Categorical(Vocabulary(["b", "a"])),
    Categorical(Vocabulary([3, 1]), max_values=2),
    Numeric("squashing"),
    Numeric(bins="tree"),
    Timestamp(("day", "hour")),
    Text(Tokenizer(["toy", "story"]), max_tokens=3, pooling="sif", word_dim=5),
    History(Vocabulary([3, 1]), max_length=4, pooling="recency"),
    Vector(2),
    Label(4.0),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: type(c).__name__)
def test_config_and_spec(column):
    again = Column.from_config(json.loads(json.dumps(column.get_config())))
    assert again.get_config() == column.get_config()
    values = {
        "Categorical": ["a", "b"],
        "Timestamp": [0, 86_400],
        "Text": ["Toy story", ""],
        "History": [[1], [3, 1]],
        "Vector": [[0.5, 1.0], None],
    }.get(type(column).__name__, [1.0, 5.0])
    if getattr(column, "max_values", 0):
        values = [[3], []]
    encoded = again.encode(pd.Series(values))
    assert encoded.dtype == column.spec.dtype.as_numpy_dtype
    assert column.spec.shape.is_compatible_with(encoded.shape)
    with pytest.raises(ValueError, match=r"no kind of column 'Nope', only Categorical, History"):
        Column.from_config({"kind": "Nope"})


def test_categories_missing_unknown_and_rare():
    column = Categorical.from_values(["x", "y", "x", None, "z", "y", ""], min_count=2)
    assert column.vocabulary.ids.tolist() == ["x", "y"]
    assert column.encode(pd.Series(["y", None, "z", "", "x"])).tolist() == [2, 0, 3, 0, 1]


def test_truth_values_and_integers():
    assert Categorical.from_values(pd.Series([True, False, True])).encode(
        pd.Series([False, True])
    ).tolist() == [1, 2]
    column = Categorical.from_values(pd.Series([30, 10, 10, 30], dtype="Int64"))
    assert column.encode(pd.Series([10, None, 30, 7], dtype="Int64")).tolist() == [1, 0, 2, 3]


def test_several_values_a_row():
    rows = pd.Series([["a", "b"], [], None, ["b"], ["a", "c", "b"]])
    column = Categorical.from_values(rows, min_count=2)
    assert column.max_values == 3
    assert column.encode(rows).tolist() == [[1, 2, 0], [0] * 3, [0] * 3, [2, 0, 0], [1, 3, 2]]


def test_numbers_that_cannot_be_read_are_missing():
    got = Numeric().encode(pd.Series(["1.5", "x", None, "inf"]))
    np.testing.assert_array_equal(got, np.float32([1.5, np.nan, np.nan, np.inf]))
    with pytest.raises(ValueError, match="encoding must be one of piecewise, .* not 'plain'"):
        Numeric("plain")
    with pytest.raises(ValueError, match="bins must be quantile or tree, not 'forest'"):
        Numeric(bins="forest")
    with pytest.raises(ValueError, match="bins='tree' are those of .* and 'squashing' has none"):
        Numeric("squashing", bins="tree")


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_calendar_is_pythons(seconds):
    date = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    want = [date.hour + 1, date.weekday() + 1, date.day, date.month]
    assert calendar_ids(np.array([seconds]), list(CALENDAR)).tolist() == [want]


def test_timestamp_missing_and_wrong_parts():
    times = pd.Series(["1970-01-02", None, "soon"])
    assert Timestamp(("day",)).encode(times).tolist() == [[2], [0], [0]]
    with pytest.raises(ValueError, match="parts are some of hour, weekday, day, month"):
        Timestamp(("century",))


def test_label():
    assert Label(4).encode(pd.Series([5, 3, 4])).tolist() == [1, 0, 1]
    assert Label().encode(pd.Series([0.25, 3])).tolist() == [0.25, 3]
    with pytest.raises(ValueError, match="label 'y' of row 1 is no finite number: None"):
        Label().encode(pd.Series([1, None], name="y", dtype=object))
