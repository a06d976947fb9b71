"""Sequence models with the weights of the authors' or a reference implementation score alike."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.models import BERT4Rec, Caser, GRU4Rec

GOLDEN = json.loads(Path(__file__).with_name("sequence_golden.json").read_text())


class Peer:
    """What a peer's model was asked, answered and was made of."""

    def __init__(self, name):
        golden = GOLDEN[name]
        self.weights = {n: np.array(w, np.float32) for n, w in golden["weights"].items()}
        self.histories = np.array(golden["histories"], np.int32)
        self.scores = np.array(golden["scores"])
        self.users = np.array(golden.get("users", []), np.int32)

    def __getitem__(self, name):
        return self.weights[name]

    def dense(self, name):
        """Kernel and bias of a layer, as Keras has them."""
        return self[f"{name}.weight"].T, self[f"{name}.bias"]


def fill(layer, *values):
    """Gives a layer its weights, all of them."""
    for weight, value in zip(layer.weights, values, strict=True):
        weight.assign(value)


def test_bert4rec_scores_as_recbole():
    peer = Peer("BERT4Rec")
    dim = peer["LayerNorm.weight"].size
    num_items = peer.scores.shape[1]
    model = BERT4Rec(
        num_items, dim=dim, num_heads=2, max_length=5, dropout=0.0, item_bias=True, seed=1
    )
    table = peer["item_embedding.weight"]  # Row 0 is padding, the last one the mask.
    fill(model.embedding, table[1:-1])
    model.mask_vector.assign(table[-1:])
    model.positions.assign(peer["position_embedding.weight"])
    fill(model.embedding_norm, peer["LayerNorm.weight"], peer["LayerNorm.bias"])
    for i, block in enumerate(model.blocks):
        name = f"trm_encoder.layer.{i}"
        attention, feed_forward = f"{name}.multi_head_attention", f"{name}.feed_forward"
        key, value = peer.dense(f"{attention}.key"), peer.dense(f"{attention}.value")
        for layer, values in (
            (block._attention._query, peer.dense(f"{attention}.query")),
            (
                block._attention._key_value,
                [np.concatenate(parts, axis=-1) for parts in zip(key, value, strict=True)],
            ),
            (block._attention._output, peer.dense(f"{attention}.dense")),
            (block._hidden, peer.dense(f"{feed_forward}.dense_1")),
            (block._output, peer.dense(f"{feed_forward}.dense_2")),
        ):
            fill(layer, *values)
        for layer, name in (
            (block._norm_attention, f"{attention}.LayerNorm"),
            (block._norm_feed_forward, f"{feed_forward}.LayerNorm"),
        ):
            fill(layer, peer[f"{name}.weight"], peer[f"{name}.bias"])
    fill(model.head, *peer.dense("output_ffn"))
    fill(model.head_norm, peer["output_ln.weight"], peer["output_ln.bias"])
    fill(model.item_bias, peer["output_bias"][1:, np.newaxis])
    scores = model.score({"history": tf.constant(peer.histories)})
    np.testing.assert_allclose(scores, peer.scores, rtol=1e-4, atol=1e-4)


def test_caser_scores_as_the_authors_code():
    peer = Peer("Caser")
    num_users, dim = peer["user_embeddings.weight"].shape
    window = peer.histories.shape[1]
    model = Caser(
        peer.scores.shape[1],
        users=num_users,
        dim=dim,
        window=window,
        horizontal_filters=3,
        vertical_filters=2,
        tied=False,
        item_bias=True,
        seed=1,
    )
    fill(model.embedding, peer["item_embeddings.weight"][1:])
    # User 0 of the authors' code is a user; here ids begin with 1.
    fill(model.user_embedding, peer["user_embeddings.weight"])
    output = peer["W2.weight"][1:]
    fill(model.output_embedding, output[:, :dim])
    fill(model.user_item_embedding, output[:, dim:])
    fill(model.item_bias, peer["b2.weight"][1:])
    filters = []
    for i in range(window):
        kernel, bias = peer[f"conv_h.{i}.weight"], peer[f"conv_h.{i}.bias"]
        filters += [kernel[:, 0].transpose(1, 2, 0), bias]  # [height, dim, filters]
    filters += [peer["conv_v.weight"][:, 0, :, 0].T, peer["conv_v.bias"]]
    fill(model.convolution, *filters)
    # The authors put the vertical answers first, filter by filter.
    kernel, bias = peer.dense("fc1")
    vertical, horizontal = kernel[: 2 * dim], kernel[2 * dim :]
    vertical = vertical.reshape(2, dim, dim).swapaxes(0, 1).reshape(2 * dim, dim)
    fill(model.state_layer, np.concatenate([horizontal, vertical]), bias)
    users = tf.constant(peer.users + 1)
    scores = model.score({"user_id": users, "history": tf.constant(peer.histories)})
    np.testing.assert_allclose(scores, peer.scores, rtol=1e-4, atol=1e-4)
    # A state depends on its window alone, so a long history has that of the short one in it.
    longer = np.concatenate([peer.histories[::-1], peer.histories, peer.histories[:, :2]], axis=1)
    np.testing.assert_allclose(
        model.states(longer)[:, -3], model.states(peer.histories)[:, -1], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("padding", [0, 3])
def test_gru4rec_scores_as_the_authors_code(padding):
    peer = Peer("GRU4Rec")
    num_items, dim = peer["Wy.weight"].shape
    # The size of item vectors is the number of items, so that a product with an input kernel can
    # give the row that the authors' first layer has for each item.
    model = GRU4Rec(num_items, num_items, hidden_dim=dim, tied=False, item_bias=True, seed=1)
    items = np.random.default_rng(0).normal(size=(num_items, num_items)).astype(np.float32)

    def gates(matrix):
        """The authors' state, reset and update gates as Keras has them: 1 - update comes first."""
        state, reset, update = np.split(matrix, 3, axis=-1)
        return np.concatenate([-update, reset, state], axis=-1)

    rows = gates(peer["GE.Wx0.weight"])
    reset, update = np.split(peer["GE.Wrz0"], 2, axis=-1)
    fill(model.embedding, items)
    fill(
        model.recurrent[0],
        np.linalg.solve(items, rows),
        np.concatenate([-update, reset, peer["GE.Wh0"]], axis=-1),
        gates(peer["GE.Bh0"]),
    )
    fill(model.output_layer, np.eye(dim, num_items), np.zeros(num_items))
    fill(model.output_embedding, np.pad(peer["Wy.weight"], [[0, 0], [0, num_items - dim]]))
    fill(model.item_bias, peer["By.weight"])
    histories = np.pad(peer.histories, [[0, 0], [padding, 0]])
    scores = model.score({"history": tf.constant(histories)})
    np.testing.assert_allclose(scores, peer.scores, rtol=1e-3, atol=1e-3)
