"""The base of models that read a history and predict the next item at every position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from tfrecs._keras import tf
from tfrecs.configured import check_integer, part_seeds
from tfrecs.data import FeatureTable, Schema, Sequences, TrainSet, Vocabulary
from tfrecs.losses import DotProductScores, FullSoftmax, Loss, NotToRecommend, global_sum
from tfrecs.losses.choice import choose_loss
from tfrecs.models.base import Features
from tfrecs.models.event_reading import EventReading
from tfrecs.models.item_scoring import ItemScoring

if TYPE_CHECKING:
    from typing_extensions import Self


class SequenceModel(EventReading, ItemScoring):
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
        dislike_weight: Weight of a disliked item in the loss, where a target has weight 1. Its loss
            is `losses.NotToRecommend()`. With 0, disliked items are only left out of the targets.
            Default: 1 for a model that `from_split` makes from a log with dislikes, else 0.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    default_batch_size = 32  # Histories, each of many targets.

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
        dislike_weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(items, **kwargs)
        check_integer("max_length", max_length, least=1)
        check_integer("event_dim", event_dim, least=1)
        self.read_events(event_features, event_schema)
        self.max_length = max_length
        self.score_items(similarity, temperature, item_bias)
        self.loss_function = choose_loss(loss, type(self).__name__) or FullSoftmax()
        self.remember(loss=self.loss_function)
        if dislike_weight is not None and not dislike_weight >= 0:
            raise ValueError(f"dislike_weight must not be negative, not {dislike_weight!r}.")
        self.dislike_loss: Loss | None = None
        if dislike_weight:
            seed = part_seeds(getattr(self, "seed", None), step=100)(95)
            self.dislike_loss = NotToRecommend(seed=seed)

    @classmethod
    def from_split(cls, split: Any, **kwargs: Any) -> Self:
        """Returns a model of a split's items, of their features or codes, events and dislikes.

        Args:
            split: A `Split`.
            **kwargs: Other arguments of the model. `event_features` may name any columns of the
                log's interactions.
        """
        if kwargs.get("dislike_weight") is None:
            has_dislikes = getattr(getattr(split, "train", None), "disliked", None) is not None
            kwargs["dislike_weight"] = 1.0 if has_dislikes else 0.0
        return super().from_split(split, **kwargs)

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

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Returns the mean loss over targets and disliked items of a batch from `Sequences`."""
        states = self.states(inputs["history"], training, events=inputs)
        return self.targets_loss(states, inputs["target"], inputs, training)

    def targets_loss(
        self, states: tf.Tensor, targets: tf.Tensor, inputs: Features, training: bool
    ) -> tf.Tensor:
        """Returns the mean loss of states that should score targets high, and disliked items low.

        Args:
            states: `[batch, length, dim]`.
            targets: `[batch, length or more]` item ids, 0 where there is no target. The last
                columns are those of `states`.
            inputs: The batch. Its "user_id", "sample_weight" and "disliked" count, if it has them.
            training: Passed on to the loss.
        """
        loss = self._mean_loss_of(self.loss_function, states, targets, inputs, training)
        if self.dislike_loss is None or "disliked" not in inputs:
            return loss
        disliked = inputs["disliked"]
        of_disliked = self._mean_loss_of(self.dislike_loss, states, disliked, inputs, training)
        # Each is a mean over its own items; together they are one over both.
        length = tf.shape(states)[1]
        weight = global_sum(_count(targets, inputs, length))
        more = self.dislike_weight * global_sum(_count(disliked, inputs, length))
        return tf.math.divide_no_nan(weight * loss + more * of_disliked, weight + more)

    def target_count(self, features: Features) -> tf.Tensor:
        """Returns how many targets and disliked items the batch has, or the sum of their weights.

        A disliked item counts `dislike_weight` times.
        """
        count = _count(features["target"], features)
        if self.dislike_loss is None or "disliked" not in features:
            return count
        return count + self.dislike_weight * _count(features["disliked"], features)

    def _mean_loss_of(
        self, loss: Loss, states: tf.Tensor, items: tf.Tensor, inputs: Features, training: bool
    ) -> tf.Tensor:
        """Returns the mean of a loss over the items of a batch; arguments as in `targets_loss`."""
        length = tf.shape(states)[1]
        users = inputs.get("user_id")
        if users is not None:
            users = tf.repeat(users, length)
        weights = inputs.get("sample_weight")
        if weights is not None:
            weights = tf.reshape(weights[:, -length:], [-1])
        items = tf.reshape(items[:, -length:], [-1])
        valid = items > 0 if self.static_shapes else None
        states, items, weights, users = self.valid_targets(
            tf.reshape(states, [-1, states.shape[-1]]), items, users, weights
        )
        scores = DotProductScores(
            self._query(states),
            self.num_items,
            self.item_vectors,
            self.item_vectors,
            users,
            valid=valid,
        )
        return loss(items, scores, weights, training=training)


def _count(items: tf.Tensor, inputs: Features, length: tf.Tensor | int = 0) -> tf.Tensor:
    """Returns how many items that are not 0 a batch has, or the sum of their weights.

    Args:
        items: `[batch, columns]`.
        inputs: The batch, with the weights if there are some.
        length: How many of the last columns count; 0 for all.
    """
    weights = inputs.get("sample_weight")
    if weights is None:
        return tf.cast(tf.math.count_nonzero(items[:, -length:]), tf.float32)
    weights = tf.where(items > 0, tf.cast(weights, tf.float32), 0.0)
    return tf.reduce_sum(weights[:, -length:])
