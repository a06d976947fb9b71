"""The two-tower model: users and items with features, matched by the product of their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfrecs._keras import tf
from tfrecs.configured import check_integer, registered
from tfrecs.data import FeatureTable, Vocabulary
from tfrecs.layers import FeatureLookup, HistoryPooling, LongShortHistory, Tower
from tfrecs.losses import DotProductScores, FullSoftmax, Loss, SampledSoftmax
from tfrecs.losses.choice import choose_loss
from tfrecs.models.base import Features, Model
from tfrecs.models.similarity import check_similarity, item_side, query_side
from tfrecs.negatives import InBatch, Mixed, StreamingFrequency, Uniform

# With at most this many items, a step computes all item vectors once, for histories and loss.
_SMALL_CATALOGUE = 20_000


@registered
class TwoTower(Model):
    """Two towers: one makes a vector of a user, the other of an item (DSSM, Huang et al., 2013).

        score(u, i) = <user_tower(u), item_tower(i)>

    A tower reads the embedding of an id and the features of a table, by dense layers and, with
    `cross_layers`, explicit feature crosses (see `layers.Tower`). With `pooling` the user tower
    also reads the user's items, as a pool of the item tower's own vectors. An item never seen in
    training gets its vector from its features; `id_dropout` prepares the towers for that.

    Args:
        items: Vocabulary of the items, or their number.
        users: Vocabulary of the users, or their number; None for a model that knows users by their
            history alone.
        user_features: Features of the users.
        item_features: Features of the items.
        dim: Size of vectors.
        id_dim: Size of the ids' embeddings; default `dim`, 0 for no embedding of ids.
        feature_dim: Size of the vectors of categories and numbers among the features.
        hidden_units: Widths of each tower's dense layers before the last.
        cross_layers: Cross layers of each tower.
        pooling: How the history is pooled: "mean", "recency" or "attention", see
            `layers.HistoryPooling`; "long_short", see `layers.LongShortHistory`; None to read none.
        max_length: Items of a history that are read, the most recent ones.
        dropout: Rate of the dropout of what enters a tower's dense layers.
        id_dropout: Rate at which an id is taken for an unknown one in training.
        similarity: "dot", "cosine", or "lorentz" for the negative squared Lorentzian distance (Law
            et al., ICML 2019), whose vectors have two more coordinates.
        temperature: What cosines and distances are divided by; unused with "dot".
        loss: What the model is trained to minimise, or its name. The default is
            `losses.FullSoftmax()` up to 20,000 items. Above, it is a sampled softmax over the batch
            and 1,024 uniform negatives, with logQ correction by estimated frequencies.
        seed: Seed of initial weights, dropouts and the default loss; None to draw them.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If an argument is out of its range, or there is nothing to know a user by.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> model = tfrecs.models.TwoTower(items=100, users=20, dim=8, pooling="mean", seed=1)
        >>> batch = {"user_id": tf.constant([4, 9]), "history": tf.constant([[0, 7], [3, 12]])}
        >>> model.score(batch).shape
        TensorShape([2, 100])
    """

    def __init__(
        self,
        items: Vocabulary | int,
        users: Vocabulary | int | None = None,
        user_features: FeatureTable | None = None,
        item_features: FeatureTable | None = None,
        dim: int = 64,
        id_dim: int | None = None,
        feature_dim: int = 16,
        hidden_units: Sequence[int] = (128,),
        cross_layers: int = 0,
        pooling: str | None = "recency",
        max_length: int = 50,
        dropout: float = 0.1,
        id_dropout: float = 0.1,
        similarity: str = "cosine",
        temperature: float = 0.07,
        loss: Loss | str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(items, **kwargs)
        if users is None and user_features is not None:
            raise ValueError("user_features need the users: their vocabulary or number.")
        if users is None and pooling is None:
            raise ValueError("Without users and history there is nothing to know a user by.")
        check_integer("dim", dim, least=1)
        check_integer("max_length", max_length, least=1)
        check_similarity(similarity, temperature)
        if users is not None:
            self.users = users if isinstance(users, Vocabulary) else None
            self.num_users = self._size(users)
        self.dim = dim
        self.hidden_units = list(hidden_units)
        self.pooling = pooling
        self.max_length = max_length
        self.similarity = similarity
        self.temperature = temperature
        chosen = choose_loss(loss, type(self).__name__)
        self.loss_function = chosen or self._default_loss(seed)
        self.remember(loss=self.loss_function)

        def tower(
            size: int, features: FeatureTable | None, beside_dim: int, index: int, name: str
        ) -> Tower:
            return Tower(
                size,
                dim,
                features,
                dim if id_dim is None else id_dim,
                feature_dim,
                beside_dim,
                hidden_units,
                cross_layers,
                dropout,
                id_dropout,
                seed=None if seed is None else 10 * seed + index,
                name=name,
            )

        self.item_tower = tower(self.num_items, item_features, 0, 0, "item_tower")
        self.history_pooling = None
        if pooling is not None:
            pooling_seed = None if seed is None else 10 * seed + 2
            self.history_pooling = (
                LongShortHistory(seed=pooling_seed, name="history")
                if pooling == "long_short"
                else HistoryPooling(pooling, seed=pooling_seed, name="history")
            )
            # All weights exist from here on: a checkpoint restores into them at once.
            self.history_pooling(tf.zeros([1, 1, dim]))
        self.user_tower = None
        if self.num_users is not None:
            beside_dim = 0 if pooling is None else dim
            self.user_tower = tower(self.num_users, user_features, beside_dim, 1, "user_tower")

    @property
    def feature_ranks(self) -> dict[str, int | None]:
        """The features of a batch of pairs, and their number of axes."""
        ranks: dict[str, int | None] = {"user_id": 1} if self.user_tower is not None else {}
        return ranks | {"item_id": 1} | ({"history": 2} if self.max_history else {})

    def _default_loss(self, seed: int | None) -> Loss:
        if self.num_items <= _SMALL_CATALOGUE:
            return FullSoftmax()
        in_batch = InBatch(frequency=StreamingFrequency(2 * self.num_items), seed=seed)
        return SampledSoftmax(negatives=Mixed([in_batch, Uniform(1024, seed=seed)]))

    @staticmethod
    def _size(ids: Vocabulary | int) -> int:
        return ids if isinstance(ids, int) else len(ids)

    @property
    def feature_lookups(self) -> tuple[FeatureLookup | None, FeatureLookup | None]:
        """The features that the user tower and the item tower read; None for none."""
        return None if self.user_tower is None else self.user_tower.lookup, self.item_tower.lookup

    @property
    def max_history(self) -> int | None:
        """Number of positions of `"history"` that the model reads; None if it reads none."""
        return None if self.pooling is None else self.max_length

    def item_vectors(
        self, items: tf.Tensor | None = None, features: Mapping[str, tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Returns the float32 vectors of items.

        Args:
            items: Ids 1..n, or n + 1 for an item that training did not see; None for all,
                `[n, dim]`.
            features: `[batch, ...]` encoded columns by name, for new items. They replace the
                features that the model stores.
        """
        return self._item_vectors(items, training=False, features=features)

    def query_vectors(self, features: Features) -> tf.Tensor:
        """Returns the float32 vectors `[batch, dim]` of users.

        Args:
            features: `"user_id"` `[batch]`, and `"history"` `[batch, length]`, padded on the left,
                where the model reads it. For new users also encoded columns `"user.<name>"`,
                which replace the features that the model stores.
        """
        return self._query_vectors(features, lambda ids: self._item_vectors(ids, False), False)

    def user_vectors(self, user_ids: tf.Tensor, history: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the float32 vectors of users by their ids; see `query_vectors`."""
        features = {"user_id": tf.convert_to_tensor(user_ids)}
        if history is not None:
            features["history"] = tf.convert_to_tensor(history)
        return self.query_vectors(features)

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Returns the mean loss over the pairs of a batch.

        Args:
            inputs: `"user_id"`, `"item_id"` and, where the model reads it, `"history"`, as `Pairs`
                makes them.
            training: Whether dropouts apply.
        """
        catalogue = _Catalogue(self, training)
        queries = self._query_vectors(inputs, catalogue.rows, training)
        scores = DotProductScores(
            queries,
            self.num_items,
            catalogue.rows,
            catalogue.table,
            inputs.get("user_id"),
            inputs.get("history"),
        )
        weights = inputs.get("sample_weight")
        return self.loss_function(inputs["item_id"], scores, weights, training=training)

    def _query_vectors(self, features: Features, rows: Any, training: bool) -> tf.Tensor:
        pooled = None
        if self.history_pooling is not None:
            history = features["history"][:, -self.max_length :]
            valid = (history > 0) & (history <= self.num_items)
            vectors = rows(tf.where(valid, history, 1))
            if self.similarity == "lorentz":  # Without the two further coordinates.
                vectors = vectors[..., : self.dim]
            pooled = self.history_pooling(vectors, mask=valid)
        vectors = pooled
        if self.user_tower is not None:
            lookup = self.user_tower.lookup
            columns = () if lookup is None else lookup.schema
            given = {c: features[f"user.{c}"] for c in columns if f"user.{c}" in features}
            vectors = self.user_tower(
                features["user_id"], pooled, training=training, features=given
            )
        return query_side(vectors, self.similarity, self.temperature)

    def _item_vectors(
        self,
        items: tf.Tensor | None,
        training: bool,
        features: Mapping[str, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        if items is None:
            items = tf.range(1, self.num_items + 1)
        flat = tf.reshape(items, [-1])
        vectors = self.item_tower(flat, training=training, features=features)
        vectors = item_side(vectors, self.similarity)
        return tf.reshape(vectors, tf.concat([tf.shape(items), [vectors.shape[-1]]], axis=0))


class _Catalogue:
    """Item vectors of one training step: the same dropout for all who ask for them.

    Args:
        model: The model.
        training: Whether dropouts apply.
    """

    def __init__(self, model: TwoTower, training: bool) -> None:
        self._model = model
        self._training = training
        self._all: tf.Tensor | None = None
        self._ids: tf.Tensor | None = None
        self._rows: tf.Tensor | None = None

    def table(self) -> tf.Tensor:
        """Returns the vectors of all items."""
        if self._all is None:
            self._all = self._model._item_vectors(None, self._training)
        return self._all

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the vectors of `ids`, each in 1..n."""
        if self._all is not None or self._model.num_items <= _SMALL_CATALOGUE:
            return tf.gather(self.table(), ids - 1)
        if ids is not self._ids:  # The targets are the negatives of the batch too.
            self._ids, self._rows = ids, self._model._item_vectors(ids, self._training)
        return self._rows
