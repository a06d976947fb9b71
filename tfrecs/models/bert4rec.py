"""BERT4Rec: a bidirectional transformer that fills in masked items."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import check_integer, part_seeds, registered
from tfrecs.data import Vocabulary
from tfrecs.layers import (
    Dropout,
    LayerNormalization,
    SASRecBlock,
    StepCounter,
    padding_mask,
)
from tfrecs.models.base import Features
from tfrecs.models.sequence import SequenceModel


@registered
class BERT4Rec(SequenceModel):
    """BERT4Rec (Sun et al., CIKM 2019).

    "BERT4Rec: sequential recommendation with bidirectional encoder representations from
    transformer". Some items of a history are replaced by a mask, and a transformer that reads in
    both directions finds them again. A query is a history with a mask behind it:

        x_t = Dropout(LayerNorm(E[i_t] + P[positions from the end]))
        h = Block(... Block(x))
        score(j) = <LayerNorm(GELU(W h_t + b)), E[j]> (+ bias_j, with `item_bias`, as in the paper)

    Masks are drawn in every step. A share of the sequences, `prefixes`, is cut behind a random
    item, which alone is masked: a query as it will be asked. Of the others any item may be masked,
    and the last one always is. The paper has no cuts, and masks only the last item of a copy of
    each sequence. The first item of a sequence is read, and never a target.

    The model learns from fewer targets a step than SASRec, and needs several times its epochs
    (Petrov and Macdonald, "A systematic review and replicability study of BERT4Rec", RecSys 2022).

    Args:
        items: Vocabulary of the items, or their number.
        dim: Size of vectors, d.
        num_blocks: Transformer blocks.
        num_heads: Attention heads; must divide `dim`.
        hidden_dim: Width of the feed-forward layers; default `4 * dim`.
        max_length: The most recent items of a history that are read; the mask has one more
            position.
        dropout: Rate of all dropouts.
        mask_probability: Probability that an item before the last is masked.
        prefixes: Share of the sequences that are cut behind a random item, the only one masked.
        norm: "post", as in the paper, or "pre"; see `SASRecBlock`.
        position: "relative" or "rotary" for what the attention itself knows of positions, beside
            the vectors of positions; None, as in the paper, for nothing. See
            `layers.SelfAttention`.
        seed: Seed of initial weights, dropout and masks; None to draw them.
        **kwargs: Arguments of `SequenceModel`, such as `loss` and `similarity`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> model = tfrecs.models.BERT4Rec(items=100, dim=16, max_length=5, seed=1)
        >>> model.score({"history": tf.constant([[0, 0, 7, 3, 12]])}).shape
        TensorShape([1, 100])
    """

    def __init__(
        self,
        items: Vocabulary | int,
        dim: int = 64,
        num_blocks: int = 2,
        num_heads: int = 2,
        hidden_dim: int | None = None,
        max_length: int = 50,
        dropout: float = 0.2,
        mask_probability: float = 0.2,
        prefixes: float = 0.5,
        norm: str = "post",
        position: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(items, max_length, **kwargs)
        check_integer("dim", dim, least=1)
        check_integer("num_blocks", num_blocks, least=1)
        if dim % num_heads:
            raise ValueError(f"num_heads ({num_heads}) must divide dim ({dim}).")
        for name, share in (("mask_probability", mask_probability), ("prefixes", prefixes)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be in [0, 1], not {share!r}.")
        part_seed = part_seeds(seed, step=100)

        def vectors(name: str, number: int, index: int) -> Any:
            init = keras.initializers.RandomNormal(stddev=0.02, seed=part_seed(index))
            return self.add_weight(name=name, shape=(number, dim), initializer=init)

        self.embedding = self.make_embedding(dim, part_seed(0), "embedding")
        self.event_embedding = self.make_event_embedding(dim, part_seed(90))
        self.mask_vector = vectors("mask_vector", 1, 1)
        self.positions = vectors("positions", max_length + 1, 2)
        self.embedding_norm = LayerNormalization(name="embedding_norm")
        self.embedding_dropout = Dropout(dropout, part_seed(3), name="embedding_dropout")
        self.mask_counter = StepCounter(part_seed(4), name="mask_counter")
        self.blocks = [
            SASRecBlock(
                num_heads,
                hidden_dim or 4 * dim,
                dropout,
                norm,
                activation="gelu",
                position=position,
                max_distance=max_length,
                seed=part_seed(6 + i),
                name=f"block_{i}",
            )
            for i in range(num_blocks)
        ]
        glorot = keras.initializers.GlorotUniform(part_seed(5))
        self.head = keras.layers.Dense(dim, "gelu", kernel_initializer=glorot, name="head")
        self.head_norm = LayerNormalization(name="head_norm")
        self.states(tf.ones([1, 1], tf.int32))

    @property
    def mask_id(self) -> int:
        """The id that stands for a masked item."""
        return self.num_items + 2  # Behind the id of unknown items.

    def encode(
        self,
        history: tf.Tensor,
        known: tf.Tensor,
        training: bool,
        last_only: bool,
        events: Features | None = None,
    ) -> tf.Tensor:
        """Returns the state at each item, read with all others; see `SequenceModel`.

        Args:
            history: `[batch, length]`, of which some may be `mask_id`; at most `max_length + 1`.
            known: As in `SequenceModel`.
            training: As there.
            last_only: As there.
            events: As there; those of masked items are not read.
        """
        masked = history == self.mask_id
        x = self.embed(history, known, events)
        x += tf.cast(masked, x.dtype)[..., tf.newaxis] * tf.cast(self.mask_vector, x.dtype)
        # The last place has the last position, at any length.
        x += tf.cast(self.positions, x.dtype)[self.max_length + 1 - tf.shape(history)[1] :]
        x = self.embedding_dropout(self.embedding_norm(x), training=training)
        readable = padding_mask(known | masked)
        for block in self.blocks[:-1]:
            x = block(x, readable, training=training)
        x = self.blocks[-1](x, readable, training=training, last_only=last_only)
        return self.head_norm(self.head(x))

    def query_states(self, features: Features) -> tf.Tensor:
        """Returns the states `[batch, dim]` of masks behind each `features["history"]`."""
        history = features["history"][:, -self.max_length :]
        mask = tf.fill([tf.shape(history)[0], 1], tf.cast(self.mask_id, history.dtype))
        sequence = tf.concat([history, mask], axis=1)
        return self._encode(sequence, False, True, self._before_mask(features))[:, 0]

    def masked(self, inputs: Features, training: bool) -> Features:
        """Masks items of a batch from `Sequences`.

        Args:
            inputs: The batch.
            training: Whether to draw masks; else only the last item of each sequence is masked.

        Returns:
            The batch with one more column: `"history"` has all items, `mask_id` where they are
            masked, and `"target"` the masked items, 0 elsewhere; `"disliked"` likewise.
        """
        columns: Features = {
            name: tf.pad(inputs[name][:, -self.max_length :], [[0, 0], [1, 0]])
            for name in ("target", "disliked", "sample_weight")
            if name in inputs
        }
        # An item is a target, or disliked, or neither where nothing precedes it.
        following = columns["target"] + columns.get("disliked", 0)
        history = inputs["history"][:, -self.max_length :]
        columns["history"] = tf.concat([history, following[:, -1:]], axis=1)
        columns |= self._before_mask(inputs)
        rows, length = tf.unstack(tf.shape(columns["history"]))
        chosen = tf.broadcast_to(tf.range(length) == length - 1, [rows, length])
        if training:
            cut = self.mask_counter.uniform([rows]) < self.prefixes
            drawn = self.mask_counter.uniform([rows, length]) < self.mask_probability
            chosen |= drawn & ~cut[:, tf.newaxis]
            count = tf.math.count_nonzero(following, axis=1, dtype=tf.float32)
            behind = tf.cast(self.mask_counter.uniform([rows]) * count, tf.int32)
            behind = tf.where(cut, behind, 0)
            columns = {name: _shifted(column, behind) for name, column in columns.items()}
        # Without a loss of their own, disliked items are read and not masked.
        learned = columns["target"] > 0
        if self.dislike_loss is not None and "disliked" in columns:
            learned |= columns["disliked"] > 0
        chosen &= learned
        mask = tf.cast(self.mask_id, history.dtype)
        columns["history"] = tf.where(chosen, mask, columns["history"])
        for name in ("target", "disliked", "sample_weight"):
            if name in columns:
                columns[name] = tf.where(chosen, columns[name], tf.zeros_like(columns[name]))
        return {**inputs, **columns}

    def loss_and_count(self, features: Features, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the mean loss over the masked items of a batch, and their number or weight."""
        masked = self.masked(features, training)
        states = self._encode(masked["history"], training, False, masked)
        loss = self.targets_loss(states, masked["target"], masked, training)
        return loss, self.target_count(masked)

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Returns the mean loss over the masked items of a batch from `Sequences`."""
        return self.loss_and_count(inputs, training)[0]

    def _before_mask(self, features: Features) -> Features:
        """Returns the columns of the events, with a place for the mask behind them."""
        events = self._events(features).get("events", {})
        return {
            n: tf.pad(x, [[0, 0], [0, 1]] + [[0, 0]] * (x.shape.rank - 2))
            for n, x in events.items()
        }

    def _encode(
        self,
        sequence: tf.Tensor,
        training: bool,
        last_only: bool,
        events: Features | None = None,
    ) -> tf.Tensor:
        known = (sequence > 0) & (sequence <= self.num_items)
        given = {} if self.event_inputs is None else {"events": events}
        return self.encode(sequence, known, training, last_only, **given)


def _shifted(rows: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Shifts rows `[batch, length, ..]` to the right by so many `places` `[batch]`; zeros enter."""
    source = tf.range(tf.shape(rows)[1]) - places[:, tf.newaxis]
    moved = tf.gather(rows, tf.maximum(source, 0), batch_dims=1)
    inside = source >= 0
    for _ in range(rows.shape.rank - 2):
        inside = inside[..., tf.newaxis]
    return tf.where(inside, moved, tf.zeros_like(moved))
