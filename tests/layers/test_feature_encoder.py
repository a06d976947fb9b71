"""FeatureEncoder, FeatureLookup and Tower against the layers that they are made of."""

import numpy as np
import pandas as pd
import pytest

from tfrecs._keras import tf
from tfrecs.data import (
    Categorical,
    FeatureTable,
    Numeric,
    Schema,
    Text,
    Timestamp,
    Tokenizer,
    Vocabulary,
)
from tfrecs.layers import FeatureEncoder, FeatureLookup, Standardization, Tower

FRAME = pd.DataFrame(
    {
        "colour": ["red", "blue", "red", None],
        "tags": [["a"], ["a", "b"], [], ["b", "b"]],
        "title": ["toy story", "story", "", "toy"],
        "at": [0, 3600, 86_400, None],
        "price": [1.0, 2.0, 3.0, 5.0],
        "size": [1.0, None, 2.0, 2.0],
        "weight": [3.0, 4.0, 5.0, 6.0],
        "age": [20.0, 30.0, 30.0, 50.0],
        "height": [1.0, 2.0, None, 3.0],
    }
)
SCHEMA = Schema(
    {
        "colour": Categorical(Vocabulary(["red", "blue"])),
        "tags": Categorical(Vocabulary(["a", "b"]), max_values=2),
        "title": Text(Tokenizer(["toy", "story"]), max_tokens=2),
        "at": Timestamp(("hour", "weekday")),
        "price": Numeric("piecewise"),
        "size": Numeric("squashing"),
        "weight": Numeric("discretization"),
        "age": Numeric("periodic"),
        "height": Numeric("standard"),
    }
)


@pytest.fixture
def encoder():
    encoder = FeatureEncoder(SCHEMA, dim=4, num_bins=3, seed=1)
    encoder.adapt(SCHEMA.encode(FRAME))
    return encoder


def test_what_stands_where(encoder):
    columns = SCHEMA.encode(FRAME)
    got = encoder({name: tf.constant(x) for name, x in columns.items()}).numpy()
    assert got.shape == (4, encoder.width) == (4, 5 * 4 + 4 + 1 + 4 + 4 + 1)
    table = encoder.categories.table.numpy()
    rows = {n: table[encoder.categories.rows_of(n)] for n in encoder.categories.names}
    assert list(rows) == ["colour", "tags", "title", "at/hour", "at/weekday"]
    np.testing.assert_allclose(got[:, :4], rows["colour"][[1, 2, 1, 0]], rtol=1e-6)
    tags = rows["tags"]
    want = [tags[1], (tags[1] + tags[2]) / 2, tags[0], tags[2]]
    np.testing.assert_allclose(got[:, 4:8], want, rtol=1e-6)
    title = rows["title"]
    np.testing.assert_allclose(got[0, 8:12], (title[1] + title[2]) / 2, rtol=1e-6)
    np.testing.assert_allclose(got[:, 12:16], rows["at/hour"][[1, 2, 1, 0]], rtol=1e-6)
    np.testing.assert_allclose(got[:, 16:20], rows["at/weekday"][[4, 4, 5, 0]], rtol=1e-6)
    start = 20
    for encoding, name in (
        ("piecewise", "price"),
        ("squashing", "size"),
        ("discretization", "weight"),
        ("periodic", "age"),
        ("standard", "height"),
    ):
        alone = encoder.numbers[encoding](tf.constant(columns[name])[:, tf.newaxis])
        alone = alone.numpy().reshape(4, -1)
        np.testing.assert_allclose(got[:, start : start + alone.shape[1]], alone, rtol=1e-6)
        start += alone.shape[1]


def test_standardised_numbers():
    layer = Standardization()
    layer.adapt(np.array([[1.0, 5.0], [2.0, 5.0], [np.nan, 5.0], [3.0, 5.0]]))
    got = layer(tf.constant([[3.0, 7.0], [np.nan, np.inf]])).numpy()
    np.testing.assert_allclose(got, [[1 / np.std([1, 2, 3]), 2.0], [0.0, 1e3]], rtol=1e-6)


def test_nothing_to_encode():
    with pytest.raises(ValueError, match="There is no column to encode"):
        FeatureEncoder(Schema({}))


def test_lookup_gives_missing_values_to_unknown_ids():
    table = FeatureTable.from_frame(
        FRAME[["price", "tags"]].set_axis([5, 6, 7, 8]), Vocabulary([5, 6, 7, 8])
    )
    lookup = FeatureLookup(table)
    found = lookup(tf.constant([2, 0, 5, 99, -1]))
    np.testing.assert_array_equal(found["price"], np.float32([2.0] + [np.nan] * 4))
    assert found["tags"].numpy().tolist() == [[1, 2]] + [[0, 0]] * 4
    again = FeatureLookup.from_config(lookup.get_config())
    again.set_weights(lookup.get_weights())
    np.testing.assert_array_equal(again.table().columns["tags"], table.columns["tags"])


def test_tower_is_a_dense_network_on_ids_and_features():
    table = FeatureTable.from_frame(FRAME[["price"]], Vocabulary([0, 1, 2, 3]))
    tower = Tower(4, 3, table, id_dim=2, feature_dim=4, beside_dim=2, hidden_units=[5], seed=1)
    ids = tf.constant([2, 4, 5])
    beside = tf.ones([3, 2])
    got = tower(ids, beside)
    embedded = tf.gather(tower.ids.table, [2, 4, 5])
    features = tower.encoder(tower.lookup(ids))
    x = np.concatenate([embedded, features, beside], axis=1)
    hidden = np.maximum(x @ tower.dense[0].kernel.numpy(), 0)
    np.testing.assert_allclose(got, hidden @ tower.dense[1].kernel.numpy(), rtol=1e-5, atol=1e-6)


def test_id_dropout_takes_ids_for_unknown_ones():
    tower = Tower(50, 3, id_dim=2, hidden_units=[], id_dropout=0.4, seed=1)
    ids = tf.repeat(tf.range(1, 51), 40)
    got = tower(ids, training=True).numpy()
    plain = tower(ids).numpy()
    unknown = tower(tf.constant([51])).numpy()
    dropped = (np.abs(got - unknown) < 1e-6).all(axis=1)
    np.testing.assert_allclose(got[~dropped], plain[~dropped], rtol=1e-5, atol=1e-6)
    assert abs(dropped.mean() - 0.4) < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"id_dim": 0}, "needs features where ids have no vectors"),
        ({"id_dropout": 1.0}, r"id_dropout must be in \[0, 1\)"),
        ({"dim": 0}, "at least 1"),
        (
            {"features": FeatureTable.from_frame(FRAME[["price"]], Vocabulary(range(4)))},
            "features of 4 ids, not of 9",
        ),
    ],
)
def test_wrong_towers(arguments, message):
    with pytest.raises(ValueError, match=message):
        Tower(**{"size": 9, "dim": 2, **arguments})
