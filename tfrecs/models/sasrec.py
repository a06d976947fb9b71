"""SASRec: self-attentive sequential recommendation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfrecs._keras import keras, tf
from tfrecs.configured import check_integer, part_seeds, registered
from tfrecs.data import EventInputs, FeatureTable, Vocabulary
from tfrecs.data.features.events import MISSING_TIME
from tfrecs.layers import (
    Dropout,
    FeatureLookup,
    HSTUBlock,
    LayerNormalization,
    LiGRBlock,
    SASRecBlock,
    Tower,
    causal_mask,
)
from tfrecs.layers.prefix import prefixed
from tfrecs.models.base import Features
from tfrecs.models.sequence import SequenceModel

if TYPE_CHECKING:
    from typing_extensions import Self

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
        time_intervals: Whether the attention knows how far apart in time two events are, see
            `layers.TimeIntervalBias`. The log must have times, and requests those of the history.
        request_time: Whether the interval of `time_intervals` ends when the next item is asked for,
            as in HSTU, and not at the event that a position reads. In training and evaluation that
            is the time of the target. Only for those who serve at once: the model learns from
            when users come back, so requests must have the moment of the visit (`request_time`),
            and metrics do not compare with those of models that do not know it.
        user_dim: Size of the vectors of the categories and numbers among the users' features. A
            projection of them is one more position, before the first item of a history; 0 to leave
            users out. An unknown user has missing values.
        users: Vocabulary of the users, or their number; for `user_dim` alone.
        user_features: Features of the users; for `user_dim` alone.
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
        time_intervals: bool = False,
        request_time: bool = False,
        user_dim: int = 0,
        users: Vocabulary | int | None = None,
        user_features: FeatureTable | None = None,
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
        if request_time and not time_intervals:
            raise ValueError("request_time is the end of time_intervals: set both, or neither.")
        if time_intervals:
            schema = None if self.event_inputs is None else self.event_inputs.schema
            self._event_inputs = EventInputs(schema, times=True, request_time=request_time)
        part_seed = part_seeds(seed, step=100)
        self.scale = dim**0.5 if scale_embedding else 1.0
        self.embedding = self.make_embedding(dim, part_seed(0), "embedding")
        if not tied:
            self.output_embedding = self.make_embedding(dim, part_seed(1), "output_embedding")
        self.event_embedding = self.make_event_embedding(dim, part_seed(90))
        self.user_tower: Tower | None = None
        check_integer("user_dim", user_dim, least=0)
        given = {bool(user_dim), users is not None, user_features is not None}
        if len(given) > 1:
            raise ValueError("user_dim needs users and their user_features, and they need it.")
        if users is not None:
            self.users = users if isinstance(users, Vocabulary) else None
            self.num_users = users if isinstance(users, int) else len(users)
            self.user_tower = Tower(
                self.num_users,
                dim,
                user_features,
                id_dim=0,
                feature_dim=user_dim,
                hidden_units=(),
                seed=part_seed(91),
                name="user_tower",
            )
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

    @classmethod
    def from_split(cls, split: Any, **kwargs: Any) -> Self:
        """Returns a model of a split; of its users and their features only with `user_dim`."""
        if not kwargs.get("user_dim"):
            kwargs.setdefault("users", None)
            kwargs.setdefault("user_features", None)  # Encoding them takes time.
        elif getattr(split, "user_frame", None) is None and "user_features" not in kwargs:
            raise ValueError(
                f"{cls.__name__}: user_dim is {kwargs['user_dim']}, and the data have no features "
                "of users."
            )
        return super().from_split(split, **kwargs)

    @property
    def feature_ranks(self) -> dict[str, int | None]:
        """The features of a batch of sequences, and their number of axes."""
        users: dict[str, int | None] = {} if self.user_tower is None else {"user_id": 1}
        return users | super().feature_ranks

    @property
    def feature_lookups(self) -> tuple[FeatureLookup | None, FeatureLookup | None]:
        """The features of users and of items that the model reads; None for none."""
        items = super().feature_lookups[1]
        return None if self.user_tower is None else self.user_tower.lookup, items

    def _events(self, events: Features | None) -> dict[str, Features]:
        given = SequenceModel._events(self, events)
        if self.user_tower is None or events is None:
            return given
        users = {n: x for n, x in events.items() if n == "user_id" or n.startswith("user.")}
        return {"events": {**given.get("events", {}), **users}}

    def _block(self, **given: Any) -> Any:
        given |= {"num_heads": self.num_heads, "dropout": self.dropout, "position": self.position}
        given |= {"max_distance": self.max_length, "time_intervals": self.time_intervals}
        if self.block == "hstu":
            return HSTUBlock(**given)
        given |= {"hidden_dim": self.hidden_dim, "filter_size": self.filter_size}
        return LiGRBlock(**given) if self.block == "ligr" else SASRecBlock(norm=self.norm, **given)

    def encode(
        self,
        history: tf.Tensor,
        known: tf.Tensor,
        training: bool,
        last_only: bool,
        events: Features | None = None,
    ) -> tf.Tensor:
        """Returns the state after each item; see `SequenceModel`."""
        x, mask, given = self._inputs(history, known, training, events)
        for block in self.blocks[:-1]:
            x = block(x, mask, training=training, **given)
        last = self.blocks[-1](x, mask, training=training, last_only=last_only, **given)
        return self.final_norm(last[:, -tf.shape(history)[1] :])

    def attention_weights(
        self, history: tf.Tensor, events: Features | None = None
    ) -> list[tf.Tensor]:
        """Returns how much each item of a history is read at each position, block by block.

        Args:
            history: `[batch, length]` item ids, padded with 0 on the left; at most `max_length`.
            events: As `states` takes them.

        Returns:
            `[batch, heads, length, length]` float32 for each block; `[b, h, i, j]` says how much
            position i reads item j. With `user_dim` it also reads the user, which is left out.
        """
        known = (history > 0) & (history <= self.num_items)
        x, mask, given = self._inputs(history, known, False, **self._events(events))
        weights, length = [], tf.shape(history)[1]
        for block in self.blocks:
            read = block.attention_weights(x, mask, **given)
            weights.append(read[..., -length:, -length:])
            x = block(x, mask, training=False, **given)
        return weights

    def _inputs(
        self,
        history: tf.Tensor,
        known: tf.Tensor,
        training: bool,
        events: Features | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, Any]]:
        x = self.scale * self.embed(history, known, events)
        if self.positions is not None:
            # The most recent item has the last position, at any length.
            x += tf.cast(self.positions, x.dtype)[self.max_length - tf.shape(history)[1] :]
        x = self.embedding_dropout(x, training=training)
        times = self._times(history, events)
        if self.user_tower is not None and events is not None:
            x, known = prefixed(x, known, self._user_vectors(events, training))
            if times is not None:
                padding, missing = [[0, 0], [1, 0]], tf.constant(MISSING_TIME, tf.int64)
                times = tuple(tf.pad(t, padding, constant_values=missing) for t in times)
        return x, causal_mask(known), {"times": times}

    def _user_vectors(self, features: Features, training: bool) -> tf.Tensor:
        """Returns the vectors `[batch, dim]` of users, of given features where there are some."""
        assert self.user_tower is not None
        assert self.user_tower.lookup is not None
        columns = self.user_tower.lookup.schema
        given = {c: features[f"user.{c}"] for c in columns if f"user.{c}" in features}
        return self.user_tower(features["user_id"], training=training, features=given)

    def _times(
        self, history: tf.Tensor, events: Features | None
    ) -> tuple[tf.Tensor, tf.Tensor] | None:
        """Returns when each position asks for the next item, and when its event was."""
        if not self.time_intervals:
            return None
        if events is None:
            missing = tf.fill(tf.shape(history), tf.constant(MISSING_TIME, tf.int64))
            return missing, missing
        times = events["history_time"]
        if not self.request_time:
            return times, times
        # A position's next item is the next event of the history.
        asked = events["request_time"][:, tf.newaxis]
        return tf.concat([times[:, 1:], asked], axis=1), times
