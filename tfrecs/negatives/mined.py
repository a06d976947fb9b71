"""Negatives mined from a model's recommendations, and the callback that mines them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import check_integer, registered
from tfrecs.data import Split, TrainSet
from tfrecs.data.features.events import inputs_of
from tfrecs.layers.integers import Integers
from tfrecs.negatives.complement import random_below, second_seed
from tfrecs.negatives.known import KnownItems
from tfrecs.negatives.sample import Negatives, per_item
from tfrecs.negatives.uniform import Uniform


@registered
class Mined(Negatives):
    """Draws negatives from a table of hard ones for each user, beside a floor of easy ones.

    Of the k negatives of a positive `num_easy` are drawn by `Uniform` and the others uniformly from
    the user's row of the table. `HardNegativeMining` writes the highest-scoring items of a model
    into it, during the training or before. Users without a row, or not mined yet, get easy ones
    alone. Item j has the probability

        q_j = (k - e) / k [j is in the row] / (items of the row) + e / k u_j,   e = num_easy

    Args:
        num_negatives: Negatives to draw for each positive, k.
        num_users: Number of users.
        num_items: Number of items.
        num_mined: Items of a user's row, at most.
        num_easy: How many of the k are easy; at least one, without which an item that is not in the
            row would have no probability.
        seed: Integer, or None to draw one from Python's `random`.
        known: The items that each user knows, which the easy ones leave out; the callback leaves
            out those of its training data.

    Raises:
        ValueError: If `num_easy` is not in 1..k-1, or a call lacks user ids.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> negatives = tfrecs.negatives.Mined(3, num_users=5, num_items=90, num_mined=2, seed=1)
        >>> negatives.assign([4], [[70, 80]])
        >>> sample = negatives(tf.constant([9]), num_items=90, user_ids=tf.constant([4]))
        >>> bool(tf.reduce_all(sample.ids[:, 1:] >= 70))
        True
    """

    data_arguments = ("num_users", "num_items")
    num_negatives: int

    def __init__(
        self,
        num_negatives: int,
        num_users: int,
        num_items: int,
        num_mined: int = 100,
        num_easy: int = 1,
        seed: int | None = None,
        known: KnownItems | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, False, seed, known, **kwargs)
        if not 0 < num_easy < num_negatives:
            raise ValueError(
                f"num_easy must be in 1..{num_negatives - 1}, for {num_negatives} negatives, not "
                f"{num_easy}."
            )
        self.num_users = num_users
        self.num_items = num_items
        self.num_easy = num_easy
        self.easy = Uniform(num_negatives, False, seed, self.known, name="easy")
        self._items = Integers(self, "mined", np.zeros([num_users + 1, num_mined]))

    @classmethod
    def from_split(cls, split: Split, **kwargs: Any) -> Mined:
        """Raises a ValueError: no split says what a model recommends."""
        raise ValueError(
            f"{cls.__name__}: what was mined is lost when a sampler is rebuilt for a split. "
            "Make it for this split: for `tfrecs.train`, in a function of the split as model_args."
        )

    def assign(self, user_ids: Any, items: Any) -> None:
        """Writes the hard negatives of some users.

        Args:
            user_ids: `[b]` ids in 1..num_users.
            items: `[b, num_mined]` item ids; 0 on the right where there are fewer.
        """
        table = self._items.numpy()
        table[np.asarray(user_ids)] = items
        self._items.assign(table)

    def check(self, num_items: int, user_ids: tf.Tensor | None) -> None:
        """Raises a ValueError for a call without users, or with another number of items."""
        if user_ids is None:
            raise ValueError(
                f'{self.name}: hard negatives are a user\'s own: the batches must have "user_id", '
                "and the model must pass it on (Scores(user_ids=...))."
            )
        if num_items != self.num_items:
            raise ValueError(
                f"{self.name} was made for {self.num_items} items and the model has {num_items}."
            )
        Negatives.check(self, num_items, user_ids)

    def draw(
        self, seed: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns ids and which of them are allowed; see `Negatives`."""
        easy, _ = self.easy.draw(seed, positives, num_items, user_ids)
        row, count = self._row(user_ids)
        shape = [tf.size(positives), self.num_negatives - self.num_easy]
        place = random_below(tf.maximum(count, 1), shape, second_seed(seed))
        hard = tf.gather(tf.gather(self._items.tensor(), row[:, 0]), place, batch_dims=1)
        hard = tf.where(count > 0, hard, easy[:, self.num_easy :])
        return tf.concat([easy[:, : self.num_easy], hard], axis=1), None

    def _row(self, user_ids: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns each user's row, 0 for none, and how many items are in it: both `[b, 1]`."""
        known = (user_ids > 0) & (user_ids <= self.num_users)
        row = tf.where(known, tf.cast(user_ids, tf.int32), 0)
        items = tf.gather(self._items.tensor(), row)
        count = tf.math.count_nonzero(items, axis=1, dtype=tf.int32)
        return row[:, tf.newaxis], count[:, tf.newaxis]

    def log_probability(
        self, ids: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the log of the probability of each of `ids`; see `Negatives`."""
        easy = tf.exp(self.easy.log_probability(ids, positives, num_items, user_ids))
        row, count = self._row(user_ids)
        count = tf.cast(per_item(count[:, 0], ids), tf.float32)
        items = tf.gather(self._items.tensor(), row[:, 0])
        each = ids[:, tf.newaxis] if ids.shape.rank == 1 else ids
        mined = tf.reduce_any(each[..., tf.newaxis] == items[:, tf.newaxis], axis=-1)
        hard = tf.cast(tf.reshape(mined, tf.shape(ids)), tf.float32) / tf.maximum(count, 1.0)
        share = self.num_easy / self.num_negatives
        return tf.math.log(tf.where(count > 0, (1 - share) * hard + share * easy, easy))


class HardNegativeMining(keras.callbacks.Callback):
    """Fills `Mined` with the items that a model recommends and the user does not know.

    By default it asks the model in training, at the start of every n-th epoch after the first. With
    `model` it asks that one, such as a previous model, once before the training.

    Args:
        negatives: The sampler that the model's loss draws from.
        train: What the model is trained on; a user's items in it are no negatives.
        every: Epochs between two minings.
        skip: How many of a user's best items are passed over: the very best are often items that
            the user does like.
        model: The model to ask instead of the one in training, with the contract of
            `tfrecs.models.Model`.
        batch_size: Users at once; None chooses by the number of items.

    Raises:
        ValueError: If `every` is less than 1 or `skip` negative.

    Example:
        ```python
        negatives = tfrecs.negatives.Mined(8, len(split.users), len(split.items))
        model = tfrecs.models.TwoTower.from_split(
            split, loss=tfrecs.losses.SampledSoftmax(negatives=negatives)
        )
        mining = tfrecs.negatives.HardNegativeMining(negatives, split.train, every=2)
        model.fit(model.examples(split.train).batch(1024), epochs=10, callbacks=[mining])
        ```
    """

    _supports_tf_logs = True

    def __init__(
        self,
        negatives: Mined,
        train: TrainSet,
        every: int = 1,
        skip: int = 0,
        model: Any = None,
        batch_size: int | None = None,
    ) -> None:
        super().__init__()
        check_integer("every", every, least=1)
        check_integer("skip", skip, least=0)
        self.negatives = negatives
        self.train = train
        self.every = every
        self.skip = skip
        self.teacher = model
        self.batch_size = batch_size or int(np.clip(2**23 // train.num_items, 1, 1024))

    def on_train_begin(self, logs: Any = None) -> None:
        """Asks the other model, if there is one."""
        if self.teacher is not None:
            self.mine(self.teacher)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Asks the model in training, if it is its turn."""
        # A resumed epoch has the table of its beginning, from the checkpoint.
        resumed = hasattr(self.model, "first_batch") and self.model.first_batch
        if self.teacher is None and epoch and epoch % self.every == 0 and not resumed:
            self.mine(self.model)

    def mine(self, model: Any) -> None:
        """Writes the best unknown items of each user by the scores of `model`."""
        users, histories = self.train.user_ids, self.train.histories
        mined = np.zeros((len(users), self.negatives.num_mined), np.int32)
        wanted = min(self.skip + self.negatives.num_mined, self.train.num_items)
        widest = max(int(histories.lengths.max(initial=0)), 1)
        if model.max_history is not None:
            widest = min(widest, model.max_history)
        score = tf.function(model.score, reduce_retracing=True)
        for start in range(0, len(users), self.batch_size):
            rows = np.arange(start, min(start + self.batch_size, len(users)))
            features = {"user_id": tf.constant(users[rows])}
            if model.max_history is not None:
                features["history"] = tf.constant(histories.padded(rows, widest))
            if (events := inputs_of(model)) is not None:
                read = self.train.event_features(rows, widest, events)
                features |= {name: tf.constant(column) for name, column in read.items()}
            scores = score(features).numpy()
            known = histories.take(rows)
            scores[known.rows, known.values - 1] = -np.inf
            best = np.argpartition(-scores, wanted - 1, axis=1)[:, :wanted]
            best_scores = np.take_along_axis(scores, best, 1)
            order = np.argsort(-best_scores, axis=1, kind="stable")[:, self.skip :]
            left = np.take_along_axis(best_scores, order, 1) > -np.inf
            mined[rows, : order.shape[1]] = np.where(
                left, np.take_along_axis(best, order, 1) + 1, 0
            )
        self.negatives.assign(users, mined)
