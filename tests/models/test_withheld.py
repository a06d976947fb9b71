"""Every model recommends the withheld item (the idea of implicit's recommender tests)."""

import numpy as np
import pytest

import tfrecs
from tests.public_models import MODELS as PUBLIC
from tfrecs._keras import keras
from tfrecs.data import Interactions, leave_last_out

# How models are built: every public one, and variants of it.
MODELS = {name: entry.withheld for name, entry in PUBLIC.items() if entry.withheld is not None} | {
    "SASRec, cosine": lambda split: tfrecs.models.SASRec(
        split.items, dim=32, num_blocks=1, max_length=12, dropout=0.2, similarity="cosine", seed=1
    ),
    "SASRec, Lorentzian": lambda split: tfrecs.models.SASRec(
        split.items,
        dim=32,
        num_blocks=1,
        max_length=12,
        dropout=0.2,
        similarity="lorentz",
        temperature=1.0,
        seed=1,
    ),
    "SASRec, sampled": lambda split: tfrecs.models.SASRec(
        split.items,
        dim=32,
        num_blocks=1,
        max_length=12,
        dropout=0.2,
        loss=tfrecs.losses.SampledSoftmax(32, seed=1),
        seed=1,
    ),
    "SASRec, buckets": lambda split: tfrecs.models.SASRec(
        split.items,
        dim=32,
        num_blocks=1,
        max_length=12,
        dropout=0.2,
        loss=tfrecs.losses.BucketedSoftmax(64, 64, 32, seed=1),
        seed=1,
    ),
    "SASRec, cross-batch negatives": lambda split: tfrecs.models.SASRec(
        split.items,
        dim=32,
        num_blocks=1,
        max_length=12,
        dropout=0.2,
        loss=tfrecs.losses.SampledSoftmax(
            negatives=tfrecs.negatives.CrossBatch(500, tfrecs.negatives.StreamingFrequency(2000)),
            logq="corrected",
        ),
        seed=1,
    ),
    "TwoTower, users alone": lambda split: tfrecs.models.TwoTower.from_split(
        split, dim=32, pooling=None, seed=1
    ),
    "TwoTower, negatives of the batch": lambda split: tfrecs.models.TwoTower.from_split(
        split,
        users=None,
        dim=32,
        pooling="mean",
        loss=tfrecs.losses.SampledSoftmax(
            negatives=tfrecs.negatives.InBatch(
                frequency=tfrecs.negatives.StreamingFrequency(100), seed=1
            )
        ),
        seed=1,
    ),
    "MatrixFactorization, BPR": lambda split: tfrecs.models.MatrixFactorization.from_split(
        split, dim=32, loss=tfrecs.losses.BPR(16, seed=1), seed=1
    ),
    "MatrixFactorization, whole data": lambda split: tfrecs.models.MatrixFactorization.from_split(
        split,
        dim=32,
        regularization=0.1,
        loss=tfrecs.losses.WholeDataSquaredError(0.05),
        seed=1,
    ),
    "NeuralMF, binary cross-entropy": lambda split: tfrecs.models.NeuralMF.from_split(
        split, dim=16, loss=tfrecs.losses.BinaryCrossEntropy(4, seed=1), seed=1
    ),
}


# One that reads a history and one that knows users: the others take seconds each.
QUICK = {"SASRec", "MatrixFactorization"}


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


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS],
)
def test_the_withheld_item_is_first(name):
    """The rest of the block is seen, hence masked: the withheld item must be the best left."""
    split = blocks()
    keras.utils.set_random_seed(1)
    model = MODELS[name](split)
    batches = model.examples(split.train).batch(32)
    # A constant rate leaves learned similarities at the mercy of their last steps.
    rate = keras.optimizers.schedules.PolynomialDecay(5e-3, 20 * len(batches), 0.0)
    model.compile(keras.optimizers.Adam(rate))
    model.fit(batches, epochs=20, verbose=0)
    report = tfrecs.evaluate(model, split.test, ks=(1,), baselines=True)
    assert report.metrics["HR@1"] > 0.99
    assert report.baselines["random"]["HR@1"] < 0.05


@pytest.mark.slow
def test_the_withheld_item_is_first_among_rows():
    """What a user did is a positive row, as many other items are negative ones."""
    split = blocks()
    pairs = split.train.pairs()
    rng = np.random.default_rng(0)
    # Items of other blocks: none of them is one that is withheld.
    others = (pairs.item_id - 1 + 8 * rng.integers(1, 6, len(pairs))) % 48 + 1
    rows = tfrecs.data.Rows(
        {
            "user_id": np.tile(pairs.user_id, 2),
            "item_id": np.append(pairs.item_id, others).astype(np.int32),
            "liked": np.repeat(np.float32([1, 0]), len(pairs)),
        },
        "liked",
    )
    context = tfrecs.data.Schema({"liked": tfrecs.data.Label()})
    ranker = tfrecs.models.DeepCross(context, split.items, split.users, dim=16, dropout=0.0, seed=1)
    ranker.compile(tfrecs.optimizers.Adam(5e-3))
    ranker.fit(rows.batch(64), epochs=30, verbose=0)
    retriever = tfrecs.models.TwoTower.from_split(split, dim=8, pooling=None, seed=1)
    both = tfrecs.models.RetrieveThenRank(retriever, ranker, num_candidates=48)
    for model in (ranker, both):
        report = tfrecs.evaluate(model, split.test, ks=(1,), baselines=False)
        assert report.metrics["HR@1"] > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_better_than_popularity_on_ml_100k(name):
    """By a factor of 1.5 in NDCG@10 of the test, after a short training."""
    split = leave_last_out(tfrecs.data.load("ml-100k"))
    keras.utils.set_random_seed(1)
    model = MODELS[name](split)
    model.compile(keras.optimizers.Adam(2e-3))
    model.fit(model.examples(split.train).batch(128), epochs=15, verbose=0)
    report = tfrecs.evaluate(model, split.test)
    assert report.baselines["popularity"]["NDCG@10"] == pytest.approx(0.0432, abs=5e-4)
    assert report.metrics["NDCG@10"] > 1.5 * report.baselines["popularity"]["NDCG@10"]
