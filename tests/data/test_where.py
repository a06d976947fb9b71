"""Conditions on rows, against pandas, and everything that is no condition."""

import numpy as np
import pandas as pd
import pytest

from tfrecs.data.log.where import rows_where

FRAME = pd.DataFrame(
    {
        "quantity": [2, -1, 3, 0],
        "rating": [4.5, np.nan, 3.0, 5.0],
        "kind": ["buy", "view", None, "it's"],
        "day": ["2024-01-05", "2024-01-06 12:00", "2024-02-01", None],
        "a b": [1, 2, 3, 4],
    }
)


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("quantity > 0", [1, 0, 1, 0]),
        ("quantity>=0and rating>=4", [1, 0, 0, 1]),
        ("quantity == -1 or rating != 3", [1, 1, 0, 1]),
        ("not quantity > 0", [0, 1, 0, 1]),
        ("not (quantity > 2 or rating > 4.8) and quantity < 1e3", [1, 0, 0, 0]),
        ("not rating > 4", [0, 0, 1, 0]),
        ("not (rating > 4 and quantity > 0)", [0, 1, 1, 1]),
        ("kind == 'buy'", [1, 0, 0, 0]),
        ("kind != 'buy'", [0, 1, 0, 1]),
        ('kind == "it\'s"', [0, 0, 0, 1]),
        ("kind in ('buy', 'view')", [1, 1, 0, 0]),
        ("kind not in ('buy')", [0, 1, 0, 1]),
        ("quantity in (2, 3)", [1, 0, 1, 0]),
        ("day >= '2024-01-06' AND day < '2024-02-01'", [0, 1, 0, 0]),
        ("`a b` <= 2", [1, 1, 0, 0]),
        ("rating <= 3", [0, 0, 1, 0]),
        ("((((quantity > 0))))", [1, 0, 1, 0]),
        ("quantity > 0 or quantity > 0 and rating > 9", [1, 0, 1, 0]),
    ],
)
def test_conditions(condition, kept):
    assert rows_where(FRAME, condition).tolist() == [bool(x) for x in kept]


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        ("", "a column is expected at its end"),
        ("quantity", "is expected at its end"),
        ("quantity >", "a number, or a text in quotes, is expected"),
        ("quantity = 3", "this cannot be read at '= 3'"),
        ("quantity > 0 rating", "'and', 'or' or the end is expected at 'rating'"),
        ("nothing > 0", "there is no column 'nothing', only 'quantity', 'rating'"),
        ("quantity > 'x'", "holds numbers: leave the quotes out"),
        ("kind > 3", "holds texts: put the value in quotes"),
        ("(quantity > 0", r"'\)' is expected"),
        ("quantity in 3", r"'\(' is expected"),
        ("quantity in (3", "',' or '.' is expected"),
        ("__import__('os').system('x')", "there is no column '__import__'"),
        ("quantity > 0; x", "this cannot be read at '; x'"),
        ("3 > quantity", "a column is expected at '3 > quantity'"),
        ("(" * 100 + "quantity > 0" + ")" * 100, "more than 50 levels of parentheses"),
        ("not " * 100 + "quantity > 0", "more than 50 levels"),
        ("quantity > 0 " * 2000, "26,000 characters; at most 10,000"),
    ],
)
def test_what_is_no_condition(condition, what):
    with pytest.raises(ValueError, match=what):
        rows_where(FRAME, condition)


def test_whole_numbers_of_64_bits_are_compared_exactly():
    large = 2**53
    columns = [
        pd.Series([large, large + 1, 0], dtype="int64"),
        pd.Series([large, large + 1, pd.NA], dtype="Int64"),
        pd.Series([str(large), str(large + 1), None], dtype="category"),
        pd.Series([2**64 - 1, large + 1, 0], dtype="uint64"),
    ]
    for column in columns:
        kept = rows_where(pd.DataFrame({"sku": column}), f"sku == {large + 1}")
        assert kept.tolist() == [False, True, False]
    frame = pd.DataFrame({"sku": columns[0]})
    assert rows_where(frame, f"sku < {10**30}").all()


def test_numbers_that_cannot_be_read_are_told():
    stars = pd.DataFrame({"rating": [*["3"] * 197, "1/5", "2/5", None]})
    with pytest.raises(ValueError, match="has 2 values that are no numbers, such as '1/5'"):
        rows_where(stars, "rating <= 2", "dislike")
    few = pd.DataFrame({"rating": [*["1"] * 197, "1/5"]})  # Under a hundredth: missing values.
    assert rows_where(few, "rating <= 2").sum() == 197


@pytest.mark.parametrize("condition", [True, ["rating", 1], pd.Series([True]), len])
def test_a_condition_is_a_text(condition):
    with pytest.raises(ValueError, match=r"^dislike is a condition in a text"):
        rows_where(FRAME, condition, "dislike")
