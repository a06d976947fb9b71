"""What samplers have in common: seeds, checkpoints, replicas, configs and errors."""

import json

import numpy as np
import pandas as pd
import pytest

from tfrecs._keras import keras, tf
from tfrecs.data import FeatureTable, Vocabulary
from tfrecs.negatives import (
    Hardest,
    InBatch,
    ItemFrequency,
    KnownItems,
    Mined,
    Mixed,
    Popularity,
    SameValue,
    Uniform,
)

N = 9
COUNTS = [9, 8, 7, 6, 5, 4, 3, 2, 0]
KNOWN = ([1, 1, 1, 2, 2, 3], [1, 2, 5, 5, 9, 4])
POSITIVES, USERS = tf.constant([1, 5, 4, 9]), tf.constant([1, 2, 3, 4])


def known():
    return KnownItems.from_interactions(*KNOWN, num_users=4, num_items=N)


def mined(seed=1):
    sampler = Mined(4, 4, N, num_mined=3, seed=seed, known=known())
    sampler.assign([1, 2], [[7, 8, 0], [1, 2, 3]])
    return sampler


SAMPLERS = {
    "Uniform": lambda: Uniform(4, False, seed=1, known=known()),
    "Uniform, shared": lambda: Uniform(4, seed=1, known=known()),
    "Popularity": lambda: Popularity(4, COUNTS, 0.5, 1.0, False, seed=1, known=known()),
    "Popularity, shared": lambda: Popularity(4, COUNTS, seed=1),
    "InBatch": lambda: InBatch(4, ItemFrequency(COUNTS), seed=1, known=known()),
    "SameValue": lambda: SameValue(4, [1, 1, 1, 2, 2, 2, 2, 0, 3], seed=1, known=known()),
    "Mined": mined,
    "Mixed": lambda: Mixed([Uniform(2, False, seed=1, known=known()), SameValue(2, [1] * N, 2)]),
    "Hardest": lambda: Hardest(4, Uniform(20, seed=1, known=known()), num_easy=1),
}


def scores(ids):
    """Each query likes the items near to one of its own."""
    wanted = tf.constant([[2.0], [9.0], [5.0], [1.0]])
    return -tf.abs(wanted - tf.cast(ids, tf.float32))


def draw(sampler):
    return sampler(POSITIVES, N, user_ids=USERS, scores=scores)


@pytest.mark.parametrize("name", sorted(SAMPLERS.keys() - {"Mixed", "Popularity, shared"}))
def test_no_known_item_is_allowed(name):
    sampler = SAMPLERS[name]()
    log = set(zip(*KNOWN, strict=True))
    for _ in range(20):
        sample = draw(sampler)
        ids = np.broadcast_to(sample.ids, (4, 4))
        allowed = np.ones((4, 4), bool) if sample.allowed is None else sample.allowed.numpy()
        for user, row in zip(USERS.numpy(), range(4), strict=True):
            assert not any((user, item) in log for item in ids[row][allowed[row]])


@pytest.mark.parametrize("name", SAMPLERS)
def test_seed_and_step_decide(name, tmp_path):
    first = SAMPLERS[name]()
    draws = [draw(first).ids.numpy() for _ in range(3)]
    assert len({x.tobytes() for x in draws}) > 1
    path = tf.train.Checkpoint(x=first).save(str(tmp_path / "x"))
    fourth = draw(first).ids
    restored = SAMPLERS[name]()
    np.testing.assert_array_equal(draw(restored).ids, draws[0])
    tf.train.Checkpoint(x=restored).restore(path).assert_consumed()
    np.testing.assert_array_equal(draw(restored).ids, fourth)


@pytest.mark.parametrize("name", SAMPLERS)
def test_config_and_weights_tell_everything(name):
    first = SAMPLERS[name]()
    described = json.loads(json.dumps(keras.utils.serialize_keras_object(first)))
    again = keras.utils.deserialize_keras_object(described)
    again.set_weights(first.get_weights())
    for a, b in zip(draw(first), draw(again), strict=True):
        if a is not None:
            np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("name", SAMPLERS)
def test_replicas(name, two_devices):
    """Shared negatives are the same on all replicas, own ones differ."""
    with two_devices.scope():
        sampler = SAMPLERS[name]()

    @tf.function
    def step():
        return two_devices.run(lambda: draw(sampler).ids)

    draws = []
    for _ in range(5):
        one, two = (x.numpy() for x in two_devices.experimental_local_results(step()))
        assert one.shape == two.shape
        draws.append((one == two).all())
    # Hardest chooses of candidates that are shared, by scores that are the same here.
    assert all(draws) if sampler.shared or name == "Hardest" else not all(draws)


def test_hardest_are_the_best_scored():
    candidates = tf.constant([[3, 1, 2, 2, 9, 4], [9, 8, 1, 7, 5, 6]])

    class Fixed(Uniform):
        def draw(self, *_):
            allowed = tf.constant([[True] * 6, [True, False, True, True, True, True]])
            return candidates, allowed

    hardest = Hardest(3, Fixed(6, False), num_easy=1)

    def two(ids):
        return (
            scores(ids)[:2]
            if ids.shape.rank == 1
            else -tf.abs(tf.constant([[2.0], [9.0]]) - tf.cast(ids, tf.float32))
        )

    sample = hardest(tf.constant([4, 7]), N, scores=two)
    # The first one is kept. Query 1 likes 2 best; query 2 likes 8, which is not allowed, then its
    # own positive 7, and then 6.
    assert sample.ids[:, 0].numpy().tolist() == [3, 9]
    assert sorted(sample.ids[0, 1:].numpy()) == [2, 2]
    assert sorted(sample.ids[1, 1:].numpy()) == [5, 6]
    assert np.all(sample.allowed)


def test_hardest_trains_what_it_keeps_alone():
    table = tf.Variable(tf.random.stateless_normal([N, 2], [1, 2]))

    def of(ids):
        return tf.reduce_sum(tf.gather(table, ids - 1), -1) + tf.zeros([4, 1])

    with tf.GradientTape() as tape:
        sample = Hardest(2, Uniform(8, seed=1))(POSITIVES, N, scores=of)
        kept = of(sample.ids)
    gradient = tf.convert_to_tensor(tape.gradient(kept, table))
    touched = np.flatnonzero(np.abs(gradient).sum(1)) + 1
    assert set(touched) == set(sample.ids.numpy().ravel())


def test_values_of_a_column():
    frame = pd.DataFrame(
        {
            "genre": ["a", "b", "a", None],
            "tags": [["x", "y"], ["x"], ["x", "y"], []],
            "price": [1.5, np.nan, 1.5, 2.0],
        },
        index=[10, 11, 12, 13],
    )
    table = FeatureTable.from_frame(frame, Vocabulary([10, 11, 12, 13, 14]))
    for column in ("genre", "tags", "price"):
        sampler = SameValue.from_features(6, table, column, seed=1)
        ids = sampler(tf.constant([1, 3]), 5).ids.numpy()
        assert (ids[0] == 3).all()
        assert (ids[1] == 1).all()
        # Item 5 has no features, and item 4 none of two columns: no value in common.
        assert len(set(sampler(tf.constant([5] * 9), 5).ids.numpy().ravel())) == 5
    with pytest.raises(ValueError, match="no column 'year', only"):
        SameValue.from_features(6, table, "year")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Popularity(1, [1, -1]), "not negative"),
        (lambda: Popularity(1, [0, 0]), "not all 0"),
        (
            lambda: Popularity(1, [1, 1], known=known()),
            "counts are of 2 items, the known items of 9",
        ),
        (lambda: Mixed([]), "at least one"),
        (lambda: Mixed([Uniform(1), Uniform(1, False)]), "shared=True or shared=False"),
        (lambda: Hardest(4, Uniform(4)), "more candidates"),
        (lambda: Hardest(2, Uniform(4), num_easy=2), "num_easy"),
        (lambda: Hardest(0, Uniform(4)), "num_negatives must be at least 1"),
        (lambda: Mined(2, 3, 4, num_easy=0), "num_easy"),
        (lambda: SameValue(1, [[1], [2]]), "a vector of integers"),
        (lambda: SameValue(1, [0.5]), "a vector of integers"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("number", [2.5, "2", None, True])
def test_numbers_must_be_integers(number):
    with pytest.raises(TypeError, match="num_negatives must be an integer"):
        Hardest(number, Uniform(4))
    with pytest.raises(TypeError, match="num_easy must be an integer"):
        Hardest(2, Uniform(4), num_easy=number)


@pytest.mark.parametrize(
    ("make", "num_items", "users", "message"),
    [
        (lambda: Uniform(1, known=known()), N, None, 'must have "user_id"'),
        (lambda: Uniform(1, known=known()), 10, USERS, "9 items and the model has 10"),
        (lambda: Popularity(1, COUNTS), 10, None, "9 items and the model has 10"),
        (lambda: SameValue(1, [1] * 9), 10, None, "9 items and the model has 10"),
        (lambda: Mined(2, 3, N), N, None, 'must have "user_id"'),
        (lambda: Mined(2, 3, N), 10, USERS, "9 items and the model has 10"),
        (lambda: Hardest(2, Uniform(4)), N, None, "call it with scores"),
    ],
)
def test_calls_that_lack_something(make, num_items, users, message):
    with pytest.raises(ValueError, match=message):
        make()(POSITIVES, num_items, user_ids=users)
