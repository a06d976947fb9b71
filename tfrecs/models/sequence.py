"""The base of models that read a history and predict the next item at every position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tfrecs._keras import tf
from tfrecs.configured import check_integer
from tfrecs.data import FeatureTable, Schema, Sequences, TrainSet, Vocabulary
from tfrecs.layers import (
    FeaturedItemEmbedding,
    FeatureLookup,
    ItemEmbedding,
    QuantizedItemEmbedding,
)
from tfrecs.losses import DotProductScores, FullSoftmax, Loss
from tfrecs.losses.choice import choose_loss
from tfrecs.models.base import Features
from tfrecs.models.event_reading import EventReading
from tfrecs.models.quantizing import quantized_copy
from tfrecs.models.similarity import check_similarity, item_side, query_side

if TYPE_CHECKING:
    from typing_extensions import Self


class SequenceModel(EventReading):
    """Scores items by the product of a state, read from the history, and an item's vector.

    A subclass makes an `embedding` of items by `make_embedding`, implements `encode`, and calls
    `states` once at the end of its constructor, so that all weights exist from then on. Where items
    are scored by other vectors than they are read by, it makes an `output_embedding` too. Where the
    state that answers a query is not the last one of `states`, it overrides `query_states`. What a
    log tells of the events of a history is part of what `embed` returns, where the subclass makes
    an `event_embedding` by `make_event_embedding`.

    Args:
        items: Vocabulary of the items, or their number.
        max_length: The most recent items of a history that are read.
        similarity: "dot"; "cosine" for the cosine of the two vectors over `temperature`, which
            bounds the score and regularises well; or "lorentz" for the negative squared Lorentzian
            distance over `temperature`, a similarity of hyperbolic space (Law et al., ICML 2019).
        temperature: Divides cosines and distances; unused with "dot".
        item_features: Features of the items, which `feature_dim` puts to use.
        feature_dim: Size of the vectors of the features' categories and numbers, of which a
            projection is added to the items' vectors (see `layers.FeaturedItemEmbedding`); 0 to
            leave features out.
        code_length: Codes of an item, if its vectors are product-quantised (see
            `layers.QuantizedItemEmbedding`); must divide their size. 0 for a plain table. Codes
            come from the split (`from_split`) or from trained vectors (`quantized`), and are
            random where the model is made without either.
        num_centroids: Centroids of each sub-vector; unused with `code_length` 0.
        item_bias: Whether each item has a learned number that is added to its score; only with
            "dot".
        loss: What the model is trained to minimise, or its name; default `losses.FullSoftmax()`.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    default_batch_size = 32  # Histories, each of many targets.
    embedding: ItemEmbedding

    def __init__(
        self,
        items: Vocabulary | int,
        max_length: int = 50,
        similarity: str = "dot",
        temperature: float = 0.07,
        item_features: FeatureTable | None = None,
        feature_dim: int = 0,
        code_length: int = 0,
        num_centroids: int = 256,
        event_features: Sequence[str] | None = None,
        event_schema: Schema | None = None,
        event_dim: int = 16,
        item_bias: bool = False,
        loss: Loss | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(items, **kwargs)
        check_integer("max_length", max_length, least=1)
        check_similarity(similarity, temperature)
        check_integer("feature_dim", feature_dim, least=0)
        check_integer("code_length", code_length, least=0)
        if code_length and feature_dim:
            raise ValueError(
                "code_length quantises vectors of ids, and feature_dim adds features to them: "
                "give one of the two."
            )
        if item_bias and similarity != "dot":
            raise ValueError(f'item_bias needs similarity "dot", not {similarity!r}.')
        check_integer("event_dim", event_dim, least=1)
        self.read_events(event_features, event_schema)
        self.max_length = max_length
        self.similarity = similarity
        self.temperature = temperature
        # Not of the class: Keras tracks no layer under a name that the class has.
        self.output_embedding: ItemEmbedding | None = None
        self.item_bias: ItemEmbedding | None = None
        if item_bias:
            self.item_bias = ItemEmbedding(self.num_items, 1, "zeros", name="item_bias")
        self.loss_function = choose_loss(loss, type(self).__name__) or FullSoftmax()
        self.remember(loss=self.loss_function)

    @classmethod
    def from_split(cls, split: Any, **kwargs: Any) -> Self:
        """Returns a model of a split's items, of their features or codes, and of events.

        Args:
            split: A `Split`.
            **kwargs: Other arguments of the model. `event_features` may name any columns of the
                log's interactions.
        """
        if not kwargs.get("feature_dim"):
            kwargs.setdefault("item_features", None)  # Encoding them takes time.
        elif getattr(split, "item_frame", None) is None and "item_features" not in kwargs:
            raise ValueError(
                f"{cls.__name__}: feature_dim is {kwargs['feature_dim']}, and the data have no "
                "features of items."
            )
        model = super().from_split(split, **kwargs)
        for embedding in (model.embedding, model.output_embedding):
            if isinstance(embedding, QuantizedItemEmbedding):
                embedding.adapt(split.train)
        return model

    def make_embedding(self, dim: int, seed: int | None, name: str) -> ItemEmbedding:
        """Returns a new table of item vectors: plain, quantised, or with the items' features."""
        if self.code_length:
            return QuantizedItemEmbedding(
                self.num_items, dim, self.code_length, self.num_centroids, seed, name=name
            )
        if self.item_features is None or not self.feature_dim:
            return ItemEmbedding(self.num_items, dim, seed=seed, name=name)
        return FeaturedItemEmbedding(
            self.num_items, dim, self.item_features, self.feature_dim, seed, name=name
        )

    def embed(self, history: tf.Tensor, known: tf.Tensor, events: Features | None) -> tf.Tensor:
        """Returns the vectors of a history's items, to which those of their events are added.

        Args:
            history: `[batch, length]` item ids.
            known: `[batch, length]` bool, False where there is no event.
            events: As `encode` takes them.
        """
        x = self.embedding(history)
        if self.event_embedding is None or events is None:
            return x
        columns = {n: events[f"history.{n}"] for n in self.event_embedding.schema}
        added = tf.cast(self.event_embedding(columns), x.dtype)
        return x + tf.where(known[..., tf.newaxis], added, tf.zeros([], x.dtype))

    def quantized(self, code_length: int, num_centroids: int = 256) -> Self:
        """Returns this trained model with its items product-quantised.

        Codes and centroids are by k-means of the trained vectors, and lose less than codes of the
        log (`from_split`). A few epochs of further training bring back a part of what is lost.

        Args:
            code_length: Codes of an item, see `layers.QuantizedItemEmbedding`.
            num_centroids: Centroids of each sub-vector.

        Raises:
            ValueError: If the items' vectors are quantised already, or hold features.

        Example:
            >>> import tfrecs
            >>> model = tfrecs.models.SASRec(items=100, dim=16, max_length=5, seed=1)
            >>> model.quantized(code_length=8, num_centroids=16).embedding.codes().shape
            (100, 8)
        """
        return quantized_copy(self, code_length, num_centroids)

    def encode(
        self,
        history: tf.Tensor,
        known: tf.Tensor,
        training: bool,
        last_only: bool,
        events: Features | None = None,
    ) -> tf.Tensor:
        """Returns the state after each item, `[batch, length, dim]`; at padding, anything.

        Args:
            history: `[batch, length]` item ids, padded with 0 on the left; at most `max_length`.
            known: `[batch, length]` bool, False at padding and unknown items.
            training: Whether dropout applies.
            last_only: Whether the state after the last item is enough, `[batch, 1, dim]`.
            events: What a batch has of the events, `"history.<column>"` and `"history_time"`
                `[batch, length, ..]` and `"request_time"` `[batch]`, as far as `event_inputs` names
                them; None for none. A model without `event_inputs` is called without this argument.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement encode.")

    def states(
        self,
        history: tf.Tensor,
        training: bool = False,
        last_only: bool = False,
        events: Features | None = None,
    ) -> tf.Tensor:
        """Returns the state after each of the last `max_length` items of a history.

        Args:
            history: `[batch, length]` item ids, padded with 0 on the left.
            training: Whether dropout applies.
            last_only: Whether to return the state after the last item only, at less cost.
            events: The batch's columns of the events, if the model reads some; None to read the
                items alone.

        Returns:
            `[batch, min(length, max_length), dim]`, or `[batch, 1, dim]` with `last_only`; values
            at padding mean nothing.
        """
        history = history[:, -self.max_length :]
        known = (history > 0) & (history <= self.num_items)
        return self.encode(history, known, training, last_only, **self._events(events))

    def examples(self, train: TrainSet, windows: Literal["last", "all"] = "all") -> Sequences:
        """Returns the training sequences of a split; see `Sequences`."""
        return train.sequences(self.max_length, windows, self.event_inputs)

    @property
    def feature_ranks(self) -> dict[str, int | None]:
        """The features of a batch of sequences, and their number of axes."""
        specs = {} if self.event_inputs is None else self.event_inputs.specs()
        return {"history": 2, "target": 2} | {n: spec.shape.rank for n, spec in specs.items()}

    @property
    def max_history(self) -> int:
        """Number of positions of `"history"` that the model reads."""
        return self.max_length

    def query_states(self, features: Features) -> tf.Tensor:
        """Returns the states `[batch, dim]` that answer queries with `features["history"]`."""
        return self.states(features["history"], last_only=True, events=features)[:, 0]

    def query_vectors(self, features: Features) -> tf.Tensor:
        """Returns the float32 vectors `[batch, dim]` of users with `features["history"]`.

        With "lorentz" these and `item_vectors` have two more coordinates.
        """
        return self._query(self.query_states(features))

    @property
    def feature_lookups(self) -> tuple[FeatureLookup | None, FeatureLookup | None]:
        """The features of users, of which the model reads none, and those of items or None."""
        return None, getattr(self.output_embedding or self.embedding, "lookup", None)

    @property
    def has_item_codes(self) -> bool:
        """Whether the vectors that items are scored by are product-quantised."""
        return isinstance(self.output_embedding or self.embedding, QuantizedItemEmbedding)

    @property
    def read_tables(self) -> list[ItemEmbedding]:
        """The table that histories are read by, where it is plain."""
        return [self.embedding] if type(self.embedding) is ItemEmbedding else []

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
        vectors = item_side(self.item_rows(items, features), self.similarity)
        if self.item_bias is not None:
            # The bias is one more coordinate, and the queries have a 1 there.
            vectors = tf.concat([vectors, self.known_rows(self.item_bias, items)], axis=-1)
        return vectors

    def item_rows(
        self, items: tf.Tensor | None, features: Mapping[str, tf.Tensor] | None
    ) -> tf.Tensor:
        """Returns the vectors that items are scored by, before similarity and bias."""
        embedding = self.output_embedding or self.embedding
        if isinstance(embedding, FeaturedItemEmbedding):
            return embedding.rows(items, features)
        return embedding.rows(items)

    def known_rows(self, embedding: ItemEmbedding, items: tf.Tensor | None) -> tf.Tensor:
        """Returns float32 rows of a table; zeros for an item that training did not see."""
        if items is None:
            return tf.cast(embedding.rows(), tf.float32)
        rows = tf.cast(embedding.rows(tf.minimum(items, self.num_items)), tf.float32)
        return tf.where((items <= self.num_items)[..., tf.newaxis], rows, 0.0)

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Returns the mean loss over the targets of a batch from `Sequences`."""
        states = self.states(inputs["history"], training, events=inputs)
        return self.targets_loss(states, inputs["target"], inputs, training)

    def targets_loss(
        self, states: tf.Tensor, targets: tf.Tensor, inputs: Features, training: bool
    ) -> tf.Tensor:
        """Returns the mean loss of states that should score their targets highest.

        Args:
            states: `[batch, length, dim]`.
            targets: `[batch, length or more]` item ids, 0 where there is no target. The last
                columns are those of `states`.
            inputs: The batch, whose users and weights of targets count if it has them.
            training: Passed on to the loss.
        """
        length = tf.shape(states)[1]
        users = inputs.get("user_id")
        if users is not None:
            users = tf.repeat(users, length)
        weights = inputs.get("sample_weight")
        if weights is not None:
            weights = tf.reshape(weights[:, -length:], [-1])
        targets = tf.reshape(targets[:, -length:], [-1])
        valid = targets > 0 if self.static_shapes else None
        states, targets, weights, users = self.valid_targets(
            tf.reshape(states, [-1, states.shape[-1]]), targets, users, weights
        )
        scores = DotProductScores(
            self._query(states),
            self.num_items,
            self.item_vectors,
            self.item_vectors,
            users,
            valid=valid,
        )
        return self.loss_function(targets, scores, weights, training=training)

    def target_count(self, features: Features) -> tf.Tensor:
        """Returns how many targets the batch has, or the sum of their weights."""
        if "sample_weight" in features:
            return super().target_count(features)
        return tf.cast(tf.math.count_nonzero(features["target"]), tf.float32)

    def _query(self, states: tf.Tensor) -> tf.Tensor:
        queries = query_side(states, self.similarity, self.temperature)
        if self.item_bias is not None:
            queries = tf.concat([queries, tf.ones_like(queries[..., :1])], axis=-1)
        return queries
