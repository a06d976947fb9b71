"""The rule for raw ids."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.data.log.ids import parse_ids


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 1, 3], [3, 1, 3]),
        ([3.0, 1.0], [3, 1]),
        (["3", "1"], [3, 1]),
        (["3", 1, 2.0], [3, 1, 2]),
        (["-3", "0"], [-3, 0]),
        (np.array([7, 8], np.uint8), [7, 8]),
        (pd.Series([1, 2], dtype="Int64"), [1, 2]),
        (pd.Categorical(["10", "9", "10"]), [10, 9, 10]),
        ([b"5", b"6"], [5, 6]),
    ],
)
def test_ids_that_all_read_as_integers_are_integers(values, expected):
    ids, missing = parse_ids(values)
    assert ids.dtype == np.int64
    assert ids.tolist() == expected
    assert not missing.any()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        ([1, "a", 2.0], ["1", "a", "2"]),
        (["007", "7"], ["007", "7"]),
        (["+7"], ["+7"]),
        (["1.5"], ["1.5"]),
        (["--1"], ["--1"]),
        (["-"], ["-"]),
        (["-0"], ["-0"]),
        (["٣"], ["٣"]),  # a digit, but not as Python prints it
        (["9223372036854775808"], ["9223372036854775808"]),
        (np.array([2**63], np.uint64), ["9223372036854775808"]),
        ([b"caf\xc3\xa9"], ["café"]),
        ([True, False], ["True", "False"]),
        (pd.Categorical(["x", "y", "x"]), ["x", "y", "x"]),
    ],
)
def test_other_ids_are_strings(values, expected):
    ids, missing = parse_ids(values)
    assert ids.dtype == object
    assert ids.tolist() == expected
    assert not missing.any()


@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA, pd.NaT, "", "  ", b""])
def test_missing_ids_are_marked_and_do_not_change_the_kind(nothing):
    ids, missing = parse_ids([4, nothing, 5])
    assert missing.tolist() == [False, True, False]
    assert ids[~missing].tolist() == [4, 5]
    ids, missing = parse_ids([nothing, "a", nothing])
    assert missing.tolist() == [True, False, True]
    assert ids[1] == "a"


def test_all_missing():
    assert parse_ids([None, None])[1].all()
    assert parse_ids(["", None])[1].all()
    assert len(parse_ids([])[0]) == 0


@pytest.mark.parametrize("value", [1.5, float("inf"), 2.0**60])
def test_floats_that_are_no_ids_are_refused(value):
    with pytest.raises(ValueError, match=r"who holds .*whole number"):
        parse_ids([1.0, value], "who")
    with pytest.raises(ValueError, match="whole number"):
        parse_ids(["a", value])


@pytest.mark.slow
@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(max_size=3), st.none())))
def test_every_id_keeps_its_text(values):
    ids, missing = parse_ids(pd.Series(values, dtype=object))
    assert len(ids) == len(missing) == len(values)
    for value, found, absent in zip(values, ids.tolist(), missing.tolist(), strict=True):
        assert absent == (value is None or (isinstance(value, str) and not value.strip()))
        if not absent:
            assert str(found) == str(value)
