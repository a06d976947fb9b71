"""Caser: sequential recommendation by convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import check_integer, part_seeds, registered
from tfrecs.data import Vocabulary
from tfrecs.layers import Dropout, HistoryConvolution, ItemEmbedding
from tfrecs.models.base import Features
from tfrecs.models.event_reading import last_events
from tfrecs.models.sequence import SequenceModel


@registered
class Caser(SequenceModel):
    """Caser (Tang and Wang, WSDM 2018).

    "Personalized top-N sequential recommendation via convolutional sequence embedding".
    Convolutions over the matrix of a user's last `window` items make a state, and a vector of the
    user says what the user likes at all times:

        o_t = Dropout(HistoryConvolution(E[i_{t-window+1}], ..., E[i_t]))
        score(j) = <f(W o_t + b), E[j]> + <p_u, Q[j]> (+ bias_j, with `item_bias`, as in the paper)

    The paper trains on windows of a few items and the next three as targets; here every prefix of
    a history has its next item as target. The paper scores items by vectors of their own
    (`tied=False`).

    Args:
        items: Vocabulary of the items, or their number.
        users: Vocabulary of the users, or their number; None for a model that knows users by their
            history alone.
        dim: Size of item vectors.
        user_dim: Size of user vectors p_u; default `dim`, 0 for none. An unknown user's is zero.
        window: The most recent items that a state is made of.
        heights: How many successive items the horizontal filters cover; default 1 to `window`.
        horizontal_filters: Horizontal filters of each height.
        vertical_filters: Vertical filters.
        activation: The function f: "relu", as in the paper, or another one of Keras.
        max_length: Items of a training sequence, each of which has the next one as target.
        dropout: Rate of the dropout of what the convolutions give.
        embedding_dropout: Rate of the dropout of what the convolutions read.
        tied: Whether items are scored by the vectors they are read by, or by others.
        seed: Seed of initial weights and dropout; None to draw them.
        **kwargs: Arguments of `SequenceModel`, such as `loss` and `similarity`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> model = tfrecs.models.Caser(items=100, users=20, dim=16, seed=1)
        >>> batch = {"user_id": tf.constant([4]), "history": tf.constant([[0, 0, 7, 3, 12]])}
        >>> model.score(batch).shape
        TensorShape([1, 100])
    """

    def __init__(
        self,
        items: Vocabulary | int,
        users: Vocabulary | int | None = None,
        dim: int = 64,
        user_dim: int | None = None,
        window: int = 5,
        heights: Sequence[int] | None = None,
        horizontal_filters: int = 16,
        vertical_filters: int = 4,
        activation: str = "relu",
        max_length: int = 50,
        dropout: float = 0.2,
        embedding_dropout: float = 0.0,
        tied: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(items, max_length, **kwargs)
        check_integer("dim", dim, least=1)
        part_seed = part_seeds(seed, step=100)
        self.embedding = self.make_embedding(dim, part_seed(0), "embedding")
        if not tied:
            self.output_embedding = self.make_embedding(dim, part_seed(1), "output_embedding")
        self.event_embedding = self.make_event_embedding(dim, part_seed(90))
        self.embedding_dropout = Dropout(embedding_dropout, part_seed(2), name="embedding_dropout")
        self.convolution = HistoryConvolution(
            window,
            heights,
            horizontal_filters,
            vertical_filters,
            seed=part_seed(3),
            name="convolution",
        )
        self.state_dropout = Dropout(dropout, part_seed(4), name="state_dropout")
        glorot = keras.initializers.GlorotUniform(part_seed(5))
        self.state_layer = keras.layers.Dense(
            dim, activation, kernel_initializer=glorot, name="state"
        )
        self.user_embedding: ItemEmbedding | None = None
        user_dim = dim if user_dim is None else user_dim
        check_integer("user_dim", user_dim, least=0)
        if users is not None and user_dim:
            self.users = users if isinstance(users, Vocabulary) else None
            self.num_users = users if isinstance(users, int) else len(users)
            self.user_embedding = ItemEmbedding(
                self.num_users, user_dim, seed=part_seed(6), name="user_embedding"
            )
            self.user_item_embedding = ItemEmbedding(
                self.num_items, user_dim, seed=part_seed(7), name="user_item_embedding"
            )
        self.states(tf.ones([1, 1], tf.int32))

    @property
    def feature_ranks(self) -> dict[str, int | None]:
        """The features of a batch of sequences, and their number of axes."""
        users: dict[str, int | None] = {} if self.user_embedding is None else {"user_id": 1}
        return users | super().feature_ranks

    def encode(
        self,
        history: tf.Tensor,
        known: tf.Tensor,
        training: bool,
        last_only: bool,
        events: Features | None = None,
    ) -> tf.Tensor:
        """Returns the state after each item; see `SequenceModel`."""
        if last_only:
            history, known = history[:, -self.window :], known[:, -self.window :]
            events = None if events is None else last_events(events, self.window)
        x = self.embedding_dropout(self.embed(history, known, events), training=training)
        x = self.convolution(x, last_only=last_only)
        return self.state_layer(self.state_dropout(x, training=training))

    def query_states(self, features: Features) -> tf.Tensor:
        """Returns the states `[batch, dim + user_dim]` of users and their histories."""
        return self._with_users(
            SequenceModel.query_states(self, features)[:, tf.newaxis], features
        )[:, 0]

    def targets_loss(
        self, states: tf.Tensor, targets: tf.Tensor, inputs: Features, training: bool
    ) -> tf.Tensor:
        """Returns the mean loss of states, with their users; see `SequenceModel`."""
        states = self._with_users(states, inputs)
        return SequenceModel.targets_loss(self, states, targets, inputs, training)

    def _with_users(self, states: tf.Tensor, features: Features) -> tf.Tensor:
        if self.user_embedding is None:
            return states
        users = self.user_embedding(features["user_id"])[:, tf.newaxis]
        users = tf.repeat(tf.cast(users, states.dtype), tf.shape(states)[1], axis=1)
        return tf.concat([states, users], axis=-1)

    def item_rows(
        self, items: tf.Tensor | None, features: Mapping[str, tf.Tensor] | None
    ) -> tf.Tensor:
        """Returns the vectors `[.., dim + user_dim]` of items for states with their users."""
        rows = SequenceModel.item_rows(self, items, features)
        if self.user_embedding is None:
            return rows
        rows = tf.cast(rows, tf.float32)
        return tf.concat([rows, self.known_rows(self.user_item_embedding, items)], axis=-1)
