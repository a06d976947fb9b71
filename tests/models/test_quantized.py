"""Sequence models whose item vectors are product-quantised."""

import json

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs._keras import keras, tf
from tfrecs.configured import built
from tfrecs.data import Interactions, leave_last_out
from tfrecs.layers import QuantizedItemEmbedding
from tfrecs.layers.item_codes import svd_codes
from tfrecs.models import BERT4Rec, Caser, GRU4Rec, SASRec

MODELS = [SASRec, GRU4Rec, BERT4Rec, Caser]


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    rows = [(u, int(i)) for u in range(30) for i in (rng.permutation(10)[:6] * 2 + u % 2)]
    users, items = zip(*rows, strict=True)
    return leave_last_out(Interactions(pd.DataFrame({"user_id": users, "item_id": items})))


def made(model, split, **arguments):
    given = {"dim": 8, "max_length": 4, "code_length": 4, "num_centroids": 6, "seed": 1}
    return model.from_split(split, **{**given, **arguments})


@pytest.mark.parametrize("model", MODELS)
def test_codes_come_from_the_training_part_and_are_no_part_of_the_config(model, split):
    users = {"users": None} if model is Caser else {}
    model = made(model, split, **users)
    train = split.train.histories
    codes = svd_codes(train.rows, train.values - 1, len(split.items), 4, 6)
    np.testing.assert_array_equal(model.embedding.codes(), codes)
    parts = model.embedding.table.numpy().reshape(4, 6, 2)
    expected = np.concatenate([parts[j][codes[:, j]] for j in range(4)], axis=1)
    np.testing.assert_array_equal(model.item_vectors(), expected)
    config = json.dumps(model.description())
    assert '"code_length": 4, "num_centroids": 6' in config
    twin = built(model.description())
    assert not np.array_equal(twin.embedding.codes(), codes)
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin.item_vectors(), expected)


def test_untied_vectors_are_both_quantised(split):
    model = made(SASRec, split, tied=False)
    assert isinstance(model.output_embedding, QuantizedItemEmbedding)
    assert [w.shape for w in model.trainable_weights if w.name == "table:0"] == [(24, 2)] * 2
    np.testing.assert_array_equal(model.output_embedding.codes(), model.embedding.codes())


@pytest.mark.parametrize(
    "loss", [tfrecs.losses.FullSoftmax(), tfrecs.losses.SampledSoftmax(8, seed=1)]
)
def test_it_learns_and_keeps_its_codes(loss, split):
    model = made(SASRec, split, dim=32, dropout=0.0, loss=loss, num_blocks=1)
    codes = model.embedding.codes()
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    batches = model.examples(split.train).batch(8)
    first = model.fit(batches, epochs=12, verbose=0).history["loss"]
    assert first[-1] < 0.8 * first[0]
    np.testing.assert_array_equal(model.embedding.codes(), codes)
    # Users keep to odd or even items; what they have counts too.
    scores = model.score({"history": tf.constant(split.test.history.padded(range(30), 4))}).numpy()
    odd = split.items.ids % 2 == 1
    users = split.users.decode(split.test.user_ids) % 2 == 1
    gap = np.where(users, 1, -1) * (scores[:, odd].mean(1) - scores[:, ~odd].mean(1))
    assert (gap > 0).mean() > 0.9


@pytest.mark.parametrize("model", MODELS)
def test_a_trained_model_is_quantised(model, split):
    untied = {} if model is BERT4Rec else {"tied": False}
    plain = model.from_split(split, dim=8, max_length=4, item_bias=True, seed=1, **untied)
    rng = np.random.default_rng(1)
    plain.set_weights([rng.normal(size=w.shape).astype(w.dtype) for w in plain.get_weights()])
    # As many centroids as items: nothing is lost.
    small = plain.quantized(4, num_centroids=32)
    features = plain.example_features() | {"history": tf.constant([[0, 3, 7, 20]])}
    np.testing.assert_allclose(small.score(features), plain.score(features), rtol=1e-4, atol=1e-5)
    coarse = plain.quantized(4, num_centroids=3)
    scored_by = coarse.output_embedding or coarse.embedding
    assert len(np.unique(scored_by.rows()[:, :2], axis=0)) == 3
    np.testing.assert_array_equal(coarse.item_bias.table, plain.item_bias.table)
    with pytest.raises(ValueError, match="are product-quantised already"):
        coarse.quantized(2)


def test_features_and_codes_exclude_each_other():
    with pytest.raises(ValueError, match="give one of the two"):
        SASRec(9, dim=8, code_length=2, feature_dim=4)
