"""Files as shops, warehouses and spreadsheets export them: read whole, or refused in one line."""

import datetime
import decimal
import gzip
import os
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfrecs.data import Categorical, Interactions, Numeric, Schema, Timestamp, global_time, read
from tfrecs.data.log.times import in_seconds, parse_times
from tfrecs.data.readers.reading import parse_list

N = 400
USER = np.repeat(np.arange(40), 10)
ITEM = np.random.default_rng(0).integers(0, 30, N)
START = pd.Timestamp("2024-01-01 08:00:00")
MOMENTS = [START + pd.Timedelta(minutes=61 * k) for k in range(N)]
SECONDS = [START.timestamp() + 3660 * k for k in range(N)]


@pytest.fixture
def write(tmp_path):
    def written(name, header, lines):
        text = "\n".join([header, *lines] if header else lines) + "\n"
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return written


@pytest.fixture
def with_times(write):
    def written(form):
        lines = [
            f"{USER[k]},{ITEM[k]},{form(MOMENTS[k])}"
            for k in np.random.default_rng(3).permutation(N)
        ]
        return write("log.csv", "user_id,item_id,timestamp", lines)

    return written


US = "%-m/%-d/%y %-H:%M"
FORMS = [US, "%d.%m.%Y %H:%M", "%Y-%m-%d %H:%M:%S UTC", "%m/%d/%Y %I:%M %p", "%d-%m-%Y %H:%M:%S"]
FORMS += ["%Y-%m-%dT%H:%M:%SZ", "%d %b %Y %H:%M", "%b %d %Y %H:%M"]


@pytest.mark.parametrize("form", FORMS)
def test_times_that_only_one_reading_fits(with_times, form):
    log = read(with_times(lambda moment: moment.strftime(form)))
    assert log.frame["timestamp"].tolist() == pytest.approx(SECONDS)


def test_ambiguous_times_are_asked_about(with_times):
    early = [m for m in MOMENTS if m.day <= 12]
    path = with_times(lambda moment: early[moment.minute % len(early)].strftime("%d/%m/%Y"))
    with pytest.raises(ValueError, match="with the day or with the month first, and no row tells"):
        read(path)
    log = read(path, time_format="%d/%m/%Y")
    assert set(log.frame["timestamp"] % 86400) == {0}
    assert log.frame["timestamp"].max() < SECONDS[-1] + 86400
    both = ["13/1/2024", "1/13/2024"]
    with pytest.raises(ValueError, match="the day comes first in some and the month in others"):
        parse_times(both)


def test_two_forms_in_one_column(write):
    forms = ("%Y-%m-%d %H:%M", US)
    lines = [f"{USER[k]},{ITEM[k]},{MOMENTS[k].strftime(forms[k % 3 == 0])}" for k in range(N)]
    assert len(read(write("log.csv", "user_id,item_id,timestamp", lines))) == N
    broken = [line if k % 3 else f"1,2,week {k} of 24" for k, line in enumerate(lines)]
    with pytest.raises(
        ValueError, match="134 of 400 times can not be read, such as 'week 0 of 24'"
    ):
        read(write("log.csv", "user_id,item_id,timestamp", broken))


def test_times_that_were_not_named(write):
    order = np.random.default_rng(1).permutation(N)
    lines = [f"{USER[k]},{ITEM[k]},{MOMENTS[k]}" for k in order]
    path = write("log.csv", "CustomerID,StockCode,InvoiceDate", lines)
    with pytest.raises(ValueError, match="no column 'timestamp'. Pass timestamp='InvoiceDate'"):
        read(path, user="CustomerID", item="StockCode")
    log = read(path, user="CustomerID", item="StockCode", timestamp="InvoiceDate")
    assert log.frame["timestamp"].tolist() == pytest.approx(SECONDS)
    # A column of other texts, or of numbers, is no time.
    lines = [f"{USER[k]},{ITEM[k]},{k}.5,part {k}" for k in order]
    assert not read(write("log.csv", "user_id,item_id,price,note", lines)).has_times


@pytest.mark.parametrize(
    ("name", "header", "between"),
    [
        ("semicolons.csv", "user_id;item_id;timestamp;price", ";"),
        ("semicolons.txt", "user_id;item_id;timestamp;price", ";"),
        ("bars.dat", "user_id|item_id|timestamp|price", "|"),
        ("colons.dat", "user_id::item_id::timestamp::price", "::"),
        ("quoted.txt", '"user_id","item_id","timestamp","price"', ","),
        ("marked.txt", "\ufeffuser_id,item_id,timestamp,price", ","),
        ("marked.tsv", "\ufeffuser_id\titem_id\ttimestamp\tprice", "\t"),
    ],
)
def test_delimiters_are_found_by_the_header(write, name, header, between):
    quoted = '"' if "quoted" in name else ""
    lines = [
        between.join([f"{quoted}{USER[k]}{quoted}", f"{ITEM[k]}", str(k), "1.5"]) for k in range(N)
    ]
    log = read(write(name, header, lines))
    assert (len(log), log.frame["price"].unique().tolist()) == (N, [1.5])
    assert log.frame["user_id"].dtype == np.int64


def test_delimiters_may_be_given(write):
    path = write("double_colons.dat", None, [f"{USER[k]}::{ITEM[k]}::5::{k}" for k in range(N)])
    columns = ["user_id", "item_id", "rating", "timestamp"]
    log = read(path, delimiter="::", columns=columns)
    assert (len(log), log.frame["rating"].unique().tolist()) == (N, [5])
    with pytest.raises(ValueError, match="by any of ',', '.t', ';', '|', '::'"):
        read(path)
    path = write("log.csv", "who;what;when", ["1;2;3"])
    with pytest.raises(ValueError, match="columns 'who;what;when', parted by ','"):
        read(path)


def test_a_header_with_one_name_twice(write):
    path = write("log.csv", "user_id,item_id,timestamp,price,price", ["1,2,3,4,5"])
    with pytest.raises(ValueError, match="log.csv: the header names the column 'price' twice"):
        read(path)


def test_a_quote_that_is_not_closed(write):
    def lines(quote):
        return [f"{USER[k]},{ITEM[k]},{k},{quote if k == 200 else ''}Seven" for k in range(N)]

    header = "user_id,item_id,timestamp,title"
    with pytest.raises(ValueError, match="log.csv, line 202: a quote is not closed on its line"):
        read(write("log.csv", header, lines('"')))
    broken = [*lines("")[:3], '7,8,900,"two\nlines"', *lines("")[3:]]
    with pytest.raises(ValueError, match="line 5: .*pass multiline=True"):
        read(write("log.csv", header, broken))
    log = read(write("log.csv", header, broken), multiline=True)
    assert (len(log), "two\nlines" in set(log.frame["title"])) == (N + 1, True)
    # A quote within a field, or an empty line, is no fault.
    fine = [f'{USER[k]},{ITEM[k]},{k},6" pipe' for k in range(N)]
    assert len(read(write("log.csv", header, [*fine, "", ""]))) == N
    doubled = [f'{USER[k]},{ITEM[k]},{k},"a ""b"" c"' for k in range(N)]
    assert set(read(write("log.csv", header, doubled)).frame["title"]) == {'a "b" c'}


def test_a_line_break_within_an_id(write):
    lines = ["1,2,3", '"a\nb",2,4', "1,3,5"]
    path = write("log.csv", "user_id,item_id,timestamp", lines)
    with pytest.raises(ValueError, match="column 'user_id', row 2: the id 'a.nb' holds a line bre"):
        read(path, multiline=True)


def test_two_trailing_commas(write):
    path = write("log.csv", "user_id,item_id,timestamp", ["1,2,3", "1,2,4,,"])
    with pytest.raises(ValueError, match="line 3: 5 fields where 3 are expected"):
        read(path)


def test_decimal_commas(write):
    header, line = "user_id;item_id;rating;timestamp", "{u};{i};{r};{k}"

    def lines(rating):
        return [line.format(u=USER[k], i=ITEM[k], r=rating(k), k=k) for k in range(N)]

    log = read(write("log.csv", header, lines(lambda k: f"{1 + k % 5},5")))
    assert sorted(log.frame["rating"].unique()) == [1.5, 2.5, 3.5, 4.5, 5.5]
    # These may be thousands: as long as nobody says so they are texts.
    path = write("log.csv", header, lines(lambda k: f"{1 + k % 5},500"))
    assert read(path).frame["rating"].dtype.kind == "O"
    assert read(path, decimal=",").frame["rating"].max() == 5.5


def test_ids_are_the_same_from_csv_and_parquet(tmp_path):
    frame = pd.DataFrame({"user_id": USER.astype(float), "item_id": ITEM, "timestamp": range(N)})
    frame.loc[::50, "user_id"] = None
    frame.to_csv(tmp_path / "log.csv", index=False)
    frame.to_parquet(tmp_path / "log.parquet")
    logs = [read(tmp_path / name) for name in ("log.csv", "log.parquet")]
    for log in logs:
        assert log.dropped["missing_user_id"] == 8
        assert log.frame["user_id"].dtype == np.int64
    assert logs[0].fingerprint() == logs[1].fingerprint()


def test_ids_of_64_bits_beside_a_missing_one(tmp_path):
    users = [2**60 + int(u) if k % 50 else None for k, u in enumerate(USER)]
    table = pa.table({"user_id": users, "item_id": ITEM, "timestamp": np.arange(N)})
    pq.write_table(table, tmp_path / "log.parquet")
    log = read(tmp_path / "log.parquet")
    assert log.dropped["missing_user_id"] == 8
    assert set(log.frame["user_id"]) == {2**60 + int(u) for u in USER}


def test_decimal_and_binary_ids(tmp_path):
    known = [uuid.UUID(int=2**127 + k) for k in range(10)]
    table = pa.table(
        {
            "user_id": pa.array([decimal.Decimal(f"{k}.00") for k in USER]),
            "item_id": pa.array([known[i % 10].bytes for i in ITEM], pa.binary(16)),
            "timestamp": np.arange(N),
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    log = read(tmp_path / "log.parquet")
    assert sorted(log.frame["user_id"].unique()) == list(range(40))
    assert set(log.frame["item_id"]) == set(map(str, known))


def test_types_of_a_warehouse(tmp_path):
    table = pa.table(
        {
            "user_id": USER,
            "item_id": ITEM,
            "timestamp": np.arange(N),
            "price": pa.array([decimal.Decimal(f"{1 + k % 7}.25") for k in range(N)]),
            "day": pa.array([m.date() for m in MOMENTS]),
            "seen_at": pa.array(MOMENTS, pa.timestamp("us")),
            "clock": pa.array([m.time() for m in MOMENTS]),
            "stay": pa.array([pd.Timedelta(seconds=k) for k in range(N)], pa.duration("ms")),
            "tags": pa.array([["a", "b"][: 1 + k % 2] for k in range(N)]),
            "record": pa.array([{"a": 1}] * N),
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    frame = read(tmp_path / "log.parquet").frame
    features = ["price", "day", "seen_at", "clock", "stay", "tags", "record"]
    schema = Schema.from_frame(frame[features])
    kinds = {name: type(column).__name__ for name, column in schema.items()}
    assert kinds == {
        **dict.fromkeys(("price", "clock", "stay"), "Numeric"),
        **dict.fromkeys(("day", "seen_at"), "Timestamp"),
        "tags": "Categorical",
    }
    assert schema["tags"].max_values == 2
    assert schema.left_out == {"record": "it holds records"}
    assert frame["stay"].max() == N - 1
    # The same columns as text have the same schema.
    raw = table.to_pandas().drop(columns="record")
    raw.to_csv(tmp_path / "log.csv", index=False)
    text = read(tmp_path / "log.csv").frame[features[:-1]]
    written = Schema.from_frame(text)
    assert {name: type(column).__name__ for name, column in written.items()} == kinds
    # So have the columns of a DataFrame as pandas reads them from Parquet.
    pandas = Schema.from_frame(raw[features[:-1]])
    assert {name: type(column).__name__ for name, column in pandas.items()} == kinds
    for name in written:
        encoded = schema[name].encode(frame[name])
        np.testing.assert_array_equal(written[name].encode(text[name]), encoded)
        np.testing.assert_array_equal(pandas[name].encode(raw[name]), encoded)


def test_an_index_is_a_column(tmp_path):
    frame = pd.DataFrame({"user_id": USER, "item_id": ITEM, "timestamp": range(N)})
    frame.set_index("user_id").to_parquet(tmp_path / "log.parquet")
    assert len(read(tmp_path / "log.parquet")) == N


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("name", ["log.csv.gz", "log.txt.gz", "log.parquet.gz"])
def test_archives_that_end_too_early(tmp_path, keep, name):
    lines = "\n".join(f"{USER[k]},{ITEM[k]},{k}" for k in range(N))
    whole = gzip.compress(f"user_id,item_id,timestamp\n{lines}\n".encode())
    (tmp_path / name).write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(ValueError, match=f"{name}: the archive ends too early"):
        read(tmp_path / name)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "log.csv").write_bytes(b"user_id,item_id\nJos\xe9,1\n")
    with pytest.raises(ValueError, match="log.csv.*(UTF-?8|utf-8)"):
        read(tmp_path / "log.csv")
    (tmp_path / "log.txt").write_bytes(b"Jos\xe9 1 2\nb 1\n")
    with pytest.raises(ValueError, match="log.txt is not UTF-8 text"):
        read(tmp_path / "log.txt", format="sequences")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("suffix", ["csv", "txt"])
def test_lines_end_in_several_ways(tmp_path, end, suffix):
    lines = ["user_id,item_id,timestamp", *(f"{USER[k]},{ITEM[k]},{k}" for k in range(N)), ""]
    path = tmp_path / f"log.{suffix}"
    path.write_bytes(end.join(lines).encode())
    assert len(read(path)) == N
    path.write_bytes(end.join(lines).encode("utf-16"))
    with pytest.raises(ValueError, match="is UTF-16 text, and UTF-8 is read"):
        read(path)


def test_times_of_any_unit_and_year():
    seconds = np.array([1_700_000_000, -5, 0])
    for factor in (1, 10**3, 10**6, 10**9):
        assert in_seconds(seconds[:1] * factor).tolist() == [1_700_000_000]
    ids = Timestamp(("hour", "day")).encode(pd.Series([1_700_000_000, 1_700_000_000_000]))
    assert ids[0].tolist() == ids[1].tolist()
    times, invalid = parse_times(["2500-01-01", "1600-01-01 00:00:01", "0001-01-01"])
    assert times.tolist() == [16_725_225_600, -11_676_095_999, -62_135_596_800]
    assert not invalid.any()
    far = pd.Series(np.array(["2500-01-01", "NaT"], "datetime64[s]"))
    assert parse_times(far)[0].tolist() == [16_725_225_600, 0]
    arrow = pd.Series(pa.array([1, None], pa.date32()), dtype=pd.ArrowDtype(pa.date32()))
    assert [x.tolist() for x in parse_times(arrow)] == [[86400, 0], [False, True]]
    exact = 1_700_000_000_123_456_789
    for kind in ("Int64", pd.ArrowDtype(pa.int64())):
        times, invalid = parse_times(pd.Series([exact, None], dtype=kind))
        assert (times.tolist(), invalid.tolist()) == ([exact, 0], [False, True])
    zone = pa.array([1_700_000_000, None], pa.timestamp("s", "America/New_York"))
    arrow = pd.Series(zone, dtype=pd.ArrowDtype(zone.type))
    assert parse_times(arrow)[0].tolist() == [1_700_000_000, 0]


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
def test_dates_cut_a_log_of_any_unit(factor):
    times = np.array(SECONDS, np.int64) * factor
    rows = {"user_id": np.arange(N) % 40, "item_id": ITEM, "timestamp": times}
    split = global_time(Interactions(rows), times=("2024-01-10", "2024-01-14"))
    before = sum(m < pd.Timestamp("2024-01-10") for m in MOMENTS)
    assert len(split.train.histories.values) == before


def test_numbers_beside_dates_are_in_one_unit():
    times, _ = parse_times(["2024-01-01", "1704067201000", "1704067202"])
    assert times.tolist() == [1704067200, 1704067201, 1704067202]


def test_tables_beside_a_log(write):
    log = write("log.csv", "who,what", ["a,1", "b,2", "a,2"])
    users = write("users.csv", "who;age", ["a;31", "b;58"])
    items = write("items.tsv", "what\ttitle", ["1\tBrazil", "9\tAlien"])
    got = read(log, user="who", item="what", user_features=users, item_features=items)
    assert got.user_features["age"].to_dict() == {"a": 31, "b": 58}
    assert got.item_features["title"].to_dict() == {1: "Brazil", 9: "Alien"}
    with pytest.raises(ValueError, match="users.csv has no column 'what', which item_features="):
        read(log, user="who", item="what", item_features=users)
    with pytest.raises(FileNotFoundError):
        read(log, user="who", item="what", item_features="nowhere.csv")


def test_rows_that_fit_a_condition(write):
    lines = ["a,1,2,5", "a,2,-1,5", "b,2,3,3", "b,3,,4"]
    path = write("log.csv", "user_id,item_id,quantity,rating", lines)
    log = read(path, where="quantity > 0 and rating >= 4")
    assert (len(log), log.dropped["where"]) == (1, 3)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[]", []),
        ("[1, 2]", [1, 2]),
        ("[1 2 -3]", [1, 2, -3]),
        ("[0.5 1. ]", [0.5, 1.0]),
        ("['a', 'b']", ["a", "b"]),
        ("['a, b' 'c']", ["a, b", "c"]),
        ('["it\'s", "\\"so\\""]', ["it's", '"so"']),
        ("[New York, Rome]", ["New York", "Rome"]),
        ("[New York]", ["New York"]),
        ("[1, None]", [1, None]),
        ("[[1, 2]]", None),
        ("[1, 2", None),
        ("['a]", None),
        ("(1, 2)", None),
        ("[" * 5000 + "]" * 5000, None),
    ],
)
def test_lists_in_text(text, values):
    assert parse_list(text) == values


def test_durations_and_times_of_day():
    texts = ["10:30", "00:00:01.5", "1 days 00:00:05", "-1 days +23:59:00", "P0DT1M", None]
    seconds = [37800, 1.5, 86405, -60, 60, np.nan]
    np.testing.assert_array_equal(Numeric().encode(pd.Series(texts)), np.float32(seconds))
    for values in (pd.to_timedelta([5, None], unit="s"), [datetime.timedelta(seconds=5), None]):
        column = pd.Series(values)
        assert isinstance(Schema.from_frame(pd.DataFrame({"stay": column}))["stay"], Numeric)
        np.testing.assert_array_equal(Numeric().encode(column), np.float32([5, np.nan]))
    arrow = pd.Series([5, None], dtype=pd.ArrowDtype(pa.duration("s")))
    np.testing.assert_array_equal(Numeric().encode(arrow), np.float32([5, np.nan]))
    # Ratios and scores are no times.
    for texts in (["2:1", "0:3"], ["16:9 HD", "4:3 SD"]):
        schema = Schema.from_frame(pd.DataFrame({"score": texts * 3}))
        assert isinstance(schema["score"], Categorical)


@pytest.mark.parametrize(
    ("times", "what"),
    [
        (np.where(np.arange(N) % 2, SECONDS, np.multiply(SECONDS, 1000)), "several units, sec"),
        ([-k for k in range(N)], "399 of 400 times are before 1970 or negative, such as -1"),
        ([f"19{60 + k % 20}-01-01" for k in range(N)], "200 of 400 times are before 1970"),
    ],
)
def test_times_that_cannot_be_put_in_order(times, what):
    frame = pd.DataFrame({"user_id": USER, "item_id": ITEM, "timestamp": times})
    with pytest.raises(ValueError, match=what):
        Interactions(frame)


def test_dates_of_half_days():
    read, invalid = parse_times(["2024-03-01 1:05 PM", "2024-3-1 12:05am", "2024-03-01 13:05 PM"])
    assert invalid.tolist() == [False, False, True]
    assert read[:2].tolist() == [1709298300, 1709251500]


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "log.csv")
    with pytest.raises(ValueError, match="is no regular file"):
        read(tmp_path / "log.csv")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match="nothing is an empty folder"):
        read(tmp_path / "nothing")
    (tmp_path / "latin.csv").write_bytes(b"user_id,item_id\n" + b"Jos\xe9,1\n" * 9)
    with pytest.raises(ValueError, match="latin.csv is not UTF-8 text"):
        read(tmp_path / "latin.csv")


def test_repeated_rows_of_features_are_counted():
    frame = pd.DataFrame({"user_id": USER, "item_id": ITEM, "timestamp": range(N)})
    prices = pd.DataFrame({"item_id": [1, 2, 1], "price": [3.0, 4.0, 5.0]})
    log = Interactions(frame, item_features=prices)
    assert log.dropped["repeated_item_features"] == 1
    assert log.item_features["price"].to_dict() == {1: 3.0, 2: 4.0}


def test_what_a_format_cannot_read_is_said_with_the_format():
    frame = pd.DataFrame({"user_id": USER, "item_id": ITEM, "timestamp": ["23/03/2023 11:30"] * N})
    with pytest.raises(ValueError, match="read by '%d/%m/%Y'.*Leave the format out"):
        Interactions(frame, time_format="%d/%m/%Y")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04" + bytes(99), "Excel or zip file"),
        (b"\x89PNG\r\n\x1a\n\0\0", "if it is a text at all"),
    ],
)
def test_files_that_are_no_tables(tmp_path, content, what):
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(ValueError, match=what):
        read(tmp_path / "log.csv")


def test_a_frame_is_no_path():
    with pytest.raises(TypeError, match="tfrecs.data.Interactions"):
        read(pd.DataFrame({"user_id": [1], "item_id": [2]}))
