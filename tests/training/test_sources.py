import pytest

from tfrecs.data import Interactions
from tfrecs.training import load_log, make_split


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
        ("random", None, "There is no split 'random', only leave_last_out, "),
        ("random_ratio", {"tst": 0.5}, "split_args has no 'tst'.*validation, test, seed"),
        ("leave_last_out", {"test": 0.5}, "takes no arguments"),
    ],
)
def test_wrong_splits_are_named(split, options, message):
    log = Interactions({"user_id": [1, 1, 1], "item_id": [5, 6, 7]})
    with pytest.raises(ValueError, match=message):
        make_split(log, split, options)
