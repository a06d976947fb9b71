"""MLP and NeuralMF: what they compute, learn and refuse."""

import numpy as np
import pytest

import tfrecs
from tests.models.factor_checks import BATCH, logistic, set_tables
from tfrecs._keras import keras, tf
from tfrecs.models import MLP, GeneralizedMF, NeuralMF

EVERYBODY = {"user_id": tf.range(1, 5)}


def set_network(model, rng):
    """Random weights of the hidden layers and the output."""
    for weight in [*model.hidden.weights, model.output_weights, model.bias]:
        weight.assign(rng.normal(size=weight.shape))


def perceptron(model, users, items):
    """Scores [users, items] of the network on each concatenation, pair by pair, in numpy."""
    hidden = model.hidden
    kernel = np.concatenate([hidden.of_user.kernel, hidden.of_item.kernel])
    layers = [(kernel, hidden.of_user.bias.numpy())]
    layers += [(layer.kernel.numpy(), layer.bias.numpy()) for layer in hidden.further]
    scores = np.zeros((len(users), len(items)))
    for u, user in enumerate(users):
        for i, item in enumerate(items):
            x = np.concatenate([user, item])
            for weights, bias in layers:
                x = np.maximum(x @ weights + bias, 0)
            scores[u, i] = x @ model.output_weights.numpy()
    return scores


@pytest.fixture
def mlp():
    model = MLP(items=5, users=4, dim=3, hidden_units=[6, 2])
    rng = np.random.default_rng(1)
    tables = set_tables(model, rng)
    set_network(model, rng)
    return model, tables


@pytest.fixture
def neural_mf():
    model = NeuralMF(items=5, users=4, dim=3, mlp_dim=2, hidden_units=[6, 3])
    rng = np.random.default_rng(2)
    tables = set_tables(model, rng)
    set_network(model, rng)
    model.factor_weights.assign([1.0, -2.0, 0.5])
    return model, tables


def test_mlp_is_a_perceptron_over_the_concatenation(mlp):
    model, (users, items) = mlp
    want = perceptron(model, users, items) + float(model.bias)
    assert np.count_nonzero(want - float(model.bias)) > 10  # ReLU leaves something to compare.
    np.testing.assert_allclose(model.score(EVERYBODY), want, rtol=1e-4, atol=1e-5)


def test_neural_mf_adds_the_product(neural_mf):
    model, (users, items) = neural_mf
    want = np.einsum("ud,d,id->ui", users[:, :3], [1, -2, 0.5], items[:, :3])
    want += perceptron(model, users[:, 3:], items[:, 3:]) + float(model.bias)
    np.testing.assert_allclose(model.score(EVERYBODY), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "neural_mf"])
def test_every_way_to_ask_for_scores_gives_the_same(name, request):
    model, _ = request.getfixturevalue(name)
    assert not model.is_product
    scores = model.score(EVERYBODY).numpy()
    ids = np.array([[5, 1], [3, 3], [2, 4], [1, 5]])
    want = np.take_along_axis(scores, ids - 1, axis=1)
    np.testing.assert_allclose(model.score(EVERYBODY, tf.constant(ids)), want, rtol=1e-5)
    users = model.user_rows(EVERYBODY)
    asked = model.scores_of(EVERYBODY["user_id"], users, model.item_embedding.rows)
    np.testing.assert_allclose(asked.sampled(tf.constant(ids)), want, rtol=1e-5)
    np.testing.assert_allclose(asked.of(tf.constant(ids[:, 0])), want[:, 0], rtol=1e-5)
    shared = asked.sampled(tf.constant([4, 2]))
    np.testing.assert_allclose(shared, scores[:, [3, 1]], rtol=1e-5)
    np.testing.assert_array_equal(asked.user_ids, EVERYBODY["user_id"])


@pytest.mark.parametrize("cls", [MLP, NeuralMF])
@pytest.mark.parametrize("num_items", [1, 511, 512, 513])
def test_all_items_are_scored_by_blocks(cls, num_items):
    model = cls(num_items, 3, dim=4, seed=1)
    everything = tf.tile(tf.range(1, num_items + 1)[tf.newaxis], [2, 1])
    users = {"user_id": tf.constant([3, 1])}
    got = model.score(users)
    assert got.shape == (2, num_items)
    np.testing.assert_allclose(got, model.score(users, everything), rtol=1e-4, atol=1e-6)


def test_binary_cross_entropy_by_hand(mlp):
    model, (users, items) = mlp
    model.loss_function = tfrecs.losses.BinaryCrossEntropy(2, seed=5)
    drawn = tfrecs.negatives.Uniform(2, shared=False, seed=5)(BATCH["item_id"], 5).ids.numpy()
    scores = perceptron(model, users, items) + float(model.bias)
    want = 0.0
    for user, item, negatives in zip(*(x.numpy() for x in BATCH.values()), drawn, strict=True):
        want -= np.log(logistic(scores[user - 1, item - 1]))
        want -= sum(np.log(logistic(-scores[user - 1, j - 1])) for j in negatives if j != item)
    np.testing.assert_allclose(model.compute_loss(BATCH, training=True), want / 3, rtol=1e-4)
    # The rows behind each of the three scores are regularised, in training alone.
    model.regularization = 0.2
    who, what = BATCH["user_id"].numpy() - 1, BATCH["item_id"].numpy() - 1
    parts = [(3, users[who]), (1, items[what]), (2, items[drawn - 1])]
    squares = 0.1 * sum(weight * (rows**2).sum(axis=-1).mean() for weight, rows in parts)
    model.loss_function = tfrecs.losses.BinaryCrossEntropy(2, seed=5)
    got = model.compute_loss(BATCH, training=True)
    np.testing.assert_allclose(got, want / 3 + squares, rtol=1e-4)
    model.loss_function = tfrecs.losses.BinaryCrossEntropy(2, seed=5)
    np.testing.assert_allclose(model.compute_loss(BATCH), want / 3, rtol=1e-4)


def test_losses_that_need_item_vectors_say_so(mlp):
    model, _ = mlp
    model.loss_function = tfrecs.losses.FullSoftmax()
    with pytest.raises(TypeError, match="FullSoftmax needs the vectors of all items.*PairScores"):
        model.compute_loss(BATCH)


@pytest.mark.parametrize("alpha", [0.5, 0.2])
def test_pretrained_begins_as_the_mean_of_the_two(mlp, alpha):
    deep, _ = mlp
    gmf = GeneralizedMF(items=5, users=4, dim=2)
    set_tables(gmf, np.random.default_rng(4))
    gmf.global_weight.assign(-4.0)
    model = NeuralMF.from_pretrained(gmf, deep, alpha, loss=tfrecs.losses.BPR(seed=1), seed=3)
    want = alpha * gmf.score(EVERYBODY) + (1 - alpha) * deep.score(EVERYBODY)
    np.testing.assert_allclose(model.score(EVERYBODY), want, rtol=1e-4, atol=1e-5)
    assert (model.dim, model.mlp_dim, model.hidden_units) == (2, 3, [6, 2])
    assert isinstance(model.loss_function, tfrecs.losses.BPR)
    again = keras.utils.deserialize_keras_object(keras.utils.serialize_keras_object(model))
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.score(EVERYBODY), want, rtol=1e-4, atol=1e-5)


def test_pretrained_models_must_fit_together(mlp):
    deep, _ = mlp
    for arguments, message in (
        ({"items": 6, "users": 4}, "differ in their items"),
        ({"items": 5, "users": 3}, "differ in their users"),
    ):
        with pytest.raises(ValueError, match=message):
            NeuralMF.from_pretrained(GeneralizedMF(**arguments, dim=2), deep)
    with pytest.raises(ValueError, match="alpha must be in"):
        NeuralMF.from_pretrained(GeneralizedMF(5, 4, dim=2), deep, alpha=1.5)


def test_widths_follow_the_vectors():
    assert [w.shape[-1] for w in MLP(5, 4, dim=8).hidden.weights if w.shape.rank == 1] == [8, 4, 2]
    model = NeuralMF(5, 4, dim=2, mlp_dim=1)
    assert model.user_embedding.table.shape == (4, 3)
    assert model.output_weights.shape == (1,)


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (MLP, {"dim": 0}, "vectors of 0"),
        (MLP, {"hidden_units": []}, "at least one hidden layer"),
        (NeuralMF, {"hidden_units": [4, 0]}, r"hidden_units \[4, 0\]"),
        (NeuralMF, {"dim": 0, "mlp_dim": 2}, "dim must be at least 1"),
        (NeuralMF, {"mlp_dim": 0}, "vectors of 0"),
        (MLP, {"users": 0}, "at least one user"),
    ],
)
def test_wrong_arguments(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(**{"items": 5, "users": 4, **arguments})
