"""Models that take up new users and items."""

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs._keras import tf
from tfrecs.data import Interactions, Numeric, click_through, leave_last_out
from tfrecs.models import DeepCross, MatrixFactorization, SASRec, TwoTower


def log(users, items, seed):
    """Users of even ids like cheap items, the others dear ones; ids have no other meaning."""
    rng = np.random.default_rng(seed)
    price = {item: item * 7 % 20 for item in items}
    rows = []
    for user in users:
        liked = [item for item in items if (price[item] < 10) == (user % 2 == 0)]
        rows += [(user, item) for item in rng.permutation(liked)[:8].tolist()]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    everybody, everything = range(120), range(60)
    return Interactions(
        frame,
        user_features=pd.DataFrame(
            {"user_id": everybody, "kind": [f"k{user % 2}" for user in everybody]}
        ),
        item_features=pd.DataFrame(
            {"item_id": everything, "price": [float(item * 7 % 20) for item in everything]}
        ),
    )


def fitted(model, split, epochs, rate=0.01, batch=32):
    model.compile(tfrecs.optimizers.Adam(rate))
    model.fit(model.examples(split.train).batch(batch), epochs=epochs, verbose=0)
    return model


def test_what_cannot_be_grown_or_made_says_so():
    whole = log(range(20), range(10), 0)
    split = leave_last_out(whole)
    model = MatrixFactorization(len(split.items), len(split.users), dim=4)
    with pytest.raises(ValueError, match="made from a number of items"):
        model.grown(split)
    for cls in (MatrixFactorization, TwoTower, SASRec):
        for wrong in (whole, None):
            with pytest.raises(TypeError, match=f"{cls.__name__} is made from a split"):
                cls.from_split(split, dim=4).grown(wrong)
    for wrong in (whole, split.train, None):
        with pytest.raises(TypeError, match="is made from a split, tfrecs.data.leave_last_out"):
            MatrixFactorization.from_split(wrong)
    with pytest.raises(TypeError, match=r"tfrecs.data.click_through.* Split, which has no context"):
        DeepCross.from_split(split)


def test_what_a_model_leaves_out_stays_out():
    before = leave_last_out(log(range(20), range(10), 0))
    after = leave_last_out(log(range(30), range(15), 1).continuing(before.users, before.items))
    model = TwoTower.from_split(before, users=None, user_features=None, dim=4, seed=1)
    grown = model.grown(after)
    assert grown.users is None
    assert grown.num_items == 15
    np.testing.assert_allclose(
        grown.item_vectors()[:10], model.item_vectors(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
def test_known_items_keep_their_vectors_and_new_ones_have_those_of_their_features():
    before = leave_last_out(log(range(80), range(40), 0))
    model = TwoTower.from_split(before, dim=8, pooling="mean", id_dropout=0.5, seed=1)
    fitted(model, before, 30)
    new_log = log(range(100), range(60), 1).continuing(before.users, before.items)
    after = leave_last_out(new_log)
    assert after.items.ids[:40].tolist() == before.items.ids.tolist()
    grown = model.grown(after)
    vectors = grown.item_vectors().numpy()
    np.testing.assert_allclose(vectors[:40], model.item_vectors(), rtol=1e-5, atol=1e-6)
    # Nobody has met items 41 to 60 yet: their features alone tell who likes them.
    everybody = {
        "user_id": tf.range(1, 81),
        "history": tf.constant(after.test.history.padded(range(80), 50)),
    }
    scores = grown.score(everybody).numpy()[:, 40:]
    cheap = after.items.ids[40:] * 7 % 20 < 10
    even = before.users.ids % 2 == 0
    assert scores[even][:, cheap].mean() > scores[even][:, ~cheap].mean() + 1
    assert scores[~even][:, ~cheap].mean() > scores[~even][:, cheap].mean() + 1


@pytest.mark.slow
def test_sasrec_keeps_its_vectors():
    before = leave_last_out(log(range(40), range(40), 0))
    model = fitted(SASRec.from_split(before, dim=8, num_blocks=1, seed=1), before, 1)
    after = leave_last_out(log(range(40), range(60), 1).continuing(before.users, before.items))
    grown = model.grown(after)
    assert grown.num_items == len(after.items) > 40
    np.testing.assert_array_equal(grown.item_vectors()[:40], model.item_vectors())
    history = {"history": tf.constant([[3, 9, 4]])}
    np.testing.assert_allclose(
        grown.query_vectors(history), model.query_vectors(history), rtol=1e-5, atol=1e-6
    )
    fitted(grown, after, 1)


def test_a_quantised_model_keeps_its_vectors():
    before = leave_last_out(log(range(40), range(40), 0))
    model = SASRec.from_split(before, dim=8, num_blocks=1, code_length=4, num_centroids=8, seed=1)
    after = leave_last_out(log(range(40), range(60), 1).continuing(before.users, before.items))
    grown = model.grown(after)
    np.testing.assert_array_equal(grown.item_vectors()[:40], model.item_vectors())
    assert len(np.unique(grown.embedding.codes()[40:], axis=0)) > 5


def test_a_split_of_other_numbers_is_refused():
    before = leave_last_out(log(range(40), range(10, 40), 0))
    model = SASRec.from_split(before, dim=8, seed=1)
    with pytest.raises(ValueError, match="items of the split do not begin with those of the model"):
        model.grown(leave_last_out(log(range(40), range(40), 1)))


def test_features_may_not_be_missing():
    before = leave_last_out(log(range(40), range(40), 0))
    model = TwoTower.from_split(before, dim=8, seed=1)
    bare = Interactions(log(range(40), range(40), 1).frame, timestamp=None)
    with pytest.raises(ValueError, match="features of users, and the new log has none"):
        model.grown(leave_last_out(bare.continuing(before.users, before.items)))


def test_rows_must_be_encoded_as_the_model_knows_them():
    def rated(items, seed):
        made = log(range(40), items, seed)
        made.frame["rating"] = np.where(np.arange(len(made)) % 3, 5.0, 1.0)
        return made

    before = click_through(rated(range(40), 0))
    model = DeepCross.from_split(before, dim=4, deep_units=[4], seed=1)
    new = rated(range(60), 1).continuing(before.users, before.items)
    schemas = {
        "user_schema": model.lookups["user_id"].schema,
        "item_schema": model.lookups["item_id"].schema,
    }
    grown = model.grown(click_through(new, **schemas))
    known = {"user_id": tf.constant([1, 2]), "item_id": tf.constant([3, 9])}
    np.testing.assert_allclose(grown.logits(known), model.logits(known), rtol=1e-5, atol=1e-6)
    other = before.item_features.schema.with_columns(price=Numeric("squashing"))
    with pytest.raises(ValueError, match=r"item features .* pass item_schema=model\.lookups"):
        model.grown(click_through(new, **{**schemas, "item_schema": other}))


@pytest.mark.slow
def test_a_grown_model_beats_the_old_one_at_a_tenth_of_the_cost():
    """ML-100K: the last tenth of the interactions comes later, with users and items of its own."""
    whole = tfrecs.data.load("ml-100k")
    rows = np.arange(len(whole))
    cut = len(whole) * 9 // 10
    before = leave_last_out(whole.take(rows < cut))
    model = TwoTower.from_split(before, pooling="mean", seed=1)
    fitted(model, before, 8, 3e-3, 1024)
    new = whole.take(rows >= cut).continuing(before.users, before.items)
    after = leave_last_out(new)
    fresh = model.grown(after)
    unchanged = tfrecs.evaluate(fresh, after.test, ks=(10,), baselines=False)
    grown = model.grown(after)
    fitted(grown, after, 6, 3e-3, 1024)
    report = tfrecs.evaluate(grown, after.test, ks=(10,), baselines=False)
    assert report.metrics["NDCG@10"] > 1.05 * unchanged.metrics["NDCG@10"]
    # Pairs trained on: seconds would count the compiling of a step too.
    assert 6 * len(after.train.pairs()) < 8 * len(leave_last_out(whole).train.pairs()) / 10
