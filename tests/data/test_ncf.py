"""The 1 + 99 files of He et al. 2017, in small."""

from __future__ import annotations

import gzip
import os

import numpy as np
import pytest

from tfrecs.data import read_ncf

TRAIN = "0\t3\t5\n0\t1\t4\n1\t3\t1\n1\t2\t5\n0\t2\t2\n2\t1\t4\n"
TEST = "0\t5\t3\t100\n1\t1\t2\t200\n2\t4\t5\t300\n"
NEGATIVES = "(0,5)\t4\t6\t5\n(1,1)\t4\t5\t6\n(2,4)\t4\t2\t3\n"


def folder_of(tmp_path, train=TRAIN, test=TEST, negatives=NEGATIVES):
    (tmp_path / "x.train.rating").write_text(train)
    (tmp_path / "x.test.rating").write_text(test)
    (tmp_path / "x.test.negative.gz").write_bytes(gzip.compress(negatives.encode()))
    return tmp_path


def test_the_test_part(tmp_path):
    split = read_ncf(folder_of(tmp_path))
    assert split.users.ids.tolist() == [0, 1, 2]
    assert split.items.ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert [row.tolist() for row in split.test.history] == [[3, 1, 2], [3, 2], [1]]
    assert [row.tolist() for row in split.test.targets] == [[5], [1], [4]]
    # A negative that is the target itself is dropped.
    assert split.test.candidates.tolist() == [[4, 6, 0], [4, 5, 6], [0, 2, 3]]
    assert split.counts["negatives_equal_to_target"] == 2
    assert split.test.protocol == "1 + 3 candidates (He et al. 2017)"


def test_one_training_item_a_user_validates(tmp_path):
    split = read_ncf(folder_of(tmp_path), seed=3)
    assert split.validation.user_ids.tolist() == [1, 2]  # user 2 has one item: it trains
    assert split.counts["users_without_validation_target"] == 1
    whole = {1: [3, 1, 2], 2: [3, 2], 3: [1]}
    train = dict(zip(split.train.user_ids.tolist(), map(list, split.train.histories), strict=True))
    assert train[3] == [1]
    for user, history, targets, candidates in zip(
        split.validation.user_ids.tolist(),
        split.validation.history,
        split.validation.targets,
        split.validation.candidates,
        strict=True,
    ):
        assert list(history) == train[user]
        assert sorted([*history, *targets]) == sorted(whole[user])
        assert not {*candidates.tolist()} & {*whole[user]}
    again = read_ncf(folder_of(tmp_path), seed=3)
    assert again.validation.targets == split.validation.targets


def test_the_validation_items_may_train(tmp_path):
    split = read_ncf(folder_of(tmp_path), train_on_validation=True)
    assert [row.tolist() for row in split.train.histories] == [[3, 1, 2], [3, 2], [1]]
    assert "trained on validation items" in split.protocol


def test_files_that_do_not_belong_together(tmp_path):
    with pytest.raises(ValueError, match="name other users or items"):
        read_ncf(folder_of(tmp_path, test=TEST.replace("0\t5", "0\t6")))
    (tmp_path / "x.test.rating").unlink()
    with pytest.raises(FileNotFoundError, match=r"0 files named \*test\.rating\*"):
        read_ncf(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif("TFRECS_DATA" not in os.environ, reason="TFRECS_DATA names no data folder")
def test_published_ml_1m():
    split = read_ncf("ml-1m-ncf", train_on_validation=True)
    assert (len(split.users), len(split.items)) == (6040, 3706)
    assert len(split.train.histories.values) == 994_169
    assert split.counts["negatives_equal_to_target"] == 156
    assert np.count_nonzero(split.test.candidates) == 597_960 - 156
