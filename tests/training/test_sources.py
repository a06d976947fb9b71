import pytest

from tfrecs.data import Interactions
from tfrecs.training import load_log, load_source, make_split


def test_columns_and_k_core(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("who;what\n1;a\n1;b\n2;a\n2;b\n3;a\n3;c\n")
    options = {"user": "who", "item": "what", "delimiter": ";"}
    assert (load_log(path, options).num_users, load_log(path, options).num_items) == (3, 3)
    # Item c was met once; without it user 3 has one interaction; a and b keep two each.
    core = load_log(path, options, k_core=2)
    assert (core.num_users, core.num_items, len(core)) == (2, 2, 4)


def test_options_that_do_not_exist_are_named(tmp_path):
    with pytest.raises(ValueError, match="data_args has no 'usr'.*user, item, timestamp"):
        load_log("log.csv", {"usr": "who"})


def test_splits_by_name():
    log = Interactions({"user_id": [1, 1, 1, 1], "item_id": [5, 6, 7, 8]})
    split = make_split(log)
    assert split.items.decode(split.test.targets[0]).tolist() == [8]
    assert split.items.decode(split.validation.targets[0]).tolist() == [7]

    half = make_split(log, "random_ratio", {"test": 0.5, "validation": 0.25})
    assert half.test.targets.lengths.tolist() == [2]


@pytest.mark.parametrize(
    ("split", "options", "message"),
    [
        ("random", None, "There is no split 'random' of a log, only leave_last_out, "),
        ("random_ratio", {"tst": 0.5}, "split_args has no 'tst'.*validation, test, seed"),
        ("leave_last_out", {"test": 0.5}, "takes no arguments"),
    ],
)
def test_wrong_splits_are_named(split, options, message):
    log = Interactions({"user_id": [1, 1, 1], "item_id": [5, 6, 7]})
    with pytest.raises(ValueError, match=message):
        make_split(log, split, options)


def test_a_published_split_is_read_as_it_is(tmp_path):
    (tmp_path / "x.train.rating").write_text("0\t3\t5\n0\t1\t4\n1\t3\t1\n1\t2\t5\n")
    (tmp_path / "x.test.rating").write_text("0\t2\t3\t9\n1\t1\t2\t9\n")
    (tmp_path / "x.test.negative").write_text("(0,2)\t4\t5\n(1,1)\t4\t5\n")
    source = load_source(tmp_path, split="read_ncf", split_args={"seed": 2})
    assert source.name == tmp_path.name
    assert [row.tolist() for row in source.parts.test.targets] == [[2], [1]]
    assert source.num_interactions == 6
    whole = load_source(tmp_path, split="read_ncf", split_args={"train_on_validation": True})
    assert (whole.num_interactions, len(whole.parts.train.histories.values)) == (6, 4)
    with pytest.raises(ValueError, match="read_ncf reads a split as it was published"):
        load_source(tmp_path, k_core=2, split="read_ncf")
    with pytest.raises(ValueError, match="split_args has no 'test'.*train_on_validation, seed"):
        load_source(tmp_path, split="read_ncf", split_args={"test": 2})


def test_a_log_and_its_split(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id\n1,5\n1,6\n1,7\n1,8\n,9\n")
    source = load_source(path)
    assert (source.name, source.num_interactions) == ("log.csv", 4)
    assert sum(source.dropped.values()) == 1
    assert source.parts.items.decode(source.parts.test.targets[0]).tolist() == [8]


def test_arguments_of_another_kind_are_an_error_in_words(log_file):
    for arguments in (
        {"split": "random_ratio", "split_args": {"test": "a lot"}},
        {"data_args": {"delimiter": 3}},
        {"data_args": {"columns": 5}},
    ):
        with pytest.raises(ValueError, match=r"split_args \{'test'|data_args \{|delimiter|columns"):
            load_source(log_file, **arguments)


def test_sessions_of_a_log_and_of_published_files(tmp_path):
    table = "user_id\titem_id\ttimestamp\n1\t5\t1\n1\t6\t2\n2\t6\t3\n2\t5\t4\n3\t6\t5\n3\t5\t6\n"
    (tmp_path / "clicks.tsv").write_text(table)
    # A log is cut twice; its sessions recommend known items, other splits do not.
    log = load_source(tmp_path / "clicks.tsv", split="sessions", split_args={"times": [3, 5]})
    assert [len(part) for part in (log.parts.train, log.parts.validation)] == [1, 1]
    assert log.parts.test.recommend_known
    other = {"split": "global_time", "split_args": {"times": [2, 4]}}
    assert not load_source(tmp_path / "clicks.tsv", **other).parts.test.recommend_known
    known = {"split": "sessions", "split_args": {"times": [3, 5]}, "recommend_known": False}
    assert not load_source(tmp_path / "clicks.tsv", **known).parts.test.recommend_known

    # A folder of Parquet files is a log.
    (tmp_path / "log").mkdir()
    load_log(tmp_path / "clicks.tsv").frame.to_parquet(tmp_path / "log" / "latest.parquet")
    same = load_source(tmp_path / "log", split="sessions", split_args={"times": [3, 5]})
    assert same.parts.test.targets == log.parts.test.targets

    tables, lines = tmp_path / "tables", tmp_path / "lines"
    tables.mkdir()
    (tables / "x-train.tsv").write_text(table)
    (tables / "x-test.tsv").write_text(
        "user_id\titem_id\ttimestamp\n4\t5\t7\n4\t6\t8\n4\t7\t9\n,5,9\n"
    )
    with pytest.raises(ValueError, match="x-test.tsv"):
        load_source(tables, split="sessions")
    (tables / "x-test.tsv").write_text("user_id\titem_id\ttimestamp\n4\t5\t7\n4\t6\t8\n\t6\t9\n")
    source = load_source(tables, split="sessions", split_args={"quantiles": [0.7]})
    assert (source.name, source.num_interactions) == ("tables", 8)
    assert source.dropped["missing_user_id"] == 1
    assert source.parts.test.name == "tables test"
    assert [len(p) for p in (source.parts.train, source.parts.validation, source.parts.test)] == [
        *(2, 1, 1)
    ]

    lines.mkdir()
    (lines / "train.txt").write_text("5 6\n6 5\n5 6 6\n")
    (lines / "test.txt").write_text("5 6\t6\n")
    source = load_source(lines, split="sessions", split_args={"validation": 0.4})
    assert (source.name, source.num_interactions, len(source.parts.train)) == ("lines", 8, 2)
    whole = {"validation": 0.4, "train_on_validation": True}
    source = load_source(lines, split="sessions", split_args=whole)
    assert (source.num_interactions, len(source.parts.train)) == (8, 3)


def test_wrong_folders_of_sessions(tmp_path):
    (tmp_path / "train.txt").write_text("5 6\n6 5\n5 6 6\n")
    with pytest.raises(
        FileNotFoundError, match="holds 0 files with the word 'test' in their names"
    ):
        load_source(tmp_path, split="sessions")
    (tmp_path / "test.txt").write_text("5 6\t6\n")
    with pytest.raises(
        ValueError, match="no table with the columns 'SessionId' and 'item_id', and lines"
    ):
        load_source(tmp_path, {"user": "SessionId"}, split="sessions")
    with pytest.raises(ValueError, match="is a split as it was published: no k_core"):
        load_source(tmp_path, k_core=2, split="sessions")
    with pytest.raises(ValueError, match="split_args has no 'by'.*validation, train_on_validation"):
        load_source(tmp_path, split="sessions", split_args={"by": "end"})
    with pytest.raises(ValueError, match="split_args {'validation': 'a lot'}"):
        load_source(tmp_path, split="sessions", split_args={"validation": "a lot"})
