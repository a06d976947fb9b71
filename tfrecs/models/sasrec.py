"""SASRec: self-attentive sequential recommendation."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import check_integer, part_seeds, registered
from tfrecs.data import Vocabulary
from tfrecs.layers import (
    Dropout,
    HSTUBlock,
    LayerNormalization,
    LiGRBlock,
    SASRecBlock,
    causal_mask,
)
from tfrecs.models.sequence import SequenceModel

BLOCKS = ("sasrec", "ligr", "hstu")


@registered
class SASRec(SequenceModel):
    """SASRec (Kang and McAuley, "Self-attentive sequential recommendation", ICDM 2018).

    A transformer reads a user's history and predicts the next item at every position:

        x_t = sqrt(d) E[i_t] + P[positions from the most recent item]
        h = LayerNorm(Block(... Block(Dropout(x))))
        score(j) = <h_t, E[j]>

    The paper trains with one negative and binary cross-entropy, and the authors' code draws the
    negative from the items that the user does not know: `losses.BinaryCrossEntropy(negatives=
    negatives.Uniform(1, shared=False, known=negatives.KnownItems.from_split(split)))`. Softmax over
    the catalogue, the default here, is far better on the same architecture (Klenitskiy and
    Vasilev, "Turning dross into gold loss", RecSys 2023).

    Args:
        items: Vocabulary of the items, or their number.
        dim: Size of vectors, d.
        num_blocks: Transformer blocks.
        num_heads: Attention heads; must divide `dim`.
        hidden_dim: Width of the feed-forward layers; default `dim`, and `4 * dim` in LiGR blocks.
        max_length: Positions: the most recent items of a history that are read.
        dropout: Rate of all dropouts.
        block: "sasrec" for `layers.SASRecBlock`, as in the paper; "ligr" for `layers.LiGRBlock`,
            gated, as in eSASRec; "hstu" for `layers.HSTUBlock`, gated without softmax.
        norm: "paper", "pre" or "post", of SASRec's block.
        absolute_positions: Whether positions are added to the items' vectors, as in the paper.
        position: "relative" or "rotary" for what the attention itself knows of positions, see
            `layers.SelfAttention`; None for nothing.
        filter_size: Items that a causal filter beside the attention reads, see
            `layers.CausalFilter`; 0 for no filter. Not in HSTU's block.
        scale_embedding: Whether item vectors enter the blocks multiplied by sqrt(d).
        tied: Whether items are scored by the vectors they are read by, or by others.
        seed: Seed of initial weights and dropout; None to draw them.
        **kwargs: Arguments of `SequenceModel`, such as `loss` and `similarity`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> model = tfrecs.models.SASRec(items=100, dim=16, max_length=5, seed=1)
        >>> model.score({"history": tf.constant([[0, 0, 7, 3, 12]])}).shape
        TensorShape([1, 100])
    """

    def __init__(
        self,
        items: Vocabulary | int,
        dim: int = 64,
        num_blocks: int = 2,
        num_heads: int = 1,
        hidden_dim: int | None = None,
        max_length: int = 50,
        dropout: float = 0.2,
        block: str = "sasrec",
        norm: str = "paper",
        absolute_positions: bool = True,
        position: str | None = None,
        filter_size: int = 0,
        scale_embedding: bool = True,
        tied: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(items, max_length, **kwargs)
        check_integer("dim", dim, least=1)
        check_integer("num_blocks", num_blocks, least=1)
        if dim % num_heads:
            raise ValueError(f"num_heads ({num_heads}) must divide dim ({dim}).")
        if block not in BLOCKS:
            raise ValueError(f"block must be one of {', '.join(BLOCKS)}, not {block!r}.")
        unused = {"norm": norm != "paper" and block != "sasrec"}
        unused |= {"hidden_dim": bool(hidden_dim) and block == "hstu"}
        unused |= {"filter_size": bool(filter_size) and block == "hstu"}
        for name in filter(unused.get, unused):
            raise ValueError(f'block "{block}" has no use for {name}.')
        part_seed = part_seeds(seed, step=100)
        self.scale = dim**0.5 if scale_embedding else 1.0
        self.embedding = self.make_embedding(dim, part_seed(0), "embedding")
        if not tied:
            self.output_embedding = self.make_embedding(dim, part_seed(1), "output_embedding")
        self.positions = None
        if absolute_positions:
            self.positions = self.add_weight(
                name="positions",
                shape=(max_length, dim),
                initializer=keras.initializers.RandomNormal(stddev=0.02, seed=part_seed(2)),
            )
        self.embedding_dropout = Dropout(dropout, part_seed(3), name="embedding_dropout")
        self.blocks = [
            self._block(seed=part_seed(5 + i), name=f"block_{i}") for i in range(num_blocks)
        ]
        self.final_norm = LayerNormalization(name="final_norm")
        self.states(tf.ones([1, 1], tf.int32))

    def _block(self, **given: Any) -> Any:
        given |= {"num_heads": self.num_heads, "dropout": self.dropout, "position": self.position}
        given |= {"max_distance": self.max_length}
        if self.block == "hstu":
            return HSTUBlock(**given)
        given |= {"hidden_dim": self.hidden_dim, "filter_size": self.filter_size}
        return LiGRBlock(**given) if self.block == "ligr" else SASRecBlock(norm=self.norm, **given)

    def encode(
        self, history: tf.Tensor, known: tf.Tensor, training: bool, last_only: bool
    ) -> tf.Tensor:
        """Returns the state after each item; see `SequenceModel`."""
        x, mask = self._inputs(history, known, training)
        for block in self.blocks[:-1]:
            x = block(x, mask, training=training)
        return self.final_norm(self.blocks[-1](x, mask, training=training, last_only=last_only))

    def attention_weights(self, history: tf.Tensor) -> list[tf.Tensor]:
        """Returns how much each item of a history is read at each position, block by block.

        Args:
            history: `[batch, length]` item ids, padded with 0 on the left; at most `max_length`.

        Returns:
            `[batch, heads, length, length]` float32 for each block; `[b, h, i, j]` says how much
            position i reads item j.
        """
        x, mask = self._inputs(history, (history > 0) & (history <= self.num_items), False)
        weights = []
        for block in self.blocks:
            weights.append(block.attention_weights(x, mask))
            x = block(x, mask, training=False)
        return weights

    def _inputs(
        self, history: tf.Tensor, known: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x = self.scale * self.embedding(history)
        if self.positions is not None:
            # The most recent item has the last position, at any length.
            x += tf.cast(self.positions, x.dtype)[self.max_length - tf.shape(history)[1] :]
        return self.embedding_dropout(x, training=training), causal_mask(known)
