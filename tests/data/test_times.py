"""The rule for times."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from tfrecs.data.log.times import parse_times

MINUTE = "2001-09-09T01:46:40"  # 1,000,000,000 seconds since 1970
BILLION = 10**9


@pytest.mark.parametrize(
    "values",
    [
        [BILLION],
        [float(BILLION)],
        [str(BILLION)],
        [MINUTE],
        [MINUTE + "Z"],
        ["2001-09-09 01:46:40"],
        ["2001-09-09T03:46:40+02:00"],
        [datetime.datetime(2001, 9, 9, 1, 46, 40)],
        pd.to_datetime([MINUTE]),
        pd.to_datetime([MINUTE + "+00:00"]).tz_convert("Asia/Tokyo"),
        np.array([MINUTE], "datetime64[ms]"),
        pd.Series([BILLION], dtype="Int64"),
    ],
)
def test_every_form_of_one_moment(values):
    times, invalid = parse_times(values)
    assert times.dtype == np.int64
    assert times.tolist() == [BILLION]
    assert not invalid.any()


def test_fractions_stay():
    times, _ = parse_times(["0.25", "1970-01-01T00:00:01.5", 3])
    assert times.dtype == np.float64
    assert times.tolist() == [0.25, 1.5, 3.0]


def test_a_date_alone_is_its_midnight():
    assert parse_times(["1970-01-02", datetime.date(1970, 1, 3)])[0].tolist() == [86400, 172800]


@pytest.mark.parametrize(
    "bad", ["soon", "", None, float("nan"), float("inf"), "2001-13-45", pd.NaT]
)
def test_what_is_no_time_is_marked(bad):
    times, invalid = parse_times([7, bad, 8])
    assert invalid.tolist() == [False, True, False]
    assert times[~invalid].tolist() == [7, 8]


def test_missing_datetimes_are_marked():
    times, invalid = parse_times(pd.to_datetime([MINUTE, None]))
    assert invalid.tolist() == [False, True]
    assert times[0] == BILLION


def test_float64_keeps_seconds_that_float32_would_round():
    assert parse_times([978300761.0, 978300762.0])[0].tolist() == [978300761, 978300762]
