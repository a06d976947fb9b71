"""MatrixFactorization and GeneralizedMF: what they compute, learn and refuse."""

import numpy as np
import pytest

import tfrecs
from tests.models.factor_checks import BATCH, logistic, set_tables
from tfrecs._keras import tf
from tfrecs.models import GeneralizedMF, MatrixFactorization

RNG = np.random.default_rng(3)


def test_score_is_the_product_and_three_biases():
    model = MatrixFactorization(items=5, users=4, dim=3)
    users, items = set_tables(model, RNG)
    model.global_weight.assign(16.0)  # The bias is an eighth of it.
    want = users[:, :2] @ items[:, :2].T + users[:, 2:] + items[:, 2] + 2
    got = model.score({"user_id": tf.range(1, 5)})
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    some = model.score({"user_id": tf.constant([4, 2])}, tf.constant([[5, 1], [3, 3]]))
    np.testing.assert_allclose(some, [want[3, [4, 0]], want[1, [2, 2]]], rtol=1e-5, atol=1e-6)


def test_an_unknown_user_gets_the_items_biases():
    model = MatrixFactorization(items=5, users=4, dim=3)
    _, items = set_tables(model, RNG)
    got = model.score({"user_id": tf.constant([5, 0])})
    np.testing.assert_allclose(got, [items[:, 2]] * 2, rtol=1e-6)


def test_gmf_weighs_the_product_of_the_vectors():
    model = GeneralizedMF(items=5, users=4, dim=3)
    users, items = set_tables(model, RNG)
    np.testing.assert_allclose(
        model.score({"user_id": tf.range(1, 5)}), users @ items.T, rtol=1e-5, atol=1e-6
    )
    weights = np.float32([2, -1, 0.5])
    model.factor_weights.assign(weights)
    model.global_weight.assign(2.0)
    want = np.einsum("ud,d,id->ui", users, weights, items) + 0.25
    got = model.score({"user_id": tf.range(1, 5)})
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cls", [MatrixFactorization, GeneralizedMF])
def test_products_are_what_retrieval_needs(cls):
    model = cls(items=5, users=4, dim=3, seed=1)
    features = {"user_id": tf.constant([1, 4])}
    want = model.query_vectors(features).numpy() @ model.item_vectors().numpy().T
    assert model.is_product
    assert model.max_history is None
    np.testing.assert_allclose(model(features), want, rtol=1e-6)
    some = model.item_vectors(tf.constant([5, 2]))
    np.testing.assert_array_equal(some, model.item_vectors().numpy()[[4, 1]])


def test_a_step_of_sgd_by_hand():
    """Binary cross-entropy against shared negatives, all rows of the step regularised."""
    rate, decay, weight = 0.5, 0.3, 0.25
    loss = tfrecs.losses.BinaryCrossEntropy(4, shared=True, negative_weight=weight, seed=5)
    drawn = tfrecs.negatives.Uniform(4, seed=5)(BATCH["item_id"], 5).ids.numpy() - 1
    model = MatrixFactorization(items=5, users=4, dim=3, regularization=decay, loss=loss)
    users, items = set_tables(model, RNG)
    who, what = BATCH["user_id"].numpy() - 1, BATCH["item_id"].numpy() - 1
    size = len(who)
    by_user, by_item = np.zeros_like(users), np.zeros_like(items)
    by_all = 0.0
    for user, item in zip(who, what, strict=True):
        pairs = [(item, 1, 1.0), *((j, 0, weight) for j in drawn if j != item)]
        for j, label, scale in pairs:
            score = users[user, :2] @ items[j, :2] + users[user, 2] + items[j, 2]
            slope = scale * (logistic(score) - label) / size
            by_user[user] += slope * np.append(items[j, :2], 1)
            by_item[j] += slope * np.append(users[user, :2], 1)
            by_all += slope
        # Every score, a negative one also if it is the positive item's, has two vectors behind it.
        by_user[user] += decay * (1 + 4 * weight) * users[user] / size
        by_item[item] += decay * items[item] / size
        for j in drawn:
            by_item[j] += decay * weight * items[j] / size

    model.compile(tfrecs.optimizers.SGD(rate))
    model.fit(tf.data.Dataset.from_tensors(BATCH), verbose=0)
    np.testing.assert_allclose(model.user_embedding.table, users - rate * by_user, atol=1e-6)
    np.testing.assert_allclose(model.item_embedding.table, items - rate * by_item, atol=1e-6)
    np.testing.assert_allclose(float(model.global_weight), -rate * by_all / 8, atol=1e-6)


def test_regularization_of_other_losses():
    """The negatives of a pairwise loss weigh as much as the target; a full softmax has none."""
    for loss, weight in ((tfrecs.losses.BPR(2, seed=5), 1), (tfrecs.losses.FullSoftmax(), 0)):
        model = MatrixFactorization(items=5, users=4, dim=3, loss=loss)
        users, items = set_tables(model, RNG)
        without = float(model.compute_loss(BATCH, training=True))
        if weight:
            model.loss_function = tfrecs.losses.BPR(2, seed=5)
            drawn = tfrecs.negatives.Uniform(2, shared=False, seed=5)(BATCH["item_id"], 5)
            negatives = (items[drawn.ids.numpy() - 1] ** 2).sum(-1).mean()
        model.regularization = 0.3
        squares = (1 + weight) * (users[BATCH["user_id"].numpy() - 1] ** 2).sum(-1).mean()
        squares += (items[BATCH["item_id"].numpy() - 1] ** 2).sum(-1).mean()
        squares += weight and negatives
        got = float(model.compute_loss(BATCH, training=True))
        assert got - without == pytest.approx(0.15 * squares, rel=1e-4)


def test_large_factor_weights_do_not_escape_regularization():
    """GMF's weights h and vectors p could trade lengths: what counts is h * p."""
    model = GeneralizedMF(items=5, users=4, dim=3, loss=tfrecs.losses.FullSoftmax())
    users, items = set_tables(model, RNG)
    model.factor_weights.assign([1.0, -2.0, 0.5])
    without = float(model.compute_loss(BATCH, training=True))
    model.regularization = 0.3
    weighted = users[BATCH["user_id"].numpy() - 1] * [1.0, -2.0, 0.5]
    targets = items[BATCH["item_id"].numpy() - 1]
    squares = (weighted**2).sum(-1).mean() + (targets**2).sum(-1).mean()
    got = float(model.compute_loss(BATCH, training=True))
    assert got - without == pytest.approx(0.15 * squares, rel=1e-4)
    model = tfrecs.models.NeuralMF(items=5, users=4, dim=2, mlp_dim=1)
    users, _ = set_tables(model, RNG)
    model.factor_weights.assign([1.0, -2.0])
    rows = model.user_rows({"user_id": tf.constant([1, 2, 3, 4])})
    np.testing.assert_allclose(rows, users * [1.0, -2.0, 1.0], rtol=1e-6)


@pytest.mark.parametrize("cls", [MatrixFactorization, GeneralizedMF])
def test_default_loss_follows_the_catalogue(cls):
    assert isinstance(cls(items=20_000, users=2, dim=2).loss_function, tfrecs.losses.FullSoftmax)
    large = cls(items=20_001, users=2, dim=2, seed=4).loss_function
    assert isinstance(large, tfrecs.losses.SampledSoftmax)
    assert (large.num_negatives, large.seed) == (1024, 4)


def test_seeds_give_the_same_weights_and_tables_that_differ():
    first, again = (MatrixFactorization(5, 5, dim=3, seed=7) for _ in range(2))
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    users, items = first.user_embedding.table.numpy(), first.item_embedding.table.numpy()
    assert np.abs(users - items).min() > 0
    other = MatrixFactorization(5, 5, dim=3, seed=8)
    assert np.abs(other.user_embedding.table.numpy() - users).min() > 0
    wide = MatrixFactorization(2000, 5, dim=8, stddev=0.3, seed=1).item_embedding.table.numpy()
    assert wide.std() == pytest.approx(0.3, rel=0.03)


def test_grown_keeps_what_was_learned():
    log = tfrecs.data.Interactions({"user_id": [1, 1, 1, 2, 2, 2], "item_id": [1, 2, 3, 1, 3, 2]})
    split = tfrecs.data.leave_last_out(log)
    model = MatrixFactorization.from_split(split, dim=4, seed=1)
    more = {"user_id": [1, 1, 1, 2, 2, 2, 9, 9, 9], "item_id": [1, 2, 3, 1, 3, 2, 1, 7, 3]}
    larger = tfrecs.data.Interactions(more).continuing(split.users, split.items)
    grown = model.grown(tfrecs.data.leave_last_out(larger))
    assert (grown.num_users, grown.num_items) == (3, 4)
    features = {"user_id": tf.constant([1, 2])}
    np.testing.assert_allclose(grown.score(features)[:, :3], model.score(features), rtol=1e-6)


@pytest.mark.parametrize("cls", [MatrixFactorization, GeneralizedMF])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0}, "dim"),
        ({"users": 0}, "at least one user"),
        ({"items": 0}, "at least one item"),
        ({"stddev": 0}, "stddev must be positive"),
        ({"regularization": -1}, "regularization not negative"),
    ],
)
def test_wrong_arguments(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(**{"items": 5, "users": 4, **arguments})


def test_a_bias_needs_a_factor_beside_it():
    with pytest.raises(ValueError, match="dim must be at least 2"):
        MatrixFactorization(5, 4, dim=1)
