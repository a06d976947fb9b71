"""Mining of hard negatives from a model's scores."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.data import Histories, TrainSet
from tfrecs.negatives import HardNegativeMining, Mined

TRAIN = TrainSet(
    Histories.from_lists([[5, 6], [1], [2, 3, 4, 5, 6]]), np.array([1, 3, 4]), num_items=6
)


class Fixed:
    """A model whose scores are known: the larger the id, the better, for odd users the worse."""

    max_history = None

    def score(self, features):
        sign = tf.where(features["user_id"] % 2 == 0, 1.0, -1.0)
        return sign[:, tf.newaxis] * tf.range(1.0, 7.0)


@pytest.mark.parametrize(
    ("skip", "want"),
    [
        (0, {1: [1, 2, 3], 2: [0, 0, 0], 3: [2, 3, 4], 4: [1, 0, 0]}),
        (2, {1: [3, 4, 0], 2: [0, 0, 0], 3: [4, 5, 6], 4: [0, 0, 0]}),
    ],
)
@pytest.mark.parametrize("batch_size", [None, 2])
def test_the_best_unknown_items_are_mined(skip, want, batch_size):
    negatives = Mined(2, 4, 6, num_mined=3, seed=1)
    mining = HardNegativeMining(negatives, TRAIN, skip=skip, batch_size=batch_size)
    mining.mine(Fixed())
    table = negatives._items.numpy()
    assert {user: table[user].tolist() for user in want} == want


def test_histories_of_a_model_that_reads_them():
    class Reads(Fixed):
        max_history = 2
        seen = None

        def score(self, features):
            Reads.seen = features["history"].shape
            # What comes last in the history is liked best.
            return tf.one_hot(7 - features["history"][:, -1], 6)

    negatives = Mined(2, 4, 6, num_mined=1, seed=1)
    HardNegativeMining(negatives, TRAIN).mine(Reads())
    assert Reads.seen[1] == 2
    table = negatives._items.numpy()
    # User 1 ends with item 6: one_hot(1) likes item 2.
    assert table[1].tolist() == [2]


@pytest.mark.slow
def test_when_it_mines():
    class Counting(HardNegativeMining):
        def mine(self, model):
            asked.append(model)

    for every, model, want in ((1, None, 3), (2, None, 1), (1, Fixed(), 1)):
        asked = []
        callback = Counting(Mined(2, 4, 6), TRAIN, every=every, model=model)
        inputs = keras.Input([1])
        net = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        net.compile("sgd", "mse")
        net.fit(np.ones([2, 1]), np.ones([2, 1]), epochs=4, verbose=0, callbacks=[callback])
        assert asked == [model or net] * want


def test_wrong_arguments():
    with pytest.raises(ValueError, match="every must be at least 1"):
        HardNegativeMining(Mined(2, 4, 6), TRAIN, every=0)
