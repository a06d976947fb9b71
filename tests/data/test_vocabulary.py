"""Vocabularies: ids 1..n, 0 padding, n + 1 out of vocabulary."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs._keras import tf
from tfrecs.data import Vocabulary


def test_ids_follow_the_order_given():
    vocabulary = Vocabulary(["milk", "bread", "tea"])
    assert len(vocabulary) == 3
    assert (vocabulary.padding_id, vocabulary.oov_id) == (0, 4)
    ids = vocabulary.encode(["tea", "milk", "caviar", None, ""])
    assert ids.dtype == np.int32
    assert ids.tolist() == [3, 1, 4, 4, 4]
    assert vocabulary.decode([2, 3]).tolist() == ["bread", "tea"]
    assert not vocabulary.is_integer


def test_integer_ids_and_their_texts_are_one():
    vocabulary = Vocabulary([30, 10, 20])
    assert vocabulary.is_integer
    assert vocabulary.ids.dtype == np.int64
    assert vocabulary.encode(np.array([20, 30, 99])).tolist() == [3, 1, 4]
    assert vocabulary.encode(["20", "30", "020", "x"]).tolist() == [3, 1, 4, 4]
    assert vocabulary.encode([20.0, 30, None]).tolist() == [3, 1, 4]
    assert vocabulary.encode(np.array([2**63], np.uint64)).tolist() == [4]
    assert vocabulary.decode(vocabulary.encode([10, 20])).tolist() == [10, 20]


def test_string_ids_are_found_by_integers():
    assert Vocabulary(["a", "7"]).encode([7, 8, "7", "a"]).tolist() == [2, 3, 2, 1]


def test_shapes_are_kept():
    vocabulary = Vocabulary([10, 20])
    assert vocabulary.encode([[10, 20, 30]]).tolist() == [[1, 2, 3]]
    assert vocabulary.encode(20).shape == ()
    assert vocabulary.encode("20") == 2
    assert vocabulary.encode([]).tolist() == []
    assert vocabulary.decode([[1], [2]]).tolist() == [[10], [20]]
    assert vocabulary.encode(tf.constant([[20], [10]])).tolist() == [[2], [1]]
    assert Vocabulary(["é", "b"]).encode(tf.constant(["b", "é"])).tolist() == [2, 1]


@pytest.mark.parametrize("bad", [0, 4, -1, 5])
def test_decode_refuses_what_has_no_raw_id(bad):
    with pytest.raises(ValueError, match=rf"{bad} has no raw id.*1 to 3"):
        Vocabulary([5, 6, 7]).decode([1, bad])


def test_decode_refuses_floats():
    with pytest.raises(ValueError, match="integers"):
        Vocabulary([5]).decode([1.0])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 2, 1], "1 stands twice"),
        (["a", "b", "a"], "'a' stands twice"),
        ([7, "7"], "stands twice"),
        (["a", None], "position 1 is missing"),
        (["a\nb"], "line break"),
        (["a\rb"], "line break"),
    ],
)
def test_bad_ids_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(ids)


def test_from_values_sorts_and_takes_each_once():
    assert Vocabulary.from_values([30, 5, 30, 10]).ids.tolist() == [5, 10, 30]
    assert Vocabulary.from_values(["b", "a", "b"]).ids.tolist() == ["a", "b"]
    assert Vocabulary.from_values(["10", "9", 9]).ids.tolist() == [9, 10]
    assert Vocabulary.from_values(pd.Series(["x", "w"])).ids.tolist() == ["w", "x"]
    with pytest.raises(ValueError, match="missing"):
        Vocabulary.from_values(["a", None])


def test_ids_can_not_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        Vocabulary([1, 2]).ids[0] = 9


def test_equality_and_fingerprint():
    one = Vocabulary([1, 2])
    assert one == Vocabulary(np.array([1, 2]))
    assert one == Vocabulary(["1", "2"])
    assert one != Vocabulary([2, 1])
    assert one != Vocabulary([1, 2, 3])
    assert one != "vocabulary"
    assert hash(one) == hash(Vocabulary([1, 2]))
    assert one.fingerprint() == Vocabulary([1, 2]).fingerprint()
    assert one.fingerprint() != Vocabulary([2, 1]).fingerprint()
    assert Vocabulary(["a", "bc"]).fingerprint() != Vocabulary(["ab", "c"]).fingerprint()


def test_file_holds_one_id_a_line(tmp_path):
    path = tmp_path / "items.txt"
    Vocabulary(["ä", "b c"]).save(path)
    assert path.read_bytes() == "ä\nb c\n".encode()
    assert Vocabulary.load(path) == Vocabulary(["ä", "b c"])


ids = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=20),
    st.lists(
        st.text(min_size=1, max_size=4).filter(lambda s: s.strip() and not {*s} & {*"\n\r"}),
        unique=True,
        max_size=20,
    ),
)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(ids)
def test_round_trips(tmp_path_factory, raw):
    vocabulary = Vocabulary(raw)
    assert vocabulary.decode(vocabulary.encode(raw)).tolist() == vocabulary.ids.tolist()
    assert vocabulary.encode(raw).tolist() == list(range(1, len(raw) + 1))
    path = tmp_path_factory.mktemp("vocabulary") / "ids.txt"
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary
    config = json.loads(json.dumps(vocabulary.get_config()))
    assert Vocabulary.from_config(config) == vocabulary
