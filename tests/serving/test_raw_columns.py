"""Raw values in a graph become what `Schema.encode` makes of them in numpy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfrecs._keras import tf
from tfrecs.data import (
    Categorical,
    Column,
    History,
    Label,
    Numeric,
    Schema,
    Text,
    Timestamp,
    Tokenizer,
    Vector,
    Vocabulary,
)
from tfrecs.serving.exports.raw_columns import MISSING_TIME, RawColumns
from tfrecs.serving.exports.signature import Signature, VocabularyFiles
from tfrecs.serving.requests import column_request
from tfrecs.serving.values import as_trained

STRINGS = Vocabulary(["comedy", "Ünï 電影", " lead", "17", "tab\tin", "True"])
# -1 is an id here, so that padding is -2 and an unknown one -3.
INTEGERS = Vocabulary([3, -1, 10**12])
WORDS = Tokenizer(["toy", "story", "ete", "17", "映"])
SCHEMA = Schema(
    {
        "class": Categorical(STRINGS),
        "kind": Categorical(INTEGERS),
        "nobody": Categorical(Vocabulary([])),
        "genres": Categorical(STRINGS, max_values=3),
        "codes": Categorical(INTEGERS, max_values=2),
        "watch time": Numeric("standard"),
        "at": Timestamp(("month", "hour", "day", "weekday")),
        "title": Text(WORDS, max_tokens=3),
        "years": Text(Tokenizer(["3", "1"]), max_tokens=2),
        "seen": History(STRINGS, max_length=3),
        "self": History(INTEGERS, max_length=2),
        "image": Vector(2),
        "clicked": Label(),
    }
)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """The columns in a graph: what they take, and a function of requests."""
    columns = RawColumns(SCHEMA, VocabularyFiles(tmp_path_factory.mktemp("vocabularies")))
    signature = Signature(columns, columns.inputs)
    inputs = signature.description()["inputs"]

    def run(request):
        return signature.function(
            {name: tf.constant(x, inputs[name]["dtype"]) for name, x in request.items()}
        )

    return inputs, run


def agree(graph, frame):
    inputs, run = graph
    found = run(column_request(frame, inputs, read=as_trained))
    expected = SCHEMA.encode(frame)
    assert set(found) == set(expected)
    for name, want in expected.items():
        assert found[name].dtype == want.dtype
        np.testing.assert_array_equal(found[name], want, err_msg=f"{name}: {frame[name].tolist()}")


messy = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.one_of(
    st.sampled_from([*STRINGS.ids, None, float("nan"), "", " ", "\u3000\t", "cömedy", 17, 17.0]),
    st.booleans(),
    messy,
)
whole = st.one_of(
    st.sampled_from([*INTEGERS.ids.tolist(), -2, -3, -4, None, "3", "03", "-1", "x", "", 3.0]),
    st.sampled_from([2**63 - 1, -(2**63), 2**63, "9" * 30]),
    st.integers(-5, 5),
)
texts = st.one_of(
    st.none(),
    messy,
    st.sampled_from([17, 2.5, "Été, TOY!", "映が story", "3 1 03", "E\u0301te\u0301"]),
)
VALUES = {
    "class": names,
    "kind": whole,
    "nobody": names,
    "genres": st.one_of(st.none(), st.lists(names, max_size=5), st.just("comedy")),
    "codes": st.one_of(st.none(), st.lists(whole, max_size=4)),
    "watch time": st.one_of(
        st.floats(width=32), st.integers(-(10**6), 10**6), st.sampled_from(["1.5", "x", None])
    ),
    "at": st.one_of(
        st.integers(-62_135_596_800, 253_402_300_799),
        st.floats(-1e9, 1e9),
        st.sampled_from([None, "2000-02-29T13:30:00", "soon", pd.Timestamp("1969-12-31")]),
    ),
    "title": texts,
    "years": texts,
    "seen": st.one_of(st.none(), st.lists(names, max_size=6)),
    "self": st.one_of(st.none(), st.lists(whole, max_size=5)),
    "image": st.one_of(st.none(), st.lists(st.floats(-9, 9, width=32), min_size=2, max_size=2)),
}


@pytest.mark.slow
@settings(max_examples=120, derandomize=True, deadline=None)
@given(st.lists(st.fixed_dictionaries(VALUES), max_size=4))
@example([])
def test_the_graph_encodes_as_the_schema_does(graph, rows):
    frame = pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype=object) for name in VALUES}
    )
    agree(graph, frame)


def test_columns_of_one_type(graph):
    """As they come from files: not objects, but numbers, categories, truth values and dates."""
    frame = pd.DataFrame(
        {
            "class": [True, False, True],
            "kind": pd.Series([3, None, 10**12], dtype="Int64"),
            "nobody": pd.Categorical(["a", None, "b"]),
            "genres": [np.array(["comedy"]), [], None],
            "codes": [(3, -1), {5}, []],
            "watch time": pd.Series([1, None, 3], dtype="Int32"),
            "at": pd.to_datetime(["2024-03-01T12:00", None, "1960-05-05T00:00"]).tz_localize(
                "Asia/Tokyo"
            ),
            "title": pd.Series(["Toy", None, "Story"], dtype="string"),
            "years": [1, 3, 2],
            "seen": [["comedy"], ["17", 17], []],
            "self": [np.array([3, 3, 3]), [3.0], []],
            "image": [np.array([0.5, 1.0], np.float32), (1, 2), None],
        }
    )
    agree(graph, frame)


def test_raw_values_by_hand(graph):
    inputs, run = graph
    assert list(inputs) == [
        *("class_", "kind", "nobody", "genres", "codes", "watch_time"),
        *("at", "title", "years", "seen", "self_", "image"),
    ]
    assert inputs["watch_time"] == {
        "dtype": "float32",
        "shape": [None],
        "column": "watch time",
        "kind": "Numeric",
        "missing": "NaN",
    }
    assert [inputs[name]["missing"] for name in ("kind", "codes", "self_")] == [-2] * 3
    assert inputs["at"]["missing"] == MISSING_TIME
    request = {
        "class_": ["17", ""],
        "kind": [10**12, -2],
        "nobody": [5, -1],
        "genres": [["", "Ünï 電影", "x", "17"], ["17", "", "", ""]],
        "codes": [[-1], [5]],
        "watch_time": [float("nan"), 2.5],
        "at": [MISSING_TIME, 951_827_400],  # 29 February 2000, a Tuesday, 12:30
        "title": [b"TOY\xffstory", ""],
        "years": ["1 3 5", "5"],
        "seen": [["", "17", "", "x", "", "comedy"], [""] * 6],
        "self_": np.zeros((2, 0), np.int64),
        "image": [[1.0, float("inf")], [1.0, 2.0]],
    }
    found = {name: x.numpy().tolist() for name, x in run(request).items()}
    assert np.isnan(found["watch time"][0])
    found["watch time"][0] = None
    assert found == {
        "class": [4, 0],
        "kind": [3, 0],
        "nobody": [1, 0],
        "genres": [[0, 2, 7], [4, 0, 0]],
        "codes": [[2, 0], [4, 0]],
        "watch time": [None, 2.5],
        "at": [[0] * 4, [2, 13, 29, 2]],
        "title": [[1, 2, 0], [0, 0, 0]],
        "years": [[2, 1], [3, 0]],
        "seen": [[4, 7, 1], [0, 0, 0]],
        "self": [[0, 0], [0, 0]],
        "image": [[0.0, 0.0], [1.0, 2.0]],
    }


def test_refusals(graph, tmp_path):
    class Colour(Column):
        encode = spec = None

    del Column.kinds["Colour"]
    with pytest.raises(ValueError, match="'hue' is of the kind Colour, whose raw values an export"):
        RawColumns(Schema({"hue": Colour()}), VocabularyFiles(tmp_path))
    inputs, _ = graph
    with pytest.raises(ValueError, match="no column 'class', .*'image', only 'clicked'"):
        column_request(pd.DataFrame({"clicked": [1]}), inputs, read=as_trained)


def test_equal_vocabularies_share_a_file(tmp_path):
    files = VocabularyFiles(tmp_path)
    first = files.path(Vocabulary(["b", "a"]), "items")
    assert files.path(Vocabulary(["b", "a"]), "seen") == first == tmp_path / "items.txt"
    other = files.path(Vocabulary(["a", "b"]), "Items")
    assert other == tmp_path / "Items_.txt"
    assert other.read_text() == "a\nb\n"
