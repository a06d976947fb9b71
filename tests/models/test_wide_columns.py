"""Models of rows and two towers with vectors, texts, histories and bins of trees."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import tfrecs
from tfrecs._keras import keras, tf
from tfrecs.data import (
    Categorical,
    FeatureTable,
    History,
    Interactions,
    Label,
    Numeric,
    ParquetRows,
    Rows,
    Schema,
    Text,
    Tokenizer,
    Vector,
    Vocabulary,
    click_through,
    leave_last_out,
)
from tfrecs.models import DeepCross, RetrieveThenRank, TwoTower


def sentences(kinds, seed=0):
    """Vectors of length 1 such as sentences have: those of one kind point one way."""
    rng = np.random.default_rng(seed)
    vectors = np.where(kinds, 1.0, -1.0)[:, np.newaxis] * np.linspace(1, 2, 24)
    vectors += rng.normal(size=vectors.shape)
    return list((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))


@pytest.mark.slow
def test_two_towers_place_cold_items_by_their_sentences():
    def log(users, items, seed):
        rng = np.random.default_rng(seed)
        rows = [
            (user, int(item))
            for user in users
            for item in rng.permutation([i for i in items if i % 2 == user % 2])[:8]
        ]
        features = pd.DataFrame({"item_id": range(60)})
        features["sentence"] = sentences(np.arange(60) % 2 == 0)
        frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
        return Interactions(frame, item_features=features)

    before = leave_last_out(log(range(80), range(40), 0))
    assert before.item_features.schema["sentence"] == Vector(24)
    model = TwoTower.from_split(before, dim=8, pooling="mean", id_dropout=0.5, seed=1)
    model.compile(tfrecs.optimizers.Adam(0.01))
    model.fit(model.examples(before.train).batch(64), epochs=8, verbose=0)
    new = log(range(80), range(60), 1).continuing(before.users, before.items)
    grown = model.grown(leave_last_out(new))
    scores = grown.score(
        {
            "user_id": tf.range(1, 81),
            "history": tf.constant(before.test.history.padded(range(80), 50)),
        }
    ).numpy()[:, 40:]
    # Items 41 to 60 were in no training: their sentences alone tell who likes them.
    liked = grown.items.ids[40:] % 2 == before.users.ids[:, np.newaxis] % 2
    assert liked.shape == scores.shape == (80, 20)
    assert roc_auc_score(liked.ravel(), scores.ravel()) > 0.95


@pytest.fixture(scope="module")
def described():
    """Users like items of their own kind, of which sentences and titles tell."""
    rng = np.random.default_rng(0)
    n = 2500
    users, items = rng.integers(1, 41, n), rng.integers(1, 31, n)
    kinds = np.arange(1, 31) % 2 == 0
    words = np.where(kinds, "quiet", "loud")
    return Interactions(
        {
            "user_id": users,
            "item_id": items,
            "rating": np.where(users % 2 == items % 2, 5.0, 1.0),
        },
        item_features=pd.DataFrame(
            {
                "item_id": range(1, 31),
                "sentence": sentences(kinds),
                "title": [f"the {word} one{i}" for i, word in enumerate(words)],
            }
        ),
        duplicates="keep",
    )


def titles(described, **arguments):
    """A schema of the items' titles alone."""
    tokenizer = Tokenizer.from_texts(described.item_features["title"], min_count=2)
    return Schema({"title": Text(tokenizer, max_tokens=4, **arguments)})


@pytest.mark.parametrize("feature", [pytest.param("sentence", marks=pytest.mark.slow), "title"])
def test_rows_of_cold_items_are_ranked_by_their_features(described, feature):
    if feature == "sentence":
        split = click_through(described, skip=["title"])
    else:
        split = click_through(described, item_schema=titles(described, word_dim=6))
    warm = split.train.columns["item_id"] <= 24
    model = DeepCross.from_split(split, dim=4, cross_layers=1, deep_units=[16], dropout=0.0, seed=1)
    if feature == "title":
        rng = np.random.default_rng(0)
        vectors = {word: rng.normal(size=6) for word in ("quiet", "loud", "the")}
        model.encoder.load_word_vectors("item.title", vectors)
    model.compile(tfrecs.optimizers.Adam(0.01))
    model.fit(split.train.take(warm).batch(64), epochs=8, verbose=0)
    cold = split.train.take(~warm)
    predicted = model.predict(cold.batch(512, seed=None), verbose=0)
    assert roc_auc_score(cold.labels, predicted) > 0.9


def test_frequencies_of_words_are_those_of_the_rows(described):
    split = click_through(described, item_schema=titles(described, pooling="sif"))
    model = DeepCross.from_split(split, dim=4, deep_units=[4], seed=1)
    # "the" stands in all rows, and makes half of the words known.
    quiet = (split.items.ids[split.train.columns["item_id"] - 1] % 2 == 0).mean() / 2
    probability = {"the": 0.5, "quiet": quiet, "loud": 0.5 - quiet}
    words = model.encoder.schema["item.title"].tokenizer.words
    want = [1e-3 / (1e-3 + probability[word]) for word in words]
    np.testing.assert_allclose(model.encoder.texts["item.title"].word_weights, want, rtol=1e-5)


def histories(rows=3000):
    """A row is liked if its item is of the kind that its history is of; ids alone tell."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, rows)
    items = rng.integers(1, 31, rows)
    seen = [list(2 * rng.integers(0, 15, rng.integers(1, 6)) + 1 + kind) for kind in kinds]
    frame = pd.DataFrame({"item_id": items, "seen": seen})
    # Items 1, 3, 5, .. are of kind 0.
    frame["liked"] = ((items + 1) % 2 == kinds).astype(int)
    return frame


@pytest.mark.parametrize("pooling", [pytest.param("mean", marks=pytest.mark.slow), "attention"])
def test_only_the_history_tells(pooling):
    frame, vocabulary = histories(), Vocabulary(range(1, 31))
    context = Schema({"seen": History(vocabulary, 5, pooling), "liked": Label()})
    columns = {"item_id": vocabulary.encode(frame["item_id"]), **context.encode(frame)}
    rows = Rows(columns, "liked")
    train, test = rows.take(np.arange(2400)), rows.take(np.arange(2400, 3000))

    def area(schema):
        model = DeepCross(
            schema, vocabulary, dim=8, cross_layers=2, deep_units=[16], dropout=0.0, seed=1
        )
        model.adapt(train)
        model.compile(tfrecs.optimizers.LazyAdam(0.01))
        model.fit(train.batch(64), epochs=5, verbose=0)
        return model, roc_auc_score(test.labels, model.predict(test.batch(600, seed=None)))

    model, with_history = area(context)
    assert with_history > 0.95
    # The items of a history have the vectors of the rows' items: one table of 32 rows.
    assert model.encoder.items is None
    assert model.encoder.categories.num_rows == 32
    if pooling == "mean":
        assert area(context.with_columns(seen=None))[1] < 0.6
        # Other items for one history: those of its kind come first.
        scores = model.score({"seen": tf.constant([[0, 0, 3, 9, 27]])}).numpy()[0]
        assert roc_auc_score(np.arange(1, 31) % 2, scores) > 0.95
    again = keras.utils.deserialize_keras_object(keras.utils.serialize_keras_object(model))
    again.set_weights(model.get_weights())
    batch = next(iter(test.batch(50, seed=None)))
    np.testing.assert_allclose(again(batch), model(batch), rtol=1e-5)


def test_a_ranker_reads_the_history_that_the_retriever_reads():
    items, users = Vocabulary(range(1, 31)), Vocabulary(range(1, 9))
    ranker = DeepCross(
        Schema({"history": History(items, 5, "attention"), "liked": Label()}),
        items,
        dim=4,
        deep_units=[8],
        seed=1,
    )
    ranker.encoder.categories.table.assign(ranker.encoder.categories.table * 40)
    model = RetrieveThenRank(TwoTower(items, users, dim=4, seed=1), ranker, num_candidates=5)
    features = {"user_id": tf.constant([3, 3]), "history": tf.constant([[0, 0, 7], [1, 2, 3]])}
    scores = model.score(features).numpy()
    for row in range(2):
        one = {"history": features["history"][row : row + 1]}
        ranked = ranker.score(one).numpy()[0]
        best = np.argsort(-scores[row])[:5]
        np.testing.assert_allclose(scores[row, best], ranked[best], rtol=1e-5)


def test_bins_of_trees_learn_from_the_label_of_the_rows():
    rng = np.random.default_rng(0)
    n = 2000
    users, items = rng.integers(1, 101, n), rng.integers(1, 6, n)
    ages = rng.uniform(18, 80, 100)
    log = Interactions(
        {
            "user_id": users,
            "item_id": items,
            "rating": np.where(ages[users - 1] > 37.25, 5.0, 1.0),
        },
        user_features=pd.DataFrame({"user_id": range(1, 101), "age": ages}),
        duplicates="keep",
    )
    split = click_through(log, user_schema=Schema({"age": Numeric(bins="tree")}))
    model = DeepCross.from_split(split, dim=4, cross_layers=1, deep_units=[4], seed=1)
    edges = model.encoder.numbers["piecewise_tree"].edges.numpy()[0]
    below, above = ages[ages <= 37.25].max(), ages[ages > 37.25].min()
    # The one threshold that tells likes from dislikes, and no other.
    np.testing.assert_allclose(np.unique(edges)[1], (below + above) / 2, rtol=1e-5)
    assert len(np.unique(edges)) == 3
    unlabelled = Rows({n: x for n, x in split.train.columns.items() if n != "rating"})
    with pytest.raises(ValueError, match=r"bins='tree' of 'user\.age' need a target for each row"):
        model.adapt(unlabelled)
    with pytest.raises(ValueError, match=r"bins='tree' of 'age' need a target .* two-tower model"):
        TwoTower(split.items, split.users, split.user_features)


@pytest.mark.slow
def test_rows_of_parquet_with_a_vector_and_a_history(tmp_path):
    frame = histories(400)
    frame["image"] = sentences(frame["liked"].to_numpy() == 1)
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=100)
    vocabulary = Vocabulary(range(1, 31))
    schema = Schema.from_frame(frame, label="liked", skip=["seen"]).with_columns(
        item_id=Categorical(vocabulary), seen=History(vocabulary, 5)
    )
    rows = ParquetRows(tmp_path / "rows.parquet", schema)
    model = DeepCross(schema, dim=4, deep_units=[8], dropout=0.0, seed=1)
    model.adapt(rows.sample(100))
    model.compile(tfrecs.optimizers.Adam(0.02))
    losses = model.fit(rows.batch(50), epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.1 < losses[0]


def test_predictions_under_mixed_precision_are_those_of_training():
    """Keras would cast the numbers of `predict` to float16, in which 70,000 is infinite."""
    frame = pd.DataFrame({"price": [69_000.0, 70_000.0, 71_000.0, 72_000.0], "y": [0, 1, 0, 1]})
    schema = Schema.from_frame(frame, label="y")
    rows = Rows.from_frame(frame, schema)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = DeepCross(schema, dim=4, cross_layers=1, deep_units=[4], seed=1)
        model.adapt(rows)
        batch = next(iter(rows.batch(4, seed=None)))
        predicted = model(batch).numpy()
        want = tf.sigmoid(model.logits(batch)).numpy()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    np.testing.assert_allclose(predicted, want, rtol=1e-3)
    assert len(np.unique(predicted)) == 4


def test_a_table_of_features_may_hold_a_history():
    """Such as the items that go with an item."""
    items = Vocabulary([1, 2, 3])
    frame = pd.DataFrame({"beside": [[2], [1, 3], None]}, index=[1, 2, 3])
    table = FeatureTable.from_frame(frame, items, Schema({"beside": History(items, 2)}))
    model = TwoTower(items, users=4, item_features=table, dim=4, pooling=None, seed=1)
    assert np.isfinite(model.score({"user_id": tf.constant([1])})).all()
    with tf.GradientTape() as tape:
        loss = model.compute_loss({"user_id": tf.constant([1, 2]), "item_id": tf.constant([1, 3])})
    table = model.item_tower.encoder.items.table
    assert np.abs(tf.convert_to_tensor(tape.gradient(loss, table))).sum() > 0
