"""Schemas from data, their changes, and tables of features by id."""

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs.data import (
    Categorical,
    FeatureTable,
    Label,
    Numeric,
    Schema,
    Text,
    Timestamp,
    Vocabulary,
)


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "price": [1.0, 2.5, None, 4.0],
            "year": pd.Series([1990, 1991, 1990, None], dtype="Int64"),
            "colour": ["red", "blue", "red", "red"],
            "title": ["The old man", "A red house", "The red man", "Old house"],
            "added": pd.to_datetime(["2020-01-01", "2021-05-06", None, "2022-02-02"]),
            "tags": [["a", "b"], ["a"], [], ["b"]],
            "new": [True, False, True, True],
            "code": ["p1", "q2", "r3", "s4"],
            "nothing": [None] * 4,
            "clicked": [1, 0, 0, 1],
        }
    )


def test_from_frame(frame):
    schema = Schema.from_frame(frame, label="clicked", skip=["new"])
    kinds = {name: type(column) for name, column in schema.items()}
    assert kinds == {
        "price": Numeric,
        "year": Categorical,
        "colour": Categorical,
        "title": Text,
        "added": Timestamp,
        "tags": Categorical,
        "clicked": Label,
    }
    assert schema.left_out == {
        "new": "as asked",
        "code": "none of its values repeats",
        "nothing": "it has no values",
    }
    assert schema.label == "clicked"
    assert schema["colour"].vocabulary.ids.tolist() == ["red"]  # Blue stands there once.
    assert schema["tags"].max_values == 2
    many = pd.DataFrame({"n": range(40), "few": [1, 2] * 20})
    assert repr(Schema.from_frame(many)) == "Schema(n: Numeric, few: Categorical of 2)"


def test_encode_and_signature(frame):
    schema = Schema.from_frame(frame, label="clicked")
    encoded = schema.encode(frame)
    signature = schema.signature()
    assert set(encoded) - set(signature) == {"clicked"}
    for name, spec in signature.items():
        assert spec.name == name
        assert spec.dtype == encoded[name].dtype
        assert spec.shape.is_compatible_with(encoded[name].shape)
    assert "clicked" not in schema.encode(frame.drop(columns="clicked"))
    with pytest.raises(ValueError, match="no column 'price', 'tags', only 'year', 'colour'"):
        schema.encode(frame.drop(columns=["price", "tags"]))


def test_changes_and_round_trip(frame, tmp_path):
    schema = Schema.from_frame(frame, label="clicked")
    changed = schema.with_columns(price=Numeric("periodic"), title=None, code=schema["colour"])
    assert changed["price"].encoding == "periodic"
    assert "title" not in changed
    assert changed.left_out == {"nothing": "it has no values", "title": "as asked"}
    assert schema["price"].encoding == "piecewise"
    changed.save(tmp_path / "schema.json")
    again = Schema.load(tmp_path / "schema.json")
    assert again.get_config() == changed.get_config()
    for name, column in again.encode(frame).items():
        np.testing.assert_array_equal(column, changed.encode(frame)[name])
    with pytest.raises(ValueError, match="no column 'nope', only 'price'"):
        Schema.from_frame(frame, label="nope")


def test_several_labels(frame):
    frame["rating"] = [4.0, None, 3.0, 5.0]
    schema = Schema.from_frame(frame, label=["clicked", "rating"])
    assert (schema.label, schema.labels) == ("clicked", ("clicked", "rating"))
    assert (schema["clicked"].optional, schema["rating"].optional) == (False, True)
    assert not set(schema.signature()) & set(schema.labels)
    np.testing.assert_array_equal(schema.encode(frame)["rating"], np.float32([4, np.nan, 3, 5]))
    assert "rating" not in schema.encode(frame.drop(columns="rating"))
    again = Schema.from_config(schema.get_config())
    assert again == schema
    # As the only label it must be there.
    with pytest.raises(ValueError, match="'rating' of row 1 is no finite number.*optional=True"):
        Schema.from_frame(frame, label="rating").encode(frame)


def test_an_optional_label_may_be_missing_but_not_be_wrong():
    label = Label(positive_from=4, optional=True)
    values = pd.Series([5, 3, None], dtype="Int64", name="y")
    np.testing.assert_array_equal(label.encode(values), np.float32([1, 0, np.nan]))
    for bad in ("seven", np.inf):
        with pytest.raises(ValueError, match="'y' of row 1 is no finite number.*is a number"):
            label.encode(pd.Series([None, bad], name="y"))


def test_feature_table(frame):
    frame.index = ["i4", "i2", "i9", "i1"]
    ids = Vocabulary(["i1", "i2", "i3", "i4"])
    table = FeatureTable.from_frame(frame[["price", "colour", "tags"]], ids)
    assert (len(table), table.without_row) == (4, 1)
    np.testing.assert_array_equal(
        table.columns["price"], np.float32([np.nan, 4.0, 2.5, np.nan, 1.0, np.nan])
    )
    # The vocabulary of colours is that of the rows in use, where blue stands once.
    assert table.columns["colour"].tolist() == [0, 1, 2, 0, 1, 0]
    assert table.columns["tags"].shape == (6, 2)
    empty = FeatureTable.from_config(table.get_config())
    assert empty.schema == table.schema
    assert np.isnan(empty.columns["price"]).all()
    assert empty.columns["tags"].dtype == np.int32
    assert not empty.columns["tags"].any()


def test_feature_table_refuses(frame):
    ids = Vocabulary([1, 2])
    frame.index = [1, 2, 2, 3]
    with pytest.raises(ValueError, match="id 2 stands twice"):
        FeatureTable.from_frame(frame, ids)
    frame.index = [5, 6, 7, 8]
    with pytest.raises(ValueError, match="none of the vocabulary's ids"):
        FeatureTable.from_frame(frame, ids)
    schema = Schema({"a": Numeric()})
    with pytest.raises(ValueError, match="one array a column of the schema .a."):
        FeatureTable(schema, {})
    with pytest.raises(ValueError, match="column 'a' is float64"):
        FeatureTable(schema, {"a": np.zeros(4)})


def test_a_split_knows_the_features_of_its_log():
    log = tfrecs.data.Interactions(
        {"user_id": [1, 1, 1, 2, 2, 2], "item_id": [1, 2, 3, 1, 3, 2]},
        item_features=pd.DataFrame({"item_id": [1, 2, 3], "price": [1.0, 2.0, 3.0]}),
    )
    split = tfrecs.data.leave_last_out(log)
    assert split.user_features is None
    assert split.item_features.columns["price"].tolist()[1:4] == [1, 2, 3]
