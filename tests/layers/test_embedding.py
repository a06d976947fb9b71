"""ItemEmbedding: ids to rows."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.layers import ItemEmbedding


def test_ids_are_rows_from_one_and_everything_else_is_zero():
    layer = ItemEmbedding(3, 2)
    layer.table.assign([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    out = layer(tf.constant([[0, 1, 2], [3, 4, -1]]))
    expected = [[[0, 0], [1, 2], [3, 4]], [[5, 6], [0, 0], [0, 0]]]
    assert out.numpy().tolist() == expected
    assert layer.rows(tf.constant([3, 1])).numpy().tolist() == [[5, 6], [1, 2]]


def test_padding_gets_no_gradient():
    layer = ItemEmbedding(3, 2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.constant([0, 2, 4])))
    gradient = tf.convert_to_tensor(tape.gradient(loss, layer.table)).numpy()
    assert gradient.tolist() == [[0, 0], [1, 1], [0, 0]]


def test_initial_scale_and_seed():
    table = ItemEmbedding(2000, 16, seed=1).table.numpy()
    assert np.std(table) == pytest.approx(0.02, rel=0.02)
    assert np.array_equal(table, ItemEmbedding(2000, 16, seed=1).table.numpy())


def test_wrong_sizes():
    with pytest.raises(ValueError, match="at least 1"):
        ItemEmbedding(0, 2)
