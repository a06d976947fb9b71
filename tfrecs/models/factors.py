"""The base of models that know users and items by their ids alone, one vector each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.data import Vocabulary
from tfrecs.layers import ItemEmbedding
from tfrecs.losses import DotProductScores, Loss, Scores, global_sum
from tfrecs.losses.choice import choose_loss
from tfrecs.models.base import Features, Model


class FactorModel(Model):
    """Base of the models whose score is a function of one vector of the user and one of the item.

    Subclasses implement `scores_of` and `default_loss`.

    Args:
        items: Vocabulary of the items, or their number.
        users: Vocabulary of the users, or their number.
        row_dim: Size of a vector in the two tables.
        stddev: Standard deviation of the initial vectors.
        regularization: Weight of half the squared lengths of the two vectors behind each score
            that the loss asks for, weighed as the loss weighs the score.
        loss: What the model is trained to minimise; default `default_loss()`.
        seed: Seed of the initial weights and the default loss; None to draw them.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        items: Vocabulary | int,
        users: Vocabulary | int,
        row_dim: int,
        stddev: float,
        regularization: float,
        loss: Loss | str | None,
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(items, **kwargs)
        self.users = users if isinstance(users, Vocabulary) else None
        self.num_users: int = users if isinstance(users, int) else len(users)
        if self.num_users < 1:
            raise ValueError("A model of users and items needs at least one user.")
        if stddev <= 0 or regularization < 0:
            raise ValueError(
                "stddev must be positive and regularization not negative, not "
                f"{stddev!r} and {regularization!r}."
            )
        self.stddev = stddev
        self.regularization = regularization
        self.seed = seed
        chosen = choose_loss(loss, type(self).__name__, products=self.is_product)
        self.loss_function = chosen or self.default_loss()
        self.remember(loss=self.loss_function)

        def table(size: int, index: int, name: str) -> ItemEmbedding:
            normal = keras.initializers.RandomNormal(stddev=stddev, seed=self.part_seed(index))
            return ItemEmbedding(size, row_dim, normal, name=name)

        self.user_embedding = table(self.num_users, 0, "user_embedding")
        self.item_embedding = table(self.num_items, 1, "item_embedding")

    def part_seed(self, index: int) -> int | None:
        """Returns another seed for each part."""
        return None if self.seed is None else 1000 * self.seed + index

    @property
    def feature_ranks(self) -> dict[str, int | None]:
        """The features of a batch of pairs, and their number of axes."""
        return {"user_id": 1, "item_id": 1}

    def user_rows(self, features: Features) -> tf.Tensor:
        """Returns what scores are made of and what is regularised of `features["user_id"]`.

        Those are the table's rows; zeros for an unknown user.
        """
        ids = features["user_id"]
        known = (ids > 0) & (ids <= self.num_users)
        rows = tf.cast(self.user_embedding.rows(tf.where(known, ids, 1)), tf.float32)
        return tf.where(known[:, tf.newaxis], rows, 0.0)

    def default_loss(self) -> Loss:
        """Returns the loss of a model that is given none."""
        raise NotImplementedError(f"{type(self).__name__} must implement default_loss.")

    def scores_of(
        self, user_ids: tf.Tensor, users: tf.Tensor, rows: Callable[[tf.Tensor], tf.Tensor]
    ) -> Scores:
        """Returns what a loss asks for scores.

        Args:
            user_ids: `[batch]`.
            users: `[batch, row_dim]`, their `user_rows`.
            rows: Gives rows `[..., row_dim]` of the table of items for ids `[...]` in 1..n.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement scores_of.")

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Returns the mean loss over the pairs of a batch.

        Args:
            inputs: `"user_id"` and `"item_id"`, as `Pairs` makes them.
            training: Whether vectors are regularised.
        """
        users = self.user_rows(inputs)
        weights = inputs.get("sample_weight")
        penalty = _Penalty(self.item_embedding.rows, self.loss_function, weights)
        scores = _Watched(self.scores_of(inputs["user_id"], users, penalty.rows), penalty)
        loss = self.loss_function(inputs["item_id"], scores, weights, training=training)
        if training and self.regularization:
            # A replica's share of the whole batch's mean.
            count = self.target_count(inputs)
            share = tf.math.divide_no_nan(count, global_sum(count))
            loss += self.regularization * share * penalty.of_a_target(users)
        return loss


class _Penalty:
    """Half the squared lengths of the two vectors behind each score of a step.

    Each score counts as the loss weighs it: the target's once; the negatives of a target once
    together, or `negative_weight` times each in losses that have that.

    Args:
        rows: Gives the vectors of item ids.
        loss: The loss that asks for scores.
        weights: `[num_queries]` weights of the targets, or None.
    """

    def __init__(
        self,
        rows: Callable[[tf.Tensor], tf.Tensor],
        loss: Loss,
        weights: tf.Tensor | None = None,
    ) -> None:
        self._rows, self._weights = rows, weights
        self._weight = getattr(loss, "negative_weight", None)
        self._total: float | tf.Tensor | None = None  # Weight of the negatives that are asked for.
        self._parts: list[tuple[float | tf.Tensor, tf.Tensor]] = []

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the float32 vectors of `ids`, and notes their lengths."""
        # Within a loss, mixed precision reads weights as its 16 bits.
        found = tf.cast(self._rows(ids), tf.float32)
        # Negatives that the targets of a batch share are no target's own.
        shared = self._total is not None and ids.shape.rank == 1
        square = _mean_square(found, None if shared else self._weights)
        self._parts.append((1.0 if self._total is None else self._total, square))
        return found

    @contextlib.contextmanager
    def negatives(self, ids: tf.Tensor) -> Iterator[None]:
        """Counts vectors looked up inside the context as negatives' vectors, `ids` `[.., k]`."""
        count = tf.cast(tf.shape(ids)[-1], tf.float32)
        self._total = 1.0 if self._weight is None else self._weight * count
        yield
        self._total = None

    def of_a_target(self, users: tf.Tensor) -> tf.Tensor:
        """Returns the mean over targets, once the loss has been computed."""
        scores = tf.add_n([tf.cast(weight, tf.float32) for weight, _ in self._parts])
        items = tf.add_n([weight * square for weight, square in self._parts])
        return 0.5 * (scores * _mean_square(users, self._weights) + items)


class _Watched(Scores):
    """Scores that tell a penalty which of the items are negatives.

    Args:
        scores: The model's scores.
        penalty: Gives them the vectors of items.
    """

    def __init__(self, scores: Scores, penalty: _Penalty) -> None:
        super().__init__(scores.num_items, scores.user_ids, scores.positive_ids, scores.valid)
        self._scores, self._penalty = scores, penalty

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """See `Scores`."""
        return self._scores.of(ids)

    def shared(self, ids: tf.Tensor) -> tf.Tensor:
        """See `Scores`."""
        return self._scores.shared(ids)

    def sampled(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the scores of negatives; see `Scores`."""
        with self._penalty.negatives(ids):
            return self._scores.sampled(ids)

    def products(self, loss: str) -> DotProductScores:
        """Returns products whose `vectors`, asked for without a target, are negatives'."""
        products = self._scores.products(loss)

        def rows(ids: tf.Tensor) -> tf.Tensor:
            with self._penalty.negatives(ids):
                return products.vectors(ids)

        return DotProductScores(products.queries, self.num_items, rows, products.item_vectors)


def _mean_square(rows: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """The mean squared length of vectors `[..., dim]`; 0 on a replica that has none.

    With weights `[n]` it is the weighted mean over the first axis.
    """
    squares = tf.reduce_sum(tf.square(rows), axis=-1)
    if weights is not None:
        if squares.shape.rank > 1:
            squares = tf.reduce_mean(squares, axis=1)
        weights = tf.cast(weights, tf.float32)
        return tf.math.divide_no_nan(tf.reduce_sum(weights * squares), tf.reduce_sum(weights))
    return tf.math.divide_no_nan(tf.reduce_sum(squares), tf.cast(tf.size(squares), tf.float32))
