"""Dislikes in training: their loss, its weight, and what models do with them."""

import numpy as np
import pytest

import tfrecs
from tests.distribution.public_models import frame
from tfrecs._keras import keras, tf
from tfrecs.cli import main
from tfrecs.data import Interactions, click_through, leave_last_out
from tfrecs.losses import DotProductScores, NotToRecommend, SampledSoftmax
from tfrecs.training import Run

HISTORY = np.array([[0, 0, 4, 7, 2], [1, 2, 3, 4, 5], [0, 3, 1, 8, 6]], np.int32)
FOLLOWING = np.array([[0, 0, 7, 2, 1], [2, 3, 4, 5, 6], [0, 1, 8, 6, 7]], np.int32)
BAD = np.array([[0, 0, 0, 1, 0], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0]], bool)
BATCH = {
    "user_id": np.array([1, 2, 3], np.int32),
    "history": HISTORY,
    "target": np.where(BAD, 0, FOLLOWING),
    "disliked": np.where(BAD, FOLLOWING, 0),
}


def sasrec(**kwargs):
    return tfrecs.models.SASRec(9, dim=8, num_blocks=1, max_length=5, dropout=0.0, seed=1, **kwargs)


def exact(model, ids, states):
    """-log(1 - p) by NumPy, over the whole catalogue."""
    scores = states @ model.item_vectors().numpy().T
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return -np.log1p(-p[np.arange(len(ids)), ids - 1])


def test_the_loss_estimates_the_softmax():
    rng = np.random.default_rng(0)
    items = rng.normal(size=(50, 4)).astype(np.float32)
    queries = rng.normal(size=(30, 4)).astype(np.float32)
    targets = rng.integers(1, 51, 30)
    scores = queries @ items.T
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    want = -np.log1p(-p[np.arange(30), targets - 1]).mean()
    table = tf.constant(items)
    products = DotProductScores(
        tf.constant(queries), 50, lambda ids: tf.gather(table, ids - 1), lambda: table
    )
    got = NotToRecommend(20_000, seed=1)(tf.constant(targets, tf.int32), products)
    assert float(got) == pytest.approx(want, rel=0.02)


def test_a_model_has_the_mean_of_both_losses():
    """The mean over targets, of weight 1, and disliked items, of the model's weight."""
    plain, weighted = sasrec(), sasrec(dislike_weight=0.5)
    weighted.dislike_loss.negatives.num_negatives = 20_000
    states = plain.states(tf.constant(HISTORY)).numpy()[BAD]
    of_disliked = exact(plain, FOLLOWING[BAD], states).sum()
    batch = {name: tf.constant(column) for name, column in BATCH.items()}
    targets = np.count_nonzero(BATCH["target"])
    total = float(plain.compute_loss(batch)) * targets + 0.5 * of_disliked
    want = total / (targets + 0.5 * BAD.sum())
    assert float(weighted.compute_loss(batch)) == pytest.approx(want, rel=1e-3)
    assert float(weighted.target_count(batch)) == targets + 0.5 * BAD.sum()


def test_weights_of_rows_weigh_dislikes_too():
    model = sasrec(dislike_weight=1.0)
    model.dislike_loss.negatives.num_negatives = 20_000
    weights = np.where(BAD, 3.0, 2.0) * (FOLLOWING > 0)
    batch = {name: tf.constant(column) for name, column in BATCH.items()}
    batch["sample_weight"] = tf.constant(weights, tf.float32)
    states = model.states(tf.constant(HISTORY)).numpy()[BAD]
    without = {name: column for name, column in batch.items() if name != "disliked"}
    count = weights[BATCH["target"] > 0].sum()
    assert float(model.target_count(without)) == count
    of_disliked = 3 * exact(model, FOLLOWING[BAD], states).sum()
    want = (float(model.compute_loss(without)) * count + of_disliked) / (count + 3 * BAD.sum())
    assert float(model.compute_loss(batch)) == pytest.approx(want, rel=1e-3)
    assert float(model.target_count(batch)) == count + 3 * BAD.sum()


def test_no_valid_draw_and_no_target():
    table = tf.ones([1, 2])
    scores = DotProductScores(table, 1, lambda ids: tf.gather(table, ids - 1), lambda: table)
    assert float(NotToRecommend(3, seed=1)(tf.constant([1]), scores)) == 0
    batch = {name: tf.constant(column) for name, column in BATCH.items()}
    batch["target"] = tf.zeros_like(batch["target"])
    negatives = tfrecs.negatives.InBatch(4, tfrecs.negatives.StreamingFrequency(20), seed=1)
    loss = SampledSoftmax(negatives=negatives)
    alone = sasrec(dislike_weight=0.5, loss=loss).compute_loss(batch, training=True)
    assert 0 < float(alone) < 10
    assert float(sasrec(loss=loss).compute_loss(batch, training=True)) == 0


def test_a_grown_model_stays_without_dislikes():
    plain = leave_last_out(Interactions(frame()))
    log = Interactions(frame(), dislike="rating <= 2").continuing(plain.users, plain.items)
    arguments = {"dim": 8, "num_blocks": 1, "max_length": 6}
    model = tfrecs.models.SASRec.from_split(plain, **arguments)
    assert model.grown(leave_last_out(log)).dislike_loss is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec", "Caser", "BERT4Rec"])
def test_training_lowers_the_scores_of_disliked_items(name):
    """An item that all dislike stays among the likely ones only where dislikes are not learned."""
    log = Interactions(frame(), dislike="rating <= 2")
    split = leave_last_out(log)
    train = split.train
    disliked = np.flatnonzero(train.disliked & (np.arange(len(train.disliked)) > 0))
    # The history before each dislike, and whose it is.
    start = train.histories.offsets[train.histories.rows[disliked]]
    before = train.histories.cut(start, disliked)
    inputs = {
        "history": before.padded(np.arange(len(before)), 6),
        "user_id": train.user_ids[train.histories.rows[disliked]],
    }
    means = []
    for weight in (0.0, 4.0):
        arguments = {"dim": 8, "max_length": 6, "dropout": 0.0, "seed": 1}
        if name == "Caser":
            arguments["window"] = 3
        model = getattr(tfrecs.models, name).from_split(split, dislike_weight=weight, **arguments)
        model.compile(tfrecs.optimizers.Adam(0.01))
        model.fit(model.examples(train).batch(8, seed=1), epochs=15, verbose=0)
        p = tf.nn.softmax(model.score(inputs)).numpy()
        means.append(p[np.arange(len(p)), train.histories.values[disliked] - 1].mean())
    assert means[1] < 0.7 * means[0]


def test_static_shapes_give_the_same_loss():
    losses = []
    for static in (False, True):
        model = sasrec(dislike_weight=1.0)
        model.dislike_loss.negatives.num_negatives = 5_000
        if static:
            model.compile(tfrecs.optimizers.Adam(), jit_compile=True)
        batch = {name: tf.constant(column) for name, column in BATCH.items()}
        losses.append(float(model.compute_loss(batch)))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_bert4rec_masks_disliked_items_too():
    batch = {name: tf.constant(column) for name, column in BATCH.items()}
    plain = tfrecs.models.BERT4Rec(9, dim=8, num_blocks=1, max_length=5, seed=1)
    for training in (False, True):
        columns = plain.masked(batch, training=training)
        masks = columns["history"].numpy() == plain.mask_id
        np.testing.assert_array_equal(masks, columns["target"].numpy() > 0)
    model = tfrecs.models.BERT4Rec(9, dim=8, num_blocks=1, max_length=5, seed=1, dislike_weight=1.0)
    masked = model.masked(batch, training=False)
    last = masked["history"].numpy()[:, -1]
    assert (last == model.mask_id).all()
    assert masked["target"].numpy()[:, -1].tolist() == [1, 0, 7]
    assert masked["disliked"].numpy()[:, -1].tolist() == [0, 6, 0]
    drawn = [model.masked(batch, training=True) for _ in range(30)]
    for columns in drawn:
        either = (columns["target"] + columns["disliked"]).numpy() > 0
        np.testing.assert_array_equal(either, columns["history"].numpy() == model.mask_id)
        assert not (columns["target"] * columns["disliked"]).numpy().any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SASRec", "BERT4Rec"])
def test_replicas_learn_from_dislikes_as_one(name, two_devices):
    results = []
    arguments = {"mask_probability": 0.0, "prefixes": 0.0} if name == "BERT4Rec" else {}
    for strategy in (tf.distribute.OneDeviceStrategy("cpu:0"), two_devices):
        with strategy.scope():
            model = getattr(tfrecs.models, name)(
                9,
                dim=8,
                num_blocks=1,
                max_length=5,
                dropout=0.0,
                dislike_weight=1.0,
                seed=1,
                **arguments,
            )
            model.compile(keras.optimizers.SGD(0.1))
        data = tf.data.Dataset.from_tensor_slices(BATCH).batch(3).repeat(3)
        history = model.fit(data, verbose=0).history
        results.append([np.array(history["loss"]), *model.get_weights()])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)


def test_models_get_the_weight_from_the_split():
    disliked = leave_last_out(Interactions(frame(), dislike="rating <= 2"))
    plain = leave_last_out(Interactions(frame()))
    arguments = {"dim": 8, "num_blocks": 1, "max_length": 6}
    assert tfrecs.models.SASRec.from_split(disliked, **arguments).dislike_weight == 1.0
    assert tfrecs.models.SASRec.from_split(plain, **arguments).dislike_loss is None
    silent = tfrecs.models.SASRec.from_split(disliked, dislike_weight=0, **arguments)
    assert silent.dislike_loss is None
    with pytest.raises(ValueError, match="dislike_weight must not be negative"):
        tfrecs.models.SASRec(9, dim=8, dislike_weight=-1.0)


def test_it_is_no_loss_of_targets():
    with pytest.raises(TypeError, match="NotToRecommend trains scores to be low"):
        sasrec(loss=NotToRecommend())
    with pytest.raises(ValueError, match="there is no loss 'not_to_recommend'"):
        sasrec(loss="not_to_recommend")
    assert isinstance(sasrec(loss=SampledSoftmax()).loss_function, SampledSoftmax)


def test_other_models_leave_dislikes_out():
    split = leave_last_out(Interactions(frame(), dislike="rating <= 2"))
    model = tfrecs.models.MatrixFactorization.from_split(split, dim=4)
    rows = sum(len(b["item_id"]) for b in model.examples(split.train).batch(5).take(20))
    assert len(model.examples(split.train)) == (~split.train.disliked).sum()
    assert rows >= len(model.examples(split.train))


@pytest.mark.slow
def test_the_command_line(tmp_path):
    frame().to_csv(tmp_path / "rated.csv", index=False)
    run, exports = str(tmp_path / "run"), str(tmp_path / "exports")
    flags = ["--model.dim", "8", "--model.max_length", "6", "--epochs", "1", "--batch_size", "8"]
    told = ["--data", str(tmp_path / "rated.csv"), "--data_args.dislike", "rating <= 2"]
    assert main(["train", *told, *flags, "--output", run]) == 0
    saved = Run(run)
    assert saved.load_model().dislike_weight == 1.0
    assert saved.metrics["finished"]
    assert "no disliked targets" in saved.load_split().protocol
    assert main(["evaluate", run]) == 0
    assert main(["export", run, "--output", exports]) == 0
    assert main(["verify", exports]) == 0


def test_rows_with_labels_have_no_dislikes():
    with pytest.raises(ValueError, match="leave dislike out"):
        click_through(Interactions(frame(), dislike="rating <= 2"))
