"""Neural matrix factorization: a learned function of two vectors, alone or beside their product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, registered
from tfrecs.data import Vocabulary
from tfrecs.losses import Loss
from tfrecs.models.base import Features
from tfrecs.models.factors import FactorModel
from tfrecs.models.matrix_factorization import GeneralizedMF
from tfrecs.models.pair_model import PairModel


class _Hidden(Configured, keras.layers.Layer):
    """The hidden layers of a multilayer perceptron over the concatenation of two vectors.

    The first layer's product with the concatenation is the sum of a product of each half: it is
    computed once a user and once an item, not once a pair.

    Args:
        dim: Size of each of the two vectors.
        hidden_units: Widths of the layers.
        seed: Seed of their initial weights.
    """

    def __init__(
        self, dim: int, hidden_units: Sequence[int], seed: int | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        first = hidden_units[0]
        limit = (6 / (2 * dim + first)) ** 0.5  # Glorot's, of the concatenation.

        def own(index: int) -> int | None:
            return None if seed is None else seed + index

        def half(index: int, name: str, use_bias: bool) -> keras.layers.Dense:
            uniform = keras.initializers.RandomUniform(-limit, limit, own(index))
            return keras.layers.Dense(
                first,
                use_bias=use_bias,
                kernel_initializer=uniform,
                dtype=self.dtype_policy,
                name=name,
            )

        self.of_user = half(0, "user", True)
        self.of_item = half(1, "item", False)
        self.further = [
            keras.layers.Dense(
                width,
                "relu",
                kernel_initializer=keras.initializers.GlorotUniform(own(2 + index)),
                dtype=self.dtype_policy,
                name=f"dense_{index + 1}",
            )
            for index, width in enumerate(hidden_units[1:])
        ]
        # All weights exist from here on: a checkpoint restores into them at once.
        self.call(tf.zeros([1, dim]), tf.zeros([1, dim]))

    def call(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Returns the last hidden layer of vectors that broadcast to each other."""
        x = tf.nn.relu(self.of_user(users) + self.of_item(items))
        for layer in self.further:
            x = layer(x)
        return x


@registered
class MLP(PairModel):
    """The MLP of "Neural collaborative filtering" (He et al., WWW 2017): a learned similarity.

        score(u, i) = h . ReLU(W_L ... ReLU(W_1 [p_u, q_i] + b_1) ... + b_L) + b

    Args:
        items: Vocabulary of the items, or their number.
        users: Vocabulary of the users, or their number. An unknown user has a vector of zeros.
        dim: Size of the vectors p and q.
        hidden_units: Widths of the hidden layers; default `dim`, half and a quarter of it, as in
            the paper.
        stddev: Standard deviation of the initial vectors.
        regularization: Weight of half the squared lengths of the two vectors behind each score
            that the loss asks for, a target's or its negatives', weighed as the loss weighs it.
        loss: What the model is trained to minimise: one over sampled items. The default is
            `losses.SampledSoftmax(256)`; the paper has `losses.BinaryCrossEntropy(4)`.
        seed: Seed of initial weights and the default loss; None to draw them.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> model = tfrecs.models.MLP(items=100, users=20, dim=8, seed=1)
        >>> model.score({"user_id": tf.constant([4, 20])}).shape
        TensorShape([2, 100])
    """

    def __init__(
        self,
        items: Vocabulary | int,
        users: Vocabulary | int,
        dim: int = 64,
        hidden_units: Sequence[int] | None = None,
        stddev: float = 0.1,
        regularization: float = 0.0,
        loss: Loss | str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        widths = _widths(dim, hidden_units)
        super().__init__(items, users, dim, stddev, regularization, loss, seed, **kwargs)
        self.hidden_units = hidden_units if hidden_units is None else list(hidden_units)
        self.hidden = _Hidden(dim, widths, self.part_seed(2), name="hidden")
        self.output_weights = _output_weights(self, widths[-1])
        self.bias = self.add_weight(name="bias", shape=(), initializer="zeros")

    def _logits(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        return self.score_of_hidden(self.hidden(users, items))


@registered
class NeuralMF(PairModel):
    """NeuMF (He et al., "Neural collaborative filtering", WWW 2017): GMF and MLP side by side.

        score(u, i) = h_1 . (p_u * q_i) + h_2 . MLP(p'_u, q'_i) + b

    `*` is elementwise; the MLP has hidden layers alone, over other vectors. See
    `GeneralizedMF` and `MLP`, and `from_pretrained` for a start from the two.

    Args:
        items: Vocabulary of the items, or their number.
        users: Vocabulary of the users, or their number. An unknown user has vectors of zeros.
        dim: Size of the vectors p and q of the product.
        mlp_dim: Size of the vectors p' and q'; default `dim`.
        hidden_units: Widths of the MLP's layers; default `mlp_dim`, half and a quarter of it.
        stddev: Standard deviation of the initial vectors.
        regularization: As in `MLP`.
        loss: As in `MLP`.
        seed: Seed of initial weights and the default loss; None to draw them.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> model = tfrecs.models.NeuralMF(items=100, users=20, dim=8, seed=1)
        >>> model.score({"user_id": tf.constant([4, 20])}).shape
        TensorShape([2, 100])
    """

    def __init__(
        self,
        items: Vocabulary | int,
        users: Vocabulary | int,
        dim: int = 64,
        mlp_dim: int | None = None,
        hidden_units: Sequence[int] | None = None,
        stddev: float = 0.1,
        regularization: float = 0.0,
        loss: Loss | str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_integer("dim", dim, least=1)
        deep = dim if mlp_dim is None else mlp_dim
        widths = _widths(deep, hidden_units)
        # One row holds both vectors: one gather brings them.
        super().__init__(items, users, dim + deep, stddev, regularization, loss, seed, **kwargs)
        self.dim = dim
        self.hidden_units = hidden_units if hidden_units is None else list(hidden_units)
        self.factor_weights = self.add_weight(
            name="factor_weights", shape=(dim,), initializer="ones"
        )
        self.hidden = _Hidden(deep, widths, self.part_seed(2), name="hidden")
        self.output_weights = _output_weights(self, widths[-1])
        self.bias = self.add_weight(name="bias", shape=(), initializer="zeros")

    @classmethod
    def from_pretrained(
        cls, gmf: GeneralizedMF, mlp: MLP, alpha: float = 0.5, **kwargs: Any
    ) -> NeuralMF:
        """Returns a model that begins as a mean of the two's scores: the paper's pretraining.

            score(u, i) = alpha * gmf(u, i) + (1 - alpha) * mlp(u, i)

        The paper trains it on by SGD, as the moments of Adam are not there.

        Args:
            gmf: A trained `GeneralizedMF`.
            mlp: A trained `MLP` of the same users and items.
            alpha: Weight of `gmf`, in [0, 1].
            **kwargs: Arguments of `NeuralMF` other than sizes, such as `loss` and `seed`.

        Raises:
            ValueError: If the models have other users or items, or `alpha` is out of range.

        Example:
            >>> import tfrecs
            >>> gmf = tfrecs.models.GeneralizedMF(items=9, users=5, dim=4, seed=1)
            >>> mlp = tfrecs.models.MLP(items=9, users=5, dim=8, seed=2)
            >>> list(tfrecs.models.NeuralMF.from_pretrained(gmf, mlp).hidden_units)
            [8, 4, 2]
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], not {alpha!r}.")
        for what in ("items", "num_items", "users", "num_users"):
            if getattr(gmf, what) != getattr(mlp, what):
                raise ValueError(
                    f"gmf and mlp differ in their {what.removeprefix('num_')}: train both on the "
                    "same split."
                )
        model = cls(
            gmf.items or gmf.num_items,
            gmf.users or gmf.num_users,
            dim=gmf.dim,
            mlp_dim=mlp.dim,
            hidden_units=_widths(mlp.dim, mlp.hidden_units),
            **kwargs,
        )
        for name in ("user_embedding", "item_embedding"):
            tables = [getattr(part, name).table for part in (gmf, mlp)]
            getattr(model, name).table.assign(tf.concat(tables, axis=1))
        model.hidden.set_weights(mlp.hidden.get_weights())
        model.factor_weights.assign(alpha * gmf.factor_weights)
        model.output_weights.assign((1 - alpha) * mlp.output_weights)
        model.bias.assign(alpha * gmf.global_bias + (1 - alpha) * mlp.bias)
        return model

    def user_rows(self, features: Features) -> tf.Tensor:
        """Returns h_1 * p beside p', as `GeneralizedMF` does."""
        rows = PairModel.user_rows(self, features)
        weighted = rows[:, : self.dim] * self.factor_weights
        return tf.concat([weighted, rows[:, self.dim :]], axis=-1)

    def _logits(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        weighted, factors = users[:, 0, : self.dim], items[..., : self.dim]
        if items.shape[0] == 1:  # All users have the same items: one matrix product.
            products = tf.matmul(weighted, factors[0], transpose_b=True)
        else:
            products = tf.linalg.matvec(factors, weighted)
        return products + self.score_of_hidden(
            self.hidden(users[..., self.dim :], items[..., self.dim :])
        )


def _widths(dim: int, hidden_units: Sequence[int] | None) -> list[int]:
    """The widths of the hidden layers, checked."""
    widths = [max(dim // 2**i, 1) for i in range(3)] if hidden_units is None else [*hidden_units]
    if dim < 1 or not widths or min(widths) < 1:
        raise ValueError(
            "The MLP needs vectors and at least one hidden layer, each of size 1 or more, not "
            f"vectors of {dim} and hidden_units {hidden_units!r}."
        )
    return widths


def _output_weights(model: FactorModel, width: int) -> tf.Variable:
    """The weights of the last hidden layer in the score."""
    limit = (6 / (width + 1)) ** 0.5  # Glorot's.
    uniform = keras.initializers.RandomUniform(-limit, limit, model.part_seed(20))
    return model.add_weight(name="output_weights", shape=(width,), initializer=uniform)
