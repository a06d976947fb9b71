"""Matrix factorization: scores are products of a vector of the user and one of the item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfrecs._keras import tf
from tfrecs.configured import check_integer, registered
from tfrecs.data import Vocabulary
from tfrecs.losses import DotProductScores, FullSoftmax, Loss, SampledSoftmax
from tfrecs.models.base import Features
from tfrecs.models.factors import FactorModel

# Up to so many items a softmax over all of them is the default loss.
_SMALL_CATALOGUE = 20_000
# What the weight behind the global bias is multiplied by. Every pair of a batch moves that weight,
# and few of them a row of the tables: SGD at the learning rate of the rows would overshoot.
_GLOBAL_SCALE = 0.125


class _Product(FactorModel):
    """What both models share: queries and candidates made of the rows of the two tables."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.global_weight = self.add_weight(name="global_weight", shape=(), initializer="zeros")

    @property
    def global_bias(self) -> tf.Tensor:
        """What is added to the score of every user and item."""
        return _GLOBAL_SCALE * tf.convert_to_tensor(self.global_weight)

    def _queries(self, users: tf.Tensor) -> tf.Tensor:
        """Returns the query vectors of users' rows; no item changes the last coordinate."""
        raise NotImplementedError

    def _candidates(self, items: tf.Tensor) -> tf.Tensor:
        return tf.concat([items, tf.ones_like(items[..., :1])], axis=-1)

    def default_loss(self) -> Loss:
        """Returns softmax over all items, or over a sample where they are many."""
        if self.num_items <= _SMALL_CATALOGUE:
            return FullSoftmax()
        return SampledSoftmax(1024, seed=self.seed)

    def query_vectors(self, features: Features) -> tf.Tensor:
        """Returns the float32 vectors `[batch, dim + 1]` of users, `features["user_id"]`."""
        return self._queries(self.user_rows(features))

    def item_vectors(self, items: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the float32 vectors of `items` (ids 1..n); None for all, `[n, dim + 1]`."""
        if items is None:
            return self._candidates(tf.convert_to_tensor(self.item_embedding.table))
        return self._candidates(self.item_embedding.rows(items))

    def scores_of(
        self, user_ids: tf.Tensor, users: tf.Tensor, rows: Callable[[tf.Tensor], tf.Tensor]
    ) -> DotProductScores:
        """Returns what a loss asks for scores; see `FactorModel`."""
        return DotProductScores(
            self._queries(users),
            self.num_items,
            lambda ids: self._candidates(rows(ids)),
            self.item_vectors,
            user_ids,
        )


@registered
class MatrixFactorization(_Product):
    """Matrix factorization with biases (Koren et al., "Matrix factorization techniques", 2009).

        score(u, i) = b + b_u + b_i + <p_u, q_i>

    As a product of two vectors, for full ranking, index and export, that is
    `<[p_u, 1, b + b_u], [q_i, b_i, 1]>`. Trained with binary cross-entropy, many factors and
    regularised vectors it beats learned similarities (Rendle et al., "Neural collaborative
    filtering vs. matrix factorization revisited", RecSys 2020; recipe `mf-ml-1m-ncf`).

    Args:
        items: Vocabulary of the items, or their number.
        users: Vocabulary of the users, or their number. An unknown user gets the score `b + b_i`.
        dim: Size of what is learned of a user or an item: `dim - 1` factors and a bias, as the
            paper counts.
        stddev: Standard deviation of the initial factors and biases.
        regularization: Weight of half the squared lengths of the two vectors behind each score
            that the loss asks for, a target's or its negatives', weighed as the loss weighs it.
        loss: What the model is trained to minimise; default `losses.FullSoftmax()` up to 20,000
            items, and above `losses.SampledSoftmax(1024)`.
        seed: Seed of initial weights and the default loss; None to draw them.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> model = tfrecs.models.MatrixFactorization(items=100, users=20, dim=8, seed=1)
        >>> model.score({"user_id": tf.constant([4, 20])}).shape
        TensorShape([2, 100])
    """

    def __init__(
        self,
        items: Vocabulary | int,
        users: Vocabulary | int,
        dim: int = 64,
        stddev: float = 0.1,
        regularization: float = 0.0,
        loss: Loss | str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_integer("dim", dim, least=2)  # One factor and the bias.
        super().__init__(items, users, dim, stddev, regularization, loss, seed, **kwargs)
        self.dim = dim

    def _queries(self, users: tf.Tensor) -> tf.Tensor:
        # A product with a constant instead of slices, whose gradients TensorFlow pads at ten times
        # the cost.
        at_bias = tf.one_hot(self.dim - 1, self.dim)
        factors = users * (1 - at_bias)
        bias = tf.reduce_sum(users * at_bias, axis=-1, keepdims=True)
        return tf.concat([factors + at_bias, bias + self.global_bias], axis=-1)


@registered
class GeneralizedMF(_Product):
    """GMF (He et al., "Neural collaborative filtering", WWW 2017): factors with learned weights.

        score(u, i) = h . (p_u * q_i) + b

    where `*` is elementwise: a product of the vectors `[h * p_u, b]` and `[q_i, 1]`. `h` begins at
    1, where the model is a plain matrix factorization.

    Args:
        items: Vocabulary of the items, or their number.
        users: Vocabulary of the users, or their number. An unknown user gets the score b.
        dim: Size of the vectors p and q.
        stddev: Standard deviation of the initial vectors.
        regularization: As in `MatrixFactorization`, of the vectors h * p and q.
        loss: As in `MatrixFactorization`; the paper has `losses.BinaryCrossEntropy(4)`.
        seed: Seed of initial weights and the default loss; None to draw them.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> model = tfrecs.models.GeneralizedMF(items=100, users=20, dim=8, seed=1)
        >>> model.score({"user_id": tf.constant([4, 20])}).shape
        TensorShape([2, 100])
    """

    def __init__(
        self,
        items: Vocabulary | int,
        users: Vocabulary | int,
        dim: int = 64,
        stddev: float = 0.1,
        regularization: float = 0.0,
        loss: Loss | str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(items, users, dim, stddev, regularization, loss, seed, **kwargs)
        self.factor_weights = self.add_weight(
            name="factor_weights", shape=(dim,), initializer="ones"
        )

    def user_rows(self, features: Features) -> tf.Tensor:
        """Returns h * p: large weights cannot make up for short vectors."""
        return _Product.user_rows(self, features) * self.factor_weights

    def _queries(self, users: tf.Tensor) -> tf.Tensor:
        return tf.concat([users, tf.zeros_like(users[..., :1]) + self.global_bias], axis=-1)
