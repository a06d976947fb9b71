"""GRU4Rec: recurrent sequential recommendation."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import check_integer, part_seeds, registered
from tfrecs.data import Vocabulary
from tfrecs.layers import Dropout
from tfrecs.models.base import Features
from tfrecs.models.sequence import SequenceModel


@registered
class GRU4Rec(SequenceModel):
    """GRU4Rec (Hidasi et al., "Session-based recommendations with RNNs", ICLR 2016).

    A gated recurrent network reads a user's history and predicts the next item at every position:

        h_t = GRU(h_{t-1}, Dropout(E[i_t]))
        score(j) = <W Dropout(h_t) + b, E[j]>

    The paper trains by ranking losses over the items of the other sessions of a batch; the default
    here is softmax over the catalogue. The authors' later code scores items by the vectors that it
    reads (`tied`) and trains with negatives drawn by popularity:
    `losses.SampledSoftmax(negatives=negatives.Popularity(...))` or `losses.BPRMax` (Hidasi and
    Karatzoglou, "Recurrent neural networks with top-k gains", CIKM 2018).

    Args:
        items: Vocabulary of the items, or their number.
        dim: Size of item vectors.
        hidden_dim: Size of the recurrent state; default `dim`.
        num_layers: Recurrent layers.
        dropout: Rate of the dropout of what enters the network.
        hidden_dropout: Rate of the dropout of the states of each layer.
        tied: Whether items are scored by the vectors they are read by, or by others.
        seed: Seed of initial weights and dropout; None to draw them.
        **kwargs: Arguments of `SequenceModel`, such as `max_length` and `loss`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> model = tfrecs.models.GRU4Rec(items=100, dim=16, seed=1)
        >>> model.score({"history": tf.constant([[0, 0, 7, 3, 12]])}).shape
        TensorShape([1, 100])
    """

    def __init__(
        self,
        items: Vocabulary | int,
        dim: int = 64,
        hidden_dim: int | None = None,
        num_layers: int = 1,
        dropout: float = 0.2,
        hidden_dropout: float = 0.0,
        tied: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(items, **kwargs)
        check_integer("dim", dim, least=1)
        check_integer("num_layers", num_layers, least=1)
        part_seed = part_seeds(seed, step=100)
        self.embedding = self.make_embedding(dim, part_seed(0), "embedding")
        if not tied:
            self.output_embedding = self.make_embedding(dim, part_seed(50), "output_embedding")
        self.event_embedding = self.make_event_embedding(dim, part_seed(90))
        self.embedding_dropout = Dropout(dropout, part_seed(1), name="embedding_dropout")
        uniform = keras.initializers.GlorotUniform
        self.output_layer = keras.layers.Dense(
            dim, kernel_initializer=uniform(part_seed(2)), name="output"
        )
        self.recurrent = [
            keras.layers.GRU(
                hidden_dim or dim,
                return_sequences=True,
                reset_after=False,  # As in the paper; the other form exports operations of GPUs.
                kernel_initializer=uniform(part_seed(3 + 2 * i)),
                recurrent_initializer=keras.initializers.Orthogonal(seed=part_seed(4 + 2 * i)),
                name=f"gru_{i}",
            )
            for i in range(num_layers)
        ]
        self.hidden_dropouts = [
            Dropout(hidden_dropout, part_seed(60 + i), name=f"hidden_dropout_{i}")
            for i in range(num_layers)
        ]
        self.states(tf.ones([1, 1], tf.int32))

    def encode(
        self,
        history: tf.Tensor,
        known: tf.Tensor,
        training: bool,
        last_only: bool,
        events: Features | None = None,
    ) -> tf.Tensor:
        """Returns the state after each item; see `SequenceModel`."""
        x = self.embedding_dropout(self.embed(history, known, events), training=training)
        for layer, dropout in zip(self.recurrent, self.hidden_dropouts, strict=True):
            # The state passes over padding unchanged.
            x = dropout(layer(x, mask=known), training=training)
        return self.output_layer(x[:, -1:] if last_only else x)
