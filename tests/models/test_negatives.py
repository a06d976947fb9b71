"""Models pass on whose queries a batch has, so that negatives leave out what the users know."""

import numpy as np
import pytest

import tfrecs
from tfrecs._keras import keras, tf
from tfrecs.data import Interactions, leave_last_out
from tfrecs.negatives import InBatch, KnownItems, Negatives, Uniform


class Spy(Uniform):
    """Uniform negatives that remember what they were asked for."""

    def call(self, positives, num_items, user_ids=None, scores=None):
        self.asked = (positives, user_ids)
        return super().call(positives, num_items, user_ids, scores)


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    rows = [(user, int(item)) for user in range(30) for item in rng.permutation(20)[:8]]
    users, items = zip(*rows, strict=True)
    return leave_last_out(Interactions({"user_id": users, "item_id": items}))


def pairs_of(split):
    train = split.train
    users = np.repeat(train.user_ids, train.histories.lengths)
    return set(zip(users.tolist(), train.histories.values.tolist(), strict=True))


def sasrec(split, loss):
    return tfrecs.models.SASRec(split.items, dim=8, num_blocks=1, max_length=5, loss=loss, seed=1)


def two_tower(split, loss):
    return tfrecs.models.TwoTower.from_split(split, dim=8, loss=loss, seed=1)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("make", [sasrec, two_tower])
def test_each_target_comes_with_its_user(make, split, static):
    spy = Spy(3, False, seed=1, known=KnownItems.from_train(split.train))
    model = make(split, tfrecs.losses.BPR(negatives=spy))
    model.static_shapes = static
    log = pairs_of(split)
    for batch in model.examples(split.train).batch(16):
        model.compute_loss(batch, training=True)
        targets, users = (x.numpy() for x in spy.asked)
        valid = np.ones(len(users), bool)
        if static and "target" in batch:
            valid = batch["target"].numpy().ravel() > 0
        assert all(pair in log for pair in zip(users[valid], targets[valid], strict=True))


def test_negatives_of_the_batch_are_its_targets_where_shapes_are_static(split):
    """Rows that are padding give no negatives, least of all the item that stands in for them."""
    spy = Spy(3, seed=1)
    model = sasrec(split, tfrecs.losses.BPR(negatives=spy))
    model.static_shapes = True
    batch = {
        "history": tf.constant([[0, 0, 0, 0, 7], [0, 0, 0, 3, 4]]),
        "target": tf.constant([[0, 0, 0, 0, 9], [0, 0, 0, 4, 5]]),
        "user_id": tf.constant([1, 2]),
    }
    model.compute_loss(batch, training=True)
    ids, counts = np.unique(spy.asked[0], return_counts=True)
    assert ids.tolist() == [4, 5, 9]
    assert counts.min() >= 3


def in_batch_losses():
    """Losses of the batch, each with what may go wrong where positions only fill it up."""
    losses, negatives = tfrecs.losses, tfrecs.negatives

    def counted():
        return InBatch(frequency=negatives.StreamingFrequency(40))

    return {
        "softmax": lambda: losses.SampledSoftmax(negatives=counted()),
        "mixed": lambda: losses.SampledSoftmax(
            negatives=negatives.Mixed([counted(), Uniform(4, seed=1)])
        ),
        "k in the loss": lambda: losses.BinaryCrossEntropy(negatives=counted(), logq=True),
        "k of a mixture": lambda: losses.BinaryCrossEntropy(
            negatives=negatives.Mixed([counted(), Uniform(4, seed=1)]), logq=True
        ),
        "easy ones": lambda: losses.BPR(negatives=negatives.Hardest(3, counted(), num_easy=2)),
        "hard ones": lambda: losses.BinaryCrossEntropy(
            negatives=negatives.Hardest(4, counted()), logq=True
        ),
        "trials": lambda: losses.WARP(negatives=counted()),
    }


@pytest.mark.parametrize("name", in_batch_losses())
def test_static_shapes_have_the_negatives_of_the_batch_once(split, name):
    batch = {
        "history": tf.constant([[0, 0, 0, 0, 7], [0, 0, 0, 3, 4]]),
        "target": tf.constant([[0, 0, 0, 0, 9], [0, 0, 0, 4, 5]]),
    }
    model = sasrec(split, in_batch_losses()[name]())
    start = model.get_weights()
    found = []
    for static in (False, True):
        model.set_weights(start)
        model.static_shapes = static
        # The second time, the frequencies have learned from the first.
        found.append([float(model.compute_loss(batch, training=True)) for _ in range(2)])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


@pytest.mark.parametrize("name", in_batch_losses())
def test_a_batch_without_targets_has_no_loss(split, name):
    batch = {"history": tf.constant([[0, 0, 3]]), "target": tf.zeros([1, 3], tf.int32)}
    model = sasrec(split, in_batch_losses()[name]())
    for static in (False, True):
        model.static_shapes = static
        assert float(model.compute_loss(batch, training=True)) == 0


def test_batches_without_users_still_train(split):
    model = sasrec(split, tfrecs.losses.BPR(seed=1))
    batch = {"history": tf.constant([[0, 1, 2]]), "target": tf.constant([[0, 2, 3]])}
    assert float(model.compute_loss(batch)) > 0
    known = KnownItems.from_train(split.train)
    model = sasrec(split, tfrecs.losses.BPR(negatives=Uniform(1, known=known)))
    with pytest.raises(ValueError, match='the batches must have "user_id"'):
        model.compute_loss(batch)


def samplers(split):
    """A sampler of each kind, and the callback it needs."""
    negatives, known = tfrecs.negatives, KnownItems.from_train(split.train, len(split.users))
    counts = split.train.item_counts[1:-1]
    mined = negatives.Mined(4, len(split.users), len(split.items), num_mined=5, seed=1, known=known)
    return {
        "Uniform": (negatives.Uniform(4, False, 1, known), []),
        "Popularity": (negatives.Popularity(4, counts, shared=True, seed=1, known=known), []),
        "SameValue": (
            negatives.SameValue(4, np.arange(len(split.items)) // 5 + 1, 1, known),
            [],
        ),
        "Mixed": (
            negatives.Mixed(
                [negatives.Uniform(2, seed=1), negatives.Popularity(2, counts, seed=1)]
            ),
            [],
        ),
        "InBatch": (negatives.InBatch(4, negatives.ItemFrequency(counts), 1, known), []),
        "Hardest": (negatives.Hardest(2, negatives.Uniform(8, seed=1, known=known), 1), []),
        "Mined": (mined, [negatives.HardNegativeMining(mined, split.train)]),
    }


@pytest.mark.parametrize(
    ("make", "name"),
    [
        # Quick: mixed ones draw by the first two, and tests/distribution trains with the third.
        pytest.param(sasrec, "Uniform", marks=pytest.mark.slow),
        pytest.param(two_tower, "Popularity", marks=pytest.mark.slow),
        pytest.param(sasrec, "InBatch", marks=pytest.mark.slow),
        pytest.param(sasrec, "Hardest", marks=pytest.mark.slow),
        (sasrec, "Mined"),
        (two_tower, "SameValue"),
        (two_tower, "Mixed"),
    ],
)
def test_models_train_with_every_sampler(make, name, split):
    sampler, callbacks = samplers(split)[name]
    assert isinstance(sampler, Negatives | tfrecs.negatives.Mixed | tfrecs.negatives.Hardest)
    loss = tfrecs.losses.SampledSoftmax(negatives=sampler)
    model = make(split, loss)
    model.compile(keras.optimizers.Adam(0.03))
    history = model.fit(
        model.examples(split.train).batch(16), epochs=4, verbose=0, callbacks=callbacks
    ).history["loss"]
    assert np.isfinite(history).all()
    if name == "Mined":
        table = sampler._items.numpy()
        log = pairs_of(split)
        assert (table[1:] > 0).all()
        assert not any((user, item) in log for user, row in enumerate(table) for item in row)
    else:
        assert history[-1] < history[0]


def test_negatives_of_the_batch_leave_out_what_users_know(split):
    """With all other candidates known there is no loss."""
    users, items = tf.constant([1, 1]), tf.constant([3, 4])
    known = KnownItems.from_interactions(users.numpy(), items.numpy(), 2, 9)
    loss = tfrecs.losses.SampledSoftmax(negatives=InBatch(known=known))
    table = tf.random.stateless_normal([9, 4], [1, 2])

    def scores(user_ids=None):
        return tfrecs.losses.DotProductScores(
            table[:2], 9, lambda ids: tf.gather(table, ids - 1), lambda: table, user_ids
        )

    assert float(loss(items, scores(users))) == 0
    assert float(loss(items, scores(tf.constant([2, 2])))) > 0
    with pytest.raises(ValueError, match="only where the users are known"):
        loss(items, scores())
    again = tfrecs.losses.SampledSoftmax.from_config(loss.get_config())
    assert again.negatives.known.num_known == 2
    in_batch = InBatch(known=KnownItems.from_train(split.train))
    model = two_tower(split, tfrecs.losses.SampledSoftmax(negatives=in_batch))
    batch = next(iter(model.examples(split.train).batch(16)))
    assert float(model.compute_loss(batch)) > 0
