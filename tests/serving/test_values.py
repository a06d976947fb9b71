"""Plain values as arrays of a signature's types; what is wrong is said, not sent."""

import datetime

import numpy as np
import pandas as pd
import pytest

from tfrecs.serving.values import NOBODY, array_of, parse_id

IDS = {"dtype": "int64", "shape": [None]}
LISTS = {"dtype": "int64", "shape": [None, None]}
TEXTS = {"dtype": "string", "shape": [None]}
NUMBERS = {"dtype": "float32", "shape": [None]}
VECTORS = {"dtype": "float32", "shape": [None, 2]}


@pytest.mark.parametrize(
    ("name", "given", "values", "expected"),
    [
        ("item_id", IDS, ["7", 7.0, np.int64(-7), b"7", None], [7, 7, -7, 7, NOBODY]),
        ("item_id", IDS, pd.Series([7, None]), [7, NOBODY]),
        ("age", {**IDS, "missing": -1}, [7, float("nan"), pd.NA], [7, -1, -1]),
        ("at", IDS, [np.datetime64("1970-01-02"), pd.Timestamp("1970-01-01 00:01")], [86400, 60]),
        (
            "at",
            {**IDS, "missing": NOBODY},
            [datetime.datetime(1970, 1, 1, 1, tzinfo=datetime.timezone.utc), pd.NaT],
            [3600, NOBODY],
        ),
        ("history", LISTS, [[1, 2], [], [3]], [[1, 2], [NOBODY, NOBODY], [3, NOBODY]]),
        ("history", LISTS, [np.array([1, 2]), None], [[1, 2], [NOBODY, NOBODY]]),
        ("history", LISTS, [[]], [[NOBODY]]),
        ("exclude", {"dtype": "int64", "shape": [None, 3]}, [[5]], [[5, NOBODY, NOBODY]]),
        ("tags", {**LISTS, "dtype": "string"}, [["a"], "b", ["c", None]], None),
        ("job", TEXTS, ["a", 7, 7.0, None, float("nan"), b"x", True], None),
        ("price", NUMBERS, [1, "2.5", None, pd.NA], [1, 2.5, np.nan, np.nan]),
        ("price", {**NUMBERS, "missing": "NaN"}, [None], [np.nan]),
        ("image", VECTORS, [[1, 2], None, [0.5, 1]], [[1, 2], [0, 0], [0.5, 1]]),
    ],
)
def test_arrays(name, given, values, expected):
    texts = {"tags": [["a", ""], ["b", ""], ["c", ""]], "job": ["a", "7", "7", "", "", "x", "True"]}
    array = array_of(values, name, given)
    np.testing.assert_array_equal(array, np.array(texts.get(name, expected), array.dtype))
    assert array.dtype == {"string": object}.get(given["dtype"], given["dtype"])


@pytest.mark.parametrize(
    ("name", "given", "values", "message"),
    [
        ("item_id", IDS, ["seven"], "'seven' is not a value of 'item_id': the values are integers"),
        ("item_id", IDS, [7.5], "7.5 is not a value"),
        ("item_id", IDS, [2**63], "is not a value"),
        ("age", IDS, [None], "A value of 'age' is missing, and for integers only the manifest"),
        ("ages", LISTS, [[1], [1, 2]], "Rows of 'ages' differ in length, and only the manifest"),
        ("exclude", {"dtype": "int64", "shape": [None, 1]}, [[1, 2]], "has 2 values; it takes at"),
        ("image", VECTORS, [[1, 2, 3]], "'image' has vectors of 2 numbers, not of 3"),
        ("price", NUMBERS, ["much"], "'much' in 'price' is no number"),
        ("job", TEXTS, ["\ud800"], "cannot be sent as UTF-8"),
        ("flag", {"dtype": "bool", "shape": [None]}, [True], "'flag' takes bool of shape .None."),
        ("x", {"dtype": "float32", "shape": None}, [1], "for which there is no column: use Client"),
    ],
)
def test_errors(name, given, values, message):
    with pytest.raises(ValueError, match=message):
        array_of(values, name, given)


def test_ids_of_text_are_what_they_are():
    assert parse_id(b"7 ", False, "an item id", "ids") == "7 "
    assert parse_id(7.0, False, "an item id", "ids") == "7.0"
