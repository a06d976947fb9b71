"""FeatureEncoder, FeatureLookup and Tower against the layers that they are made of."""

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeRegressor

from tfrecs._keras import tf
from tfrecs.data import (
    Categorical,
    FeatureTable,
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


def tensors(columns):
    return {name: tf.constant(x) for name, x in columns.items()}


def test_what_stands_where(encoder):
    columns = SCHEMA.encode(FRAME)
    got = encoder(tensors(columns)).numpy()
    assert got.shape == (4, encoder.width) == (4, 5 * 4 + 4 + 1 + 4 + 4 + 1)
    table = encoder.categories.table.numpy()
    rows = {n: table[encoder.categories.rows_of(n)] for n in encoder.categories.names}
    assert list(rows) == ["colour", "tags", "at/hour", "at/weekday"]
    np.testing.assert_allclose(got[:, :4], rows["colour"][[1, 2, 1, 0]], rtol=1e-6)
    tags = rows["tags"]
    want = [tags[1], (tags[1] + tags[2]) / 2, tags[0], tags[2]]
    np.testing.assert_allclose(got[:, 4:8], want, rtol=1e-6)
    np.testing.assert_allclose(got[:, 8:12], rows["at/hour"][[1, 2, 1, 0]], rtol=1e-6)
    np.testing.assert_allclose(got[:, 12:16], rows["at/weekday"][[4, 4, 5, 0]], rtol=1e-6)
    toy, story = encoder.texts["title"].table.numpy()
    want = [(toy + story) / 2, story, np.zeros(4), toy]
    np.testing.assert_allclose(got[:, 16:20], want, rtol=1e-6)
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


def test_bins_of_trees_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)).astype(np.float32)
    target = (x[:, 0] > 0.3).astype(np.float32) + rng.normal(size=300).astype(np.float32) / 10
    target[::7] = np.nan
    schema = Schema({"a": Numeric(bins="tree"), "b": Numeric(), "c": Numeric(bins="tree")})
    columns = {"a": x[:, 0], "b": x[:, 0], "c": x[:, 1]}
    encoder = FeatureEncoder(schema, dim=3, num_bins=4, seed=1)
    encoder.adapt(columns, target)
    edges = encoder.numbers["piecewise_tree"].edges.numpy()
    known = np.isfinite(target)
    for index, column in enumerate(x.T):
        tree = DecisionTreeRegressor(max_leaf_nodes=4, random_state=0)
        tree.fit(column[known, np.newaxis], target[known])
        cuts = tree.tree_.threshold[tree.tree_.feature >= 0]
        want = np.sort([column[known].min(), column[known].max(), *cuts])
        np.testing.assert_allclose(edges[index], want, rtol=1e-6)
    # The other column's are quantiles, of all rows.
    want = np.quantile(x[:, 0], [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(encoder.numbers["piecewise"].edges[0], want, rtol=1e-6)
    got = encoder(tensors(columns)).numpy()
    alone = encoder.numbers["piecewise_tree"](tf.constant(x)).numpy()
    np.testing.assert_allclose(got[:, :6], alone.reshape(300, 6), rtol=1e-6)
    assert got.shape == (300, encoder.width) == (300, 9)


def test_bins_of_trees_need_a_target():
    schema = Schema({"price": Numeric(bins="tree")})
    encoder = FeatureEncoder(schema, dim=2)
    columns = schema.encode(FRAME)
    with pytest.raises(ValueError, match=r"bins='tree' of 'price' need a target for each row"):
        encoder.adapt(columns)
    with pytest.raises(ValueError, match=r"target of bins='tree' must be \[4\], .* not \[3\]"):
        encoder.adapt(columns, np.ones(3))
    with pytest.raises(ValueError, match="target has no finite number, and bins='tree' of 'price'"):
        encoder.adapt(columns, np.full(4, np.nan))
    table = FeatureTable.from_frame(FRAME[["price"]], Vocabulary(range(4)), schema)
    with pytest.raises(ValueError, match=r"of a two-tower model, use Numeric\(bins='quantile'\)"):
        Tower(4, 3, table)


def test_sif_leaves_frequent_words_little_weight():
    tokenizer = Tokenizer(["toy", "story"])
    schema = Schema({"title": Text(tokenizer, max_tokens=2, pooling="sif")})
    encoder = FeatureEncoder(schema, dim=4, seed=1)
    assert encoder.adapted_columns == {"title"}
    columns = schema.encode(FRAME)
    encoder.adapt(columns)
    # Both words stand twice among four.
    toy, story = encoder.texts["title"].table.numpy() * (1e-3 / (1e-3 + 0.5))
    want = [(toy + story) / 2, story, np.zeros(4), toy]
    np.testing.assert_allclose(encoder(tensors(columns)), want, rtol=1e-5)


def test_pretrained_words_of_a_size_of_their_own_are_projected(tmp_path):
    schema = Schema({"title": Text(Tokenizer(["toy", "story"]), max_tokens=2, word_dim=3)})
    encoder = FeatureEncoder(schema, dim=2, seed=1)
    path = tmp_path / "words.txt"
    path.write_text("2 3\nstory 1 2 3\ntoy -1 0 5\n")
    encoder.load_word_vectors("title", path)
    kernel, bias = encoder.projections["title"].get_weights()
    means = np.array([[0, 1, 4], [1, 2, 3], [0, 0, 0], [-1, 0, 5]])
    got = encoder(tensors(schema.encode(FRAME)))
    np.testing.assert_allclose(got, means @ kernel + bias, rtol=1e-5, atol=1e-6)
    encoder.load_word_vectors("title", np.zeros((2, 3)))
    np.testing.assert_array_equal(encoder.texts["title"].table, np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"need vectors \[2, 3\], not \[2, 5\]. .*word_dim"):
        encoder.load_word_vectors("title", {"toy": np.ones(5)})
    with pytest.raises(ValueError, match="'name' is no text; texts are 'title'"):
        encoder.load_word_vectors("name", np.zeros((2, 3)))


def test_vectors_are_projected():
    schema = Schema({"image": Vector(3)})
    encoder = FeatureEncoder(schema, dim=2, seed=1)
    encoder.projections["image"].bias.assign([0.5, -0.5])
    columns = schema.encode(pd.DataFrame({"image": [[1.0, 2.0, 3.0], None]}))
    kernel = encoder.projections["image"].kernel.numpy()
    want = np.array([[1, 2, 3], [0, 0, 0]]) @ kernel + [0.5, -0.5]
    np.testing.assert_allclose(encoder(tensors(columns)), want, rtol=1e-5)
    assert encoder.adapted_columns == frozenset()
    encoder.adapt({})


HISTORIES = pd.DataFrame(
    {
        "item": [10, 20, 30, 40],
        "seen": [[10, 20], [20, 20, 30], [], [99, 30]],
        "bought": [[30], [20, 10], [99], []],
        "words": [["x"], ["x", "y"], [], ["y"]],
        "read": [["y", "x"], ["y"], ["x"], []],
    }
)


def test_histories_have_the_vectors_of_their_items():
    items, words = Vocabulary([10, 20, 30]), Vocabulary(["x", "y"])
    schema = Schema(
        {
            "seen": History(items, max_length=3),
            # One that the model has grown beyond: 40 is new.
            "item": Categorical(Vocabulary([10, 20, 30, 40])),
            "bought": History(items, max_length=2, pooling="recency"),
            "words": History(words, max_length=2),
            "read": History(words, max_length=2, pooling="attention"),
        }
    )
    encoder = FeatureEncoder(schema, dim=2, seed=1)
    rng = np.random.default_rng(0)
    for table in (encoder.categories.table, encoder.items.table):
        table.assign(rng.normal(size=table.shape))
    for pooling in encoder.histories.values():
        pooling.empty.assign([8.0, 9.0])
    columns = schema.encode(HISTORIES)
    # Ids 1, 2, 3 of a history are items; 4 is none that it knows, though the category does.
    assert columns["seen"][3].tolist() == [0, 4, 3]
    item = encoder.categories.table.numpy()
    _, ten, twenty, thirty = item[:4]
    got = encoder(tensors(columns)).numpy()
    np.testing.assert_allclose(got[:, :2], item[[1, 2, 3, 4]])
    empty = [8.0, 9.0]
    seen = [(ten + twenty) / 2, (2 * twenty + thirty) / 3, empty, thirty]
    np.testing.assert_allclose(got[:, 2:4], seen, rtol=1e-5)
    # The half-life starts at 10 positions.
    half = 2**-0.1
    bought = [thirty, (half * twenty + ten) / (1 + half), empty, empty]
    np.testing.assert_allclose(got[:, 4:6], bought, rtol=1e-5)
    assert encoder.items.names == ("words",)
    _, x, y, _ = encoder.items.table.numpy()
    np.testing.assert_allclose(got[:, 6:8], [x, (x + y) / 2, empty, y], rtol=1e-5)
    attention = encoder.histories["read"]
    hidden = np.tanh([x, y] @ attention._hidden.kernel.numpy())
    logits = (hidden @ attention._scores.kernel.numpy())[:, 0]
    shares = np.exp(logits) / np.exp(logits).sum()
    read = [shares[0] * x + shares[1] * y, y, x, empty]
    np.testing.assert_allclose(got[:, 8:10], read, rtol=1e-5)
    assert encoder.width == 10


def test_histories_of_other_items_have_vectors_of_their_own():
    schema = Schema(
        {
            "item": Categorical(Vocabulary([20, 10])),
            "seen": History(Vocabulary([10, 20])),
            "text": History(Vocabulary(["10", "x"])),
        }
    )
    encoder = FeatureEncoder(schema, dim=2)
    assert encoder.items.names == ("seen", "text")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_numbers_enter_in_float32(policy):
    """A float16 ends at 65,504, and a bfloat16 has 8 bits: 1990 and 1993 are one number."""
    frame = pd.DataFrame({"year": np.float32([1990, 1993, 1996, 70_000])})
    schema = Schema({"year": Numeric("piecewise")})
    encoded = []
    for dtype in ("float32", policy):
        encoder = FeatureEncoder(schema, dim=4, num_bins=3, seed=1, dtype=dtype)
        encoder.adapt(schema.encode(frame))
        encoded.append(encoder(tensors(schema.encode(frame))).numpy().astype(np.float32))
    np.testing.assert_allclose(*encoded, atol=0.02)
    assert np.abs(encoded[0][0] - encoded[0][1]).max() > 0.1


def test_configs_written_before_there_were_poolings_are_read(encoder):
    config = encoder.get_config()
    for column in config["schema"]["config"]["columns"].values():
        for name in ("bins", "pooling", "word_dim"):
            column.pop(name, None)
    again = FeatureEncoder.from_config(config)
    again.set_weights(encoder.get_weights())
    columns = tensors(SCHEMA.encode(FRAME))
    np.testing.assert_allclose(again(columns), encoder(columns), rtol=1e-6)


def test_standardised_numbers():
    layer = Standardization()
    layer.adapt(np.array([[1.0, 5.0], [2.0, 5.0], [np.nan, 5.0], [3.0, 5.0]]))
    got = layer(tf.constant([[3.0, 7.0], [np.nan, np.inf]])).numpy()
    np.testing.assert_allclose(got, [[1 / np.std([1, 2, 3]), 2.0], [0.0, 1e3]], rtol=1e-6)


def test_nothing_to_encode():
    with pytest.raises(ValueError, match="There is no column to encode"):
        FeatureEncoder(Schema({"y": Label()}))
    with pytest.raises(
        ValueError, match=r"adapt needs the columns 'price', 'size', .* only 'tags'"
    ):
        FeatureEncoder(SCHEMA).adapt({"tags": np.zeros(4)})


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
