"""Every model recommends the withheld item (the idea of implicit's recommender tests)."""

import numpy as np
import pytest

import tfrecs
from tfrecs._keras import keras
from tfrecs.data import Interactions, leave_last_out

# How each public model is built.
MODELS = {
    "SASRec": lambda items: tfrecs.models.SASRec(
        items, dim=32, num_blocks=1, max_length=12, dropout=0.2, seed=1
    ),
    "SASRec, cosine": lambda items: tfrecs.models.SASRec(
        items, dim=32, num_blocks=1, max_length=12, dropout=0.2, similarity="cosine", seed=1
    ),
    "SASRec, sampled": lambda items: tfrecs.models.SASRec(
        items,
        dim=32,
        num_blocks=1,
        max_length=12,
        dropout=0.2,
        loss=tfrecs.losses.SampledSoftmax(32, seed=1),
        seed=1,
    ),
}


def blocks(num_blocks=6, size=8, users_a_block=25):
    """Users who consume all items of their block but one, in an order of their own."""
    rng = np.random.default_rng(0)
    rows = []
    for block in range(num_blocks):
        for user in range(users_a_block):
            items = block * size + rng.permutation(size)
            rows += [(f"{block}-{user}", int(item)) for item in items]
    users, items = zip(*rows, strict=True)
    return leave_last_out(Interactions({"user_id": users, "item_id": items}))


def test_every_model_is_here():
    named = {name.split(",")[0] for name in MODELS}
    assert named == set(tfrecs.models.__all__) - {"Model"}


@pytest.mark.parametrize("name", MODELS)
def test_the_withheld_item_is_first(name):
    """The rest of the block is seen, hence masked: the withheld item must be the best left."""
    split = blocks()
    keras.utils.set_random_seed(1)
    model = MODELS[name](split.items)
    model.compile(keras.optimizers.Adam(5e-3))
    batches = split.train.sequences(model.max_history).batch(32)
    model.fit(batches, epochs=25, verbose=0)
    report = tfrecs.evaluate(model, split.test, ks=(1,), baselines=True)
    assert report.metrics["HR@1"] > 0.99
    assert report.baselines["random"]["HR@1"] < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_better_than_popularity_on_ml_100k(name):
    """By a factor of 1.5 in NDCG@10 of the test, after a short training."""
    split = leave_last_out(tfrecs.data.load("ml-100k"))
    keras.utils.set_random_seed(1)
    model = MODELS[name](split.items)
    model.compile(keras.optimizers.Adam(2e-3))
    batches = split.train.sequences(model.max_history).batch(128)
    model.fit(batches, epochs=15, verbose=0)
    report = tfrecs.evaluate(model, split.test)
    assert report.baselines["popularity"]["NDCG@10"] == pytest.approx(0.0432, abs=5e-4)
    assert report.metrics["NDCG@10"] > 1.5 * report.baselines["popularity"]["NDCG@10"]
