"""Small users, items and rows with features, for the cases of layers and models that take them."""

from __future__ import annotations

import numpy as np
import pandas as pd

import tfrecs
from tfrecs._keras import keras
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

ITEMS = Vocabulary([f"i{n}" for n in range(9)])
USERS = Vocabulary([f"u{n}" for n in range(6)])
RNG = np.random.default_rng(1)
ITEM_FRAME = pd.DataFrame(
    {
        "price": RNG.normal(size=9),
        "size": RNG.normal(size=9),
        "colour": ["red", "blue", "red"] * 3,
        "tags": [["a"], ["a", "b"], []] * 3,
    },
    index=ITEMS.ids,
)
USER_FRAME = pd.DataFrame({"age": np.arange(6.0)}, index=USERS.ids)
ITEM_SCHEMA = Schema(
    {
        "price": Numeric(),
        "size": Numeric("squashing"),
        "colour": Categorical(Vocabulary(["red", "blue"])),
        "tags": Categorical(Vocabulary(["a", "b"]), max_values=2),
    }
)
WORDS = Tokenizer(["red", "pen"])
# Texts, vectors, histories with and without vectors of their own, and bins of trees.
WIDE_SCHEMA = Schema(
    {
        "item": Categorical(ITEMS),
        "title": Text(WORDS, max_tokens=3),
        "blurb": Text(WORDS, max_tokens=3, pooling="sif", word_dim=2),
        "image": Vector(8),
        "seen": History(ITEMS, max_length=5, pooling="recency"),
        "bought": History(Vocabulary(["x", "y"]), max_length=5),
        "read": History(Vocabulary(["x", "y"]), max_length=5, pooling="attention"),
        "price": Numeric(bins="tree"),
    }
)
WIDE_COLUMNS = (
    np.array([1, 2, 10, 0], np.int32),
    np.array([[1, 2, 0], [0, 0, 0], [3, 1, 0], [2, 2, 2]], np.int32),
    np.array([[2, 0, 0], [1, 3, 0], [0, 0, 0], [1, 1, 2]], np.int32),
    RNG.normal(size=(4, 8)).astype(np.float32),
    np.array([[0, 0, 4, 7, 2], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0], [0, 3, 10, 8, 6]], np.int32),
    np.array([[0, 0, 0, 1, 2], [1, 2, 1, 2, 2], [0, 0, 0, 0, 3], [0, 0, 0, 0, 1]], np.int32),
    np.array([[0, 0, 0, 0, 2], [1, 1, 1, 2, 1], [0, 0, 0, 0, 0], [0, 0, 0, 2, 1]], np.int32),
    np.array([3.0, 1.0, 2.0, 5.0], np.float32),
)
CONTEXT = Schema({"at": Timestamp(("hour",)), "clicked": Label()})
USER_IDS = np.array([1, 6, 7, 3], np.int32)
ITEM_IDS = np.array([3, 9, 10, 0], np.int32)
HOURS = np.array([[1], [24], [0], [7]], np.int32)
CLICKED = np.array([1, 0, 1, 1], np.float32)
STARS = np.array([4, np.nan, 2, 5], np.float32)


def item_table() -> FeatureTable:
    """Features of the items."""
    return FeatureTable.from_frame(ITEM_FRAME, ITEMS, ITEM_SCHEMA)


def user_table() -> FeatureTable:
    """Features of the users."""
    return FeatureTable.from_frame(USER_FRAME, USERS)


def encoder() -> tfrecs.layers.FeatureEncoder:
    """An encoder of the items' features."""
    layer = tfrecs.layers.FeatureEncoder(ITEM_SCHEMA, dim=4, num_bins=3, seed=1)
    layer.adapt(item_table())
    return layer


def wide_encoder() -> tfrecs.layers.FeatureEncoder:
    """An encoder of columns with many values a row."""
    layer = tfrecs.layers.FeatureEncoder(WIDE_SCHEMA, dim=4, num_bins=2, seed=1)
    layer.adapt(dict(zip(WIDE_SCHEMA, WIDE_COLUMNS, strict=True)), CLICKED)
    return layer


def encode(layer, *columns):
    """Calls an encoder with the columns in the order of the schema."""
    return layer(dict(zip(layer.schema, columns, strict=True)))


def item_columns() -> tuple[np.ndarray, ...]:
    """The encoded columns of four items."""
    table = item_table()
    return tuple(table.columns[name][1:5] for name in ITEM_SCHEMA)


def lookup(layer, ids):
    """The columns of ids without missing numbers, which no test could compare."""
    return [tf_nan_to_zero(x) for x in layer(ids).values()]


def tf_nan_to_zero(x):
    """0 in place of NaN."""
    from tfrecs._keras import tf

    return tf.where(tf.math.is_nan(x), 0.0, x) if x.dtype.is_floating else x


def tower() -> tfrecs.layers.Tower:
    """A tower of ids and features, with crosses."""
    return tfrecs.layers.Tower(
        9, 8, item_table(), 4, 4, hidden_units=[6], cross_layers=1, dropout=0.1, seed=1
    )


def two_tower(**arguments) -> tfrecs.models.TwoTower:
    """Both towers with features, and a history."""
    defaults = {
        "dim": 8,
        "feature_dim": 4,
        "hidden_units": [16],
        "max_length": 5,
        "id_dropout": 0.2,
        "temperature": 0.5,
        "seed": 1,
    }
    return tfrecs.models.TwoTower(
        ITEMS, USERS, user_table(), item_table(), **{**defaults, **arguments}
    )


def two_tower_score(model, users, history):
    """Scores of all items."""
    return model.score({"user_id": users, "history": history})


def two_tower_loss(model, users, history, items):
    """The loss of a training step."""
    batch = {"user_id": users, "history": history, "item_id": items}
    return model.compute_loss(batch, training=True)


def deep_cross(**arguments) -> tfrecs.models.DeepCross:
    """A model of rows with users, items and an hour."""
    arguments = {"context": CONTEXT, "dim": 4, "cross_layers": 2, "seed": 1, **arguments}
    model = tfrecs.models.DeepCross(
        items=ITEMS,
        users=USERS,
        user_features=user_table(),
        item_features=item_table(),
        deep_units=[6],
        **arguments,
    )
    columns = {"user_id": np.arange(1, 5), "item_id": np.arange(1, 5), "at": HOURS}
    model.adapt(tfrecs.data.Rows(columns))
    return model


def deep_cross_call(model, users, items, hours):
    """Probabilities of rows."""
    return model({"user_id": users, "item_id": items, "at": hours})


def deep_cross_loss(model, users, items, hours, clicked):
    """The loss of a training step."""
    batch = {"user_id": users, "item_id": items, "at": hours, "clicked": clicked}
    return model.compute_loss(batch, training=True)


def several_heads(**arguments) -> tfrecs.models.DeepCross:
    """The same with two heads, of which a row may lack the second's label."""
    heads = {
        "clicked": tfrecs.tasks.Ranking(keras.losses.BinaryCrossentropy(from_logits=True)),
        "stars": tfrecs.tasks.Ranking(keras.losses.MeanSquaredError()),
    }
    task = tfrecs.tasks.MultiTask(heads, "uncertainty")
    context = CONTEXT.with_columns(stars=Label(optional=True))
    return deep_cross(context=context, task=task, **arguments)


def several_heads_loss(model, users, items, hours, clicked, stars):
    """The loss of a training step of two heads."""
    batch = {"user_id": users, "item_id": items, "at": hours, "clicked": clicked, "stars": stars}
    return model.compute_loss(batch, training=True)


def both() -> tfrecs.models.RetrieveThenRank:
    """A model of two stages."""
    retriever = tfrecs.models.TwoTower(ITEMS, USERS, dim=8, max_length=5, seed=1)
    return tfrecs.models.RetrieveThenRank(retriever, deep_cross(), num_candidates=4)
