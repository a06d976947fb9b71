"""Every format of a log, gzipped too, and what a reader says of a bad file."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.data import Interactions, read
from tfrecs.data.readers import sniff

CSV = "user_id,item_id,timestamp,price\nann,tea,20,1.5\nbob,jam,10,2\nann,jam,30,\n"
ROWS = [("bob", "jam", 10), ("ann", "tea", 20), ("ann", "jam", 30)]


def write(folder, name: str, content: str | bytes):
    data = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def rows_of(log: Interactions) -> list[tuple]:
    return list(log.frame[["user_id", "item_id", "timestamp"]].itertuples(index=False, name=None))


def parquet(frame: pd.DataFrame, folder) -> bytes:
    frame.to_parquet(folder / "plain.parquet", index=False)
    return (folder / "plain.parquet").read_bytes()


@pytest.mark.parametrize("zipped", ["", ".gz"])
class TestFormats:
    @pytest.mark.parametrize("name", ["log.csv", "log.txt", "log"])
    def test_csv(self, tmp_path, name, zipped):
        log = read(write(tmp_path, name + zipped, CSV))
        assert rows_of(log) == ROWS
        assert log.frame["price"].fillna(-1).tolist() == [2.0, 1.5, -1.0]
        assert log.name == name + zipped

    @pytest.mark.parametrize("name", ["log.tsv", "log.dat"])
    def test_tsv(self, tmp_path, name, zipped):
        assert rows_of(read(write(tmp_path, name + zipped, CSV.replace(",", "\t")))) == ROWS

    def test_parquet(self, tmp_path, zipped):
        frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "timestamp"])[::-1]
        log = read(write(tmp_path, "log.parquet" + zipped, parquet(frame, tmp_path)))
        assert rows_of(log) == ROWS

    def test_pairs(self, tmp_path, zipped):
        log = read(write(tmp_path, "log.txt" + zipped, "2 7\n1 9\n2 7\n2 10\n"))
        assert rows_of(log) == [(2, 7, 0), (1, 9, 1), (2, 7, 2), (2, 10, 3)]
        assert not log.has_times

    def test_sequences(self, tmp_path, zipped):
        log = read(write(tmp_path, "log.txt" + zipped, "2 7 8 7\n\n 1\t9 \r\n3 7 9"))
        assert rows_of(log) == [(2, 7, 0), (2, 8, 1), (2, 7, 2), (1, 9, 3), (3, 7, 4), (3, 9, 5)]

    def test_recbole(self, tmp_path, zipped):
        path = write(
            tmp_path,
            "shop.inter" + zipped,
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
            "u2\t5\t4\t978300762\nu1\t6\t3\t978300761\n",
        )
        write(tmp_path, "shop.user" + zipped, "user_id:token\tage:token\nu1\t07\nu2\t31\n")
        write(
            tmp_path,
            "shop.item" + zipped,
            'item_id:token\tname:token\ttags:token_seq\tsize:float_seq\n5\t"tea\thot tea\t1 2.5\n',
        )
        log = read(path)
        assert rows_of(log) == [("u1", 6, 978300761), ("u2", 5, 978300762)]
        assert log.frame["timestamp"].dtype == np.int64
        assert log.frame["rating"].dtype == np.float64
        assert log.user_features["age"].tolist() == ["07", "31"]
        assert log.item_features.loc[5, "name"] == '"tea'
        assert list(log.item_features.loc[5, "tags"]) == ["hot", "tea"]
        assert list(log.item_features.loc[5, "size"]) == [1.0, 2.5]
        assert rows_of(read(tmp_path)) == rows_of(log)  # the folder, too


@pytest.mark.parametrize("ids", [("4", "7"), ("4", "x")])
def test_attributes_in_json(tmp_path, ids):
    log = write(tmp_path, "log.csv", "user_id,item_id\n1,{}\n2,{}\n".format(*ids))
    lists = write(tmp_path, "lists.json", json.dumps({ids[0]: [3, 12], ids[1]: [3]}))
    features = read(log, item_features=lists).item_features
    keys = [int(i) for i in ids] if ids[1].isdigit() else list(ids)
    assert features["attributes"].loc[keys].tolist() == [[3, 12], [3]]
    columns = write(tmp_path, "columns.json", json.dumps({i: {"size": 2.5} for i in ids}))
    assert read(log, item_features=columns).item_features["size"].tolist() == [2.5, 2.5]


@pytest.mark.parametrize("text", ["{", "[1]", "{}", '{"4": 3}', '{"4": [1], "7": {"a": 1}}'])
def test_other_json_is_refused(tmp_path, text):
    log = write(tmp_path, "log.csv", "user_id,item_id\n1,4\n")
    path = write(tmp_path, "features.json", text)
    with pytest.raises(ValueError, match=r"features\.json(: features in JSON are| is no JSON)"):
        read(log, item_features=path)


def test_a_folder_of_parquet_files(tmp_path):
    for part in (0, 1):
        frame = pd.DataFrame({"user_id": [part], "item_id": ["a"], "timestamp": [part]})
        frame.to_parquet(tmp_path / f"part-{part}.parquet", index=False)
    assert rows_of(read(tmp_path)) == [(0, "a", 0), (1, "a", 1)]


def test_columns_are_mapped(tmp_path):
    path = write(tmp_path, "log.csv", "who,what,when\n1,a,2020-01-02\n1,b,2020-01-01T12:00:00Z\n")
    log = read(path, user="who", item="what", timestamp="when")
    assert rows_of(log) == [(1, "b", 1577880000), (1, "a", 1577923200)]


def test_a_table_without_header(tmp_path):
    path = write(tmp_path, "u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
    with pytest.raises(ValueError, match=r"u\.data: what format.*196.*columns="):
        read(path)
    columns = ["user_id", "item_id", "rating", "timestamp"]
    log = read(path, columns=columns)
    assert rows_of(log) == [(196, 242, 881250949), (186, 302, 891717742)]
    path = write(tmp_path, "ratings.csv", "1,7,4.5,20\n2,8,3.0,10\n")
    with pytest.raises(ValueError, match=r"neither 'user_id' nor 'item_id'.*'7'.*columns="):
        read(path)
    assert rows_of(read(path, columns=columns)) == [(2, 8, 10), (1, 7, 20)]


def test_another_delimiter(tmp_path):
    path = write(tmp_path, "log.csv", "user_id;item_id\n1;2\n")
    assert rows_of(read(path, delimiter=";")) == [(1, 2, 0)]


def test_quotes_and_byte_order_mark(tmp_path):
    path = write(tmp_path, "log.csv", '\ufeff"user_id",item_id,title\n1,2,"tea, hot"\n')
    assert read(path).frame["title"].tolist() == ["tea, hot"]


def test_the_same_log_from_text_and_parquet_is_equal(tmp_path):
    text = read(write(tmp_path, "log.csv", "user_id,item_id,timestamp\n10,7,3\n9,8,1\n"))
    frame = pd.DataFrame({"user_id": ["10", "9"], "item_id": [7.0, 8.0], "timestamp": [3, 1]})
    frame.to_parquet(tmp_path / "log.parquet")
    assert text.fingerprint() == read(tmp_path / "log.parquet").fingerprint()


def test_types_are_those_of_the_whole_column(tmp_path):
    lines = ["user_id,item_id,n,f,code,word"]
    lines += [f"1,{i},{i},{i},0{i},{i}" for i in range(1, 9)] + ["1,9,9,9.5,09,nine"]
    frame = read(write(tmp_path, "log.csv", "\n".join(lines))).frame
    assert frame["n"].dtype == np.int64
    assert frame["f"].tolist()[-1] == 9.5
    assert frame["code"].tolist()[0] == "01"
    assert frame["word"].tolist() == [*"12345678", "nine"]


def test_ids_with_leading_zeros_are_not_numbers(tmp_path):
    log = read(write(tmp_path, "log.csv", "user_id,item_id\n007,1\n7,1\n"))
    assert log.frame["user_id"].tolist() == ["007", "7"]


def test_text_for_nothing_is_a_missing_id(tmp_path):
    log = read(write(tmp_path, "log.csv", "user_id,item_id\n,1\nnan,1\nNULL,1\n1,\n1,1\n"))
    assert log.dropped["missing_user_id"] == 3
    assert log.dropped["missing_item_id"] == 1


def test_bad_times_late_in_a_file_are_counted(tmp_path):
    lines = ["user_id,item_id,timestamp", *(f"1,{i},{i}" for i in range(200)), "1,1,soon", "1,1,"]
    log = read(write(tmp_path, "log.csv", "\n".join(lines)))
    assert (len(log), log.dropped["invalid_timestamp"]) == (200, 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv", "user_id,item_id\n1,2\n3\n", r"log\.csv, line 3: 1 fields where 2 .*'3'"),
        ("log.tsv", "user_id\titem_id\n1\t2\t9\n", r"log\.tsv, line 2: 3 fields where 2"),
        ("log.csv.gz", "user_id,item_id\n1,2,3\n", r"log\.csv\.gz, line 2: 3 fields"),
        ("log.txt", "1 2\n" * 1500 + "1 2 3\n", r"log\.txt, line 1501: 3 fields where 2"),
        ("log.txt", "1 2 3\n4 5\n6\n", r"log\.txt, line 3: a user without items: '6'"),
        ("x.inter", "user_id\titem_id\n1\t2\n", r"x\.inter: .*'user_id'; .*name:type"),
        ("x.inter", "user_id:id\titem_id:id\n1\t2\n", r"'user_id:id'.*token_seq"),
        (
            "x.inter",
            "user_id:token\titem_id:token\tp:float\n1\t2\tx\n",
            r"x\.inter, column 'p:float'",
        ),
        ("log.csv", "", r"log\.csv: the file is empty"),
        ("log.txt", "", r"log\.txt: what format"),
        ("log.csv", "user_id,item_id\n", r"log\.csv: the log has no rows"),
        ("log.parquet", "no parquet", r"log\.parquet: not a Parquet file"),
        ("log.csv", b"user_id,item_id\n\xff\xfe,2\n", r"log\.csv is not UTF-8 text"),
    ],
)
def test_bad_files_get_one_clear_error(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, name, content))


def test_options_that_do_not_fit(tmp_path):
    path = write(tmp_path, "log.txt", "1 2\n")
    with pytest.raises(ValueError, match=r"format is one of csv, tsv.*'xml'"):
        read(path, format="xml")
    with pytest.raises(ValueError, match="this is pairs"):
        read(path, columns=["a", "b"], format="pairs")


def test_the_format_given_counts(tmp_path):
    path = write(tmp_path, "log.csv", "1 2 3\n4 5 6\n")
    assert rows_of(read(path, format="sequences")) == [(1, 2, 0), (1, 3, 1), (4, 5, 2), (4, 6, 3)]
    path = write(tmp_path, "log.txt", "1 2\n3 4\n")
    assert rows_of(read(path, format="sequences")) == rows_of(read(path, format="pairs"))


def test_sniffing_needs_no_name(tmp_path):
    header = "user_id:token\titem_id:token\n1\t2\n"
    assert sniff(write(tmp_path, "a", header), "user_id", "item_id", False) == "recbole"
    assert sniff(write(tmp_path, "b", "1 2 3\n4 5 6\n"), "u", "i", True) == "csv"


def test_several_inter_files_in_a_folder(tmp_path):
    for name in ("a.inter", "b.inter"):
        write(tmp_path, name, "user_id:token\titem_id:token\n1\t2\n")
    with pytest.raises(ValueError, match="one of its 2"):
        read(tmp_path)


def test_relative_paths_are_looked_for_in_the_data_folder(tmp_path, monkeypatch):
    data, here = tmp_path / "data", tmp_path / "here"
    data.mkdir()
    here.mkdir()
    write(data, "log.txt", "1 2\n")
    monkeypatch.chdir(here)
    monkeypatch.delenv("TFRECS_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"log\.txt.*TFRECS_DATA.*not set"):
        read("log.txt")
    monkeypatch.setenv("TFRECS_DATA", str(data))
    assert len(read("log.txt")) == 1
    write(here, "log.txt", "1 2\n3 4\n")
    assert len(read("log.txt")) == 2  # as given comes first
    with pytest.raises(FileNotFoundError, match=r"No file other\.txt nor .*data/other\.txt"):
        read("other.txt")


word = st.text(st.sampled_from("abc123é"), min_size=1, max_size=3)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.lists(st.lists(word, min_size=2, max_size=5), min_size=1, max_size=6))
def test_sequences_against_a_loop(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("lines") / "log.txt"
    path.write_text("\n".join(" ".join(line) for line in lines) + "\n", encoding="utf-8")
    log = read(path, format="sequences")
    expected = [(line[0], item) for line in lines for item in line[1:]]
    assert [(str(u), str(i)) for u, i, _ in rows_of(log)] == expected
