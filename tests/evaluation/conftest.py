"""Small models by the contract, and a ranking by sorting that shares no code with the package."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.data import EvaluationSet, Histories, Vocabulary


class Table:
    """Scores looked up by user id in an array `[users + 1, n]`; it has no vectors."""

    items = None
    max_history = None
    is_product = False

    def __init__(self, scores):
        self.scores = tf.Variable(np.asarray(scores, np.float32))
        self.num_items = self.scores.shape[1]
        self.traces = 0

    def score(self, features, items=None):
        self.traces += 1
        assert set(features) == {"user_id"}  # It reads no history, and is to get none.
        rows = tf.gather(self.scores, features["user_id"])
        return rows if items is None else tf.gather(rows, items - 1, batch_dims=1)


class Product:
    """The sum of the history's last item vectors times item vectors."""

    items = None
    is_product = True

    def __init__(self, vectors, max_history=3):
        self.vectors = tf.Variable(np.asarray(vectors, np.float32))
        self.num_items = self.vectors.shape[0]
        self.max_history = max_history
        self.traces = 0

    def query_vectors(self, features):
        self.traces += 1
        history = features["history"]
        tf.debugging.assert_less_equal(tf.shape(history)[1], self.max_history)
        padded = tf.concat([tf.zeros_like(self.vectors[:1]), self.vectors], axis=0)
        return tf.reduce_sum(tf.gather(padded, history), axis=1)

    def item_vectors(self, items=None):
        return self.vectors if items is None else tf.gather(self.vectors, items - 1)

    def score(self, features, items=None):
        return tf.linalg.matvec(self.item_vectors(items), self.query_vectors(features))


def _dataset(history, targets, n, *, candidates=None, counts=None, users=None):
    users = np.arange(1, len(targets) + 1) if users is None else np.asarray(users)
    return EvaluationSet(
        user_ids=users,
        history=Histories.from_lists(history),
        targets=Histories.from_lists(targets),
        item_counts=np.zeros(n + 2, np.int64) if counts is None else np.asarray(counts),
        items=Vocabulary(np.arange(100, 100 + n)),
        users=Vocabulary(np.arange(max(users.max(initial=0), 1))),
        name="toy test",
        protocol="by hand",
        candidates=candidates,
    )


def _by_sorting(scores, history, targets, candidates=None, recommend_known=False):
    """The worst order that the scores of one user allow, as a list of item ids."""
    pool = set(range(1, len(scores) + 1))
    if candidates is not None:
        pool = {int(i) for i in candidates if i > 0} | set(targets)
    if not recommend_known:
        pool -= set(history)
    return sorted(pool, key=lambda i: (-scores[i - 1], i in targets, i))


@pytest.fixture(scope="session")
def table():
    return Table


@pytest.fixture(scope="session")
def product():
    return Product


@pytest.fixture(scope="session")
def dataset():
    return _dataset


@pytest.fixture(scope="session")
def by_sorting():
    return _by_sorting
