"""SASRec: self-attentive sequential recommendation."""

from __future__ import annotations

from typing import Any, Literal

from tfrecs._keras import keras, tf
from tfrecs.data import Sequences, TrainSet, Vocabulary
from tfrecs.layers import (
    Dropout,
    ItemEmbedding,
    LayerNormalization,
    SASRecBlock,
    causal_mask,
    unit_vectors,
)
from tfrecs.losses import DotProductScores, FullSoftmax, Loss
from tfrecs.losses.choice import choose_loss
from tfrecs.models.base import Features, Model

SIMILARITIES = ("dot", "cosine")


@keras.utils.register_keras_serializable("tfrecs")
class SASRec(Model):
    """SASRec (Kang and McAuley, "Self-attentive sequential recommendation", ICDM 2018).

    A transformer reads a user's history and predicts the next item at every position:

        x_t = sqrt(d) E[i_t] + P[positions from the most recent item]
        h = LayerNorm(Block(... Block(Dropout(x))))
        score(j) = <h_t, E[j]>

    with `Block` the paper's (see `SASRecBlock`). With `similarity="cosine"` the score is the cosine
    of the two vectors over `temperature`, which bounds it and regularises well. The paper trains
    with binary cross-entropy and one negative, which the authors' code draws from the items that
    the user does not know: `losses.BinaryCrossEntropy(negatives=negatives.Uniform(1, shared=False,
    known=negatives.KnownItems.from_split(split)))`. Softmax over the
    catalogue, the default here, is far better on the same architecture (Klenitskiy and Vasilev,
    "Turning dross into gold loss", RecSys 2023).

    Args:
        items: Vocabulary of the items, or their number.
        dim: Size of vectors, d.
        num_blocks: Transformer blocks.
        num_heads: Attention heads; must divide `dim`.
        hidden_dim: Width of the feed-forward layers; default `dim`.
        max_length: Positions: the most recent items of a history that are read.
        dropout: Rate of all dropouts.
        norm: "paper", "pre" or "post"; see `SASRecBlock`.
        similarity: "dot" or "cosine".
        temperature: What cosines are divided by; unused with "dot".
        scale_embedding: Whether item vectors enter the blocks multiplied by sqrt(d).
        tied: Whether items are scored by the vectors they are read by, or by others.
        loss: What the model is trained to minimise, or its name; default `losses.FullSoftmax()`.
        seed: Seed of initial weights, dropout and the default loss; None to draw them.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> model = tfrecs.models.SASRec(items=100, dim=16, max_length=5, seed=1)
        >>> model.score({"history": tf.constant([[0, 0, 7, 3, 12]])}).shape
        TensorShape([1, 100])
    """

    # Histories, each of many targets.
    default_batch_size = 32

    def __init__(
        self,
        items: Vocabulary | int,
        dim: int = 64,
        num_blocks: int = 2,
        num_heads: int = 1,
        hidden_dim: int | None = None,
        max_length: int = 50,
        dropout: float = 0.2,
        norm: str = "paper",
        similarity: str = "dot",
        temperature: float = 0.07,
        scale_embedding: bool = True,
        tied: bool = True,
        loss: Loss | str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(items, **kwargs)
        if dim < 1 or num_blocks < 1 or max_length < 1:
            raise ValueError(
                "dim, num_blocks and max_length must be at least 1, not "
                f"{dim}, {num_blocks} and {max_length}."
            )
        if dim % num_heads:
            raise ValueError(f"num_heads ({num_heads}) must divide dim ({dim}).")
        if similarity not in SIMILARITIES:
            raise ValueError(f"similarity must be dot or cosine, not {similarity!r}.")
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, not {temperature!r}.")
        self.dim = dim
        self.num_blocks = num_blocks
        self.num_heads = num_heads
        self.hidden_dim = hidden_dim
        self.max_length = max_length
        self.dropout = dropout
        self.norm = norm
        self.similarity = similarity
        self.temperature = temperature
        self.scale_embedding = scale_embedding
        self.tied = tied
        self.loss_function = choose_loss(loss, type(self).__name__) or FullSoftmax()
        self.seed = seed

        def part_seed(index: int) -> int | None:
            return None if seed is None else 1000 * seed + 100 * index

        self.embedding = ItemEmbedding(self.num_items, dim, seed=part_seed(0), name="embedding")
        self.output_embedding = self.embedding
        if not tied:
            self.output_embedding = ItemEmbedding(
                self.num_items, dim, seed=part_seed(1), name="output_embedding"
            )
        self.positions = self.add_weight(
            name="positions",
            shape=(max_length, dim),
            initializer=keras.initializers.RandomNormal(stddev=0.02, seed=part_seed(2)),
        )
        self.embedding_dropout = Dropout(dropout, part_seed(3), name="embedding_dropout")
        self.blocks = [
            SASRecBlock(
                num_heads, hidden_dim, dropout, norm, seed=part_seed(5 + i), name=f"block_{i}"
            )
            for i in range(num_blocks)
        ]
        self.final_norm = LayerNormalization(name="final_norm")
        # All weights exist from here on: a checkpoint restores into them at once.
        self.states(tf.ones([1, 1], tf.int32))

    def examples(self, train: TrainSet, windows: Literal["last", "all"] = "all") -> Sequences:
        """Returns the training sequences of a split; see `Sequences`."""
        return train.sequences(self.max_length, windows)

    @property
    def feature_ranks(self) -> dict[str, int | None]:
        """The features of a batch of sequences, and their number of axes."""
        return {"history": 2, "target": 2}

    @property
    def max_history(self) -> int:
        """Number of positions of `"history"` that the model reads."""
        return self.max_length

    def states(
        self, history: tf.Tensor, training: bool = False, last_only: bool = False
    ) -> tf.Tensor:
        """Returns what the model knows after each item of a history.

        Args:
            history: `[batch, length]` item ids, padded on the left; the last `max_length` are read.
            training: Whether dropout applies.
            last_only: Whether to return the state after the last item only, at less cost.

        Returns:
            `[batch, min(length, max_length), dim]`, or `[batch, 1, dim]` with `last_only`; values
            at padding mean nothing.
        """
        history = history[:, -self.max_length :]
        valid = (history > 0) & (history <= self.num_items)
        x = self.embedding(history)
        if self.scale_embedding:
            x *= self.dim**0.5
        # Positions count from the most recent item: its row is the last, at any length.
        x += tf.cast(self.positions, x.dtype)[self.max_length - tf.shape(history)[1] :]
        x = self.embedding_dropout(x, training=training)
        mask = causal_mask(valid)
        for block in self.blocks:
            last = last_only and block is self.blocks[-1]
            x = block(x, mask, training=training, last_only=last)
        return self.final_norm(x)

    def query_vectors(self, features: Features) -> tf.Tensor:
        """Returns the float32 vectors `[batch, dim]` of users with `features["history"]`."""
        return self._query(self.states(features["history"], last_only=True)[:, 0])

    def item_vectors(self, items: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the float32 vectors of `items` (ids 1..n); None for all, `[n, dim]`."""
        embedding = self.output_embedding
        vectors = tf.convert_to_tensor(embedding.table) if items is None else embedding.rows(items)
        return unit_vectors(vectors) if self.similarity == "cosine" else vectors

    def call(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Returns the scores of all items for each history: `score(inputs)`."""
        return self.score(inputs)

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Returns the mean loss over the targets of a batch from `Sequences`."""
        states = tf.reshape(self.states(inputs["history"], training), [-1, self.dim])
        targets = inputs["target"][:, -self.max_length :]
        users = inputs.get("user_id")
        if users is not None:
            users = tf.repeat(users, tf.shape(targets)[1])
        weights = inputs.get("sample_weight")
        if weights is not None:
            weights = tf.reshape(weights[:, -self.max_length :], [-1])
        states, targets, weights, users = self.valid_targets(
            states, tf.reshape(targets, [-1]), users, weights
        )
        scores = DotProductScores(
            self._query(states), self.num_items, self.item_vectors, self.item_vectors, users
        )
        return self.loss_function(targets, scores, weights)

    def target_count(self, features: Features) -> tf.Tensor:
        """Returns how many targets the batch has, or the sum of their weights."""
        if "sample_weight" in features:
            return super().target_count(features)
        return tf.cast(tf.math.count_nonzero(features["target"]), tf.float32)

    def _query(self, states: tf.Tensor) -> tf.Tensor:
        states = tf.cast(states, tf.float32)
        if self.similarity == "cosine":
            return unit_vectors(states) / self.temperature
        return states

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "items": self.items.get_config() if self.items else self.num_items,
            "dim": self.dim,
            "num_blocks": self.num_blocks,
            "num_heads": self.num_heads,
            "hidden_dim": self.hidden_dim,
            "max_length": self.max_length,
            "dropout": self.dropout,
            "norm": self.norm,
            "similarity": self.similarity,
            "temperature": self.temperature,
            "scale_embedding": self.scale_embedding,
            "tied": self.tied,
            "loss": keras.utils.serialize_keras_object(self.loss_function),
            "seed": self.seed,
        }
