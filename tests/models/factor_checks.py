"""What the tests of models of users and items share."""

import numpy as np

from tfrecs._keras import tf

BATCH = {"user_id": tf.constant([1, 4, 4]), "item_id": tf.constant([3, 5, 1])}


def set_tables(model, rng):
    """Random tables of users and items, as they stand in the model from now on."""
    tables = []
    for layer in (model.user_embedding, model.item_embedding):
        table = rng.normal(size=layer.table.shape).astype(np.float32)
        layer.table.assign(table)
        tables.append(table)
    return tables


def logistic(x):
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))
