"""Ragged rows against plain lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.data import Histories

rows_of_ids = st.lists(st.lists(st.integers(1, 9), max_size=6), max_size=6)
quick = settings(max_examples=60, derandomize=True, deadline=None)


def lists(histories: Histories) -> list[list[int]]:
    return [row.tolist() for row in histories]


def test_rows_lengths_and_types():
    histories = Histories.from_lists([[5, 6, 7], [], [8]])
    assert lists(histories) == [[5, 6, 7], [], [8]]
    assert histories[-1].tolist() == [8]
    assert histories.lengths.tolist() == [3, 0, 1]
    assert histories.rows.tolist() == [0, 0, 0, 2]
    assert (histories.values.dtype, histories.offsets.dtype) == (np.int32, np.int64)
    with pytest.raises(IndexError, match="row 3 of 3"):
        histories[3]


@pytest.mark.parametrize("offsets", [[0, 1], [1, 3], [0, 2, 1, 3], []])
def test_offsets_that_do_not_fit_are_refused(offsets):
    with pytest.raises(ValueError, match="offsets"):
        Histories(np.array([1, 2, 3]), np.array(offsets))


def test_padded_is_on_the_left_and_keeps_the_most_recent():
    histories = Histories.from_lists([[1, 2, 3], [], [4]])
    assert histories.padded([0, 1, 2, 0], 2).tolist() == [[2, 3], [0, 0], [0, 4], [2, 3]]
    assert histories.padded([2], 3).tolist() == [[0, 0, 4]]
    assert histories.padded([0], 2).dtype == np.int32
    assert Histories.from_lists([[], []]).padded([0, 1], 2).tolist() == [[0, 0], [0, 0]]


@quick
@given(rows_of_ids, st.integers(1, 7))
def test_padded_like_lists(rows, length):
    padded = Histories.from_lists(rows).padded(np.arange(len(rows)), length)
    assert padded.tolist() == [([0] * length + row)[-length:] for row in rows]


@quick
@given(rows_of_ids, st.data())
def test_take_like_lists(rows, data):
    histories = Histories.from_lists(rows)
    some = data.draw(st.lists(st.integers(-len(rows), len(rows) - 1), max_size=5)) if rows else []
    assert lists(histories.take(some)) == [rows[i] for i in some]
    mask = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), bool
    )
    assert lists(histories.take(mask)) == [
        row for row, kept in zip(rows, mask, strict=True) if kept
    ]


@quick
@given(rows_of_ids)
def test_keep_and_distinct_like_lists(rows):
    histories = Histories.from_lists(rows)
    odd = histories.keep(histories.values % 2 == 1)
    assert lists(odd) == [[i for i in row if i % 2] for row in rows]
    assert lists(histories.distinct()) == [list(dict.fromkeys(row)) for row in rows]


def test_cut():
    histories = Histories.from_lists([[1, 2, 3], [4, 5]])
    assert lists(histories.cut(np.array([1, 3, 2]), np.array([3, 3, 5]))) == [[2, 3], [], [3, 4, 5]]


def test_equality():
    assert Histories.from_lists([[1], [2]]) == Histories.from_lists([[1], [2]])
    assert Histories.from_lists([[1], [2]]) != Histories.from_lists([[1, 2], []])
