"""What all samplers of negatives have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer
from tfrecs.layers import StepCounter
from tfrecs.negatives.complement import Complement
from tfrecs.negatives.known import KnownItems

# Gives the scores of ids: `losses.Scores`, or a function of ids.
ScoresOf = Callable[[tf.Tensor], tf.Tensor]


class Sample(NamedTuple):
    """Negatives of a batch.

    Attributes:
        ids: Item ids 1..n: `[num_negatives]` where all positives share them, else
            `[num_positives, num_negatives]`.
        log_probability: Log of the probability that one draw gives this id, of the shape of `ids`.
        positive_log_probability: The same for the positives, `[num_positives]`. Where draws leave
            out known items, a positive counts as an unknown item of the same weight.
        allowed: `[num_positives, num_negatives]` bool, which of them a positive may be compared
            with; None for all.
        num_real: Number of draws, k, where further columns of `ids` only fill it up; None where
            all columns are draws.
        num_own: How many of the draws are the positive's own row of the batch, a float32 scalar:
            that row is there whatever the others hold. None for none.
    """

    ids: tf.Tensor
    log_probability: tf.Tensor
    positive_log_probability: tf.Tensor
    allowed: tf.Tensor | None = None
    num_real: tf.Tensor | None = None
    num_own: tf.Tensor | None = None

    @property
    def num_draws(self) -> tf.Tensor:
        """The number of draws, k, a float32 scalar."""
        num_draws = tf.shape(self.ids)[-1] if self.num_real is None else self.num_real
        return tf.cast(num_draws, tf.float32)

    @property
    def num_others(self) -> tf.Tensor:
        """The number of draws without those of a positive's own row, at least 1; float32 scalar."""
        return tf.maximum(self.num_draws - (0.0 if self.num_own is None else self.num_own), 1.0)


class Negatives(Configured, keras.layers.Layer):
    """Base of the samplers of negatives.

    Subclasses implement `draw` and `log_probability`. A draw is a function of the seed and of the
    number of draws so far, a checkpointed weight. Shared negatives are the same on all replicas of
    a `tf.distribute` strategy, so that a step on several devices equals the step on one; negatives
    of each positive differ. The losses mask a negative that equals its positive.

    Known items: with `known`, no positive is compared with an item that its user knows. Shared
    negatives are drawn from all items, and each user's known items are masked for that user.
    Negatives of each positive are drawn from unknown items only, or masked too where a sampler
    says so. A user who knows all items is treated as knowing none.

    Args:
        num_negatives: Negatives to draw, k; None in samplers that take as many as the batch, of all
            replicas, has positives.
        shared: Whether all positives of the batch share them (`[k]`), which makes their scores one
            matrix product, or each gets its own (`[num_positives, k]`).
        seed: Integer, or None to draw one from Python's `random`.
        known: The items that each user knows, which are left out; None to leave out nothing.

    Raises:
        TypeError: If `num_negatives` is no integer.
        ValueError: If `num_negatives` is less than 1; or if a call lacks user ids that `known`
            needs, or has another number of items.
    """

    def __init__(
        self,
        num_negatives: int | None,
        shared: bool = True,
        seed: int | None = None,
        known: KnownItems | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        if num_negatives is not None:
            check_integer("num_negatives", num_negatives, least=1)
        self.num_negatives = num_negatives
        self.shared = shared
        self.seed = seed
        self.known: Any = known
        self.counter = StepCounter(seed, name="counter")

    def call(
        self,
        positives: tf.Tensor,
        num_items: int,
        user_ids: tf.Tensor | None = None,
        scores: ScoresOf | None = None,
    ) -> Sample:
        """Draws negatives.

        Args:
            positives: `[num_positives]` item ids.
            num_items: Number of items, n: negatives are in 1..n.
            user_ids: `[num_positives]`, whose positives they are; needed where known items are left
                out.
            scores: Gives the scores `[num_positives, m]` of ids `[m]` or `[num_positives, m]`, for
                samplers that choose by score.
        """
        del scores
        self.check(num_items, user_ids)
        seed = self.counter.next_seed(per_replica=not self.shared)
        ids, allowed = self.draw(seed, positives, num_items, user_ids)
        return Sample(
            ids,
            self.log_probability(ids, positives, num_items, user_ids),
            self.log_probability(positives, positives, num_items, user_ids),
            allowed,
        )

    def draw(
        self, seed: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns ids and which of them are allowed, as in `Sample`.

        Args:
            seed: `[2]` int64, of this draw alone.
            positives: As in `call`.
            num_items: As in `call`.
            user_ids: As in `call`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement draw.")

    def log_probability(
        self, ids: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the log of the probability that one draw for a positive gives an item.

        Args:
            ids: Items: `[num_positives]`, one for each positive; or `[k]` or `[num_positives, k]`,
                as a draw gives them.
            positives: As in `call`.
            num_items: As in `call`.
            user_ids: As in `call`.

        Returns:
            float32 of the shape of `ids`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement log_probability.")

    def grow_from(self, smaller: Negatives) -> None:
        """Does nothing: a grown model starts new draws, and leaves out what its new split says."""
        del smaller

    def check(self, num_items: int, user_ids: tf.Tensor | None) -> None:
        """Raises a ValueError for a call that lacks what `known` needs."""
        if self.known is None:
            return
        if user_ids is None:
            raise ValueError(
                f"{self.name}: known items can be left out only where the users are known: the "
                'batches must have "user_id", and the model must pass it on (Scores(user_ids=...) '
                "or user_ids=...)."
            )
        if num_items != self.known.num_items:
            raise ValueError(
                f"{self.name}: KnownItems has {self.known.num_items} items and the model "
                f"has {num_items}. Make KnownItems from the split that the model is trained on."
            )

    def unknown(self, user_ids: tf.Tensor | None, ids: tf.Tensor) -> tf.Tensor | None:
        """Returns which `ids`, `[k]` or `[.., k]`, each row's user does not know; None for all."""
        return None if self.known is None else ~self.known.contains(user_ids, ids)

    def without_known(self, mass: np.ndarray) -> Complement | None:
        """Returns a sampler of numbers below `mass[-1]` that skips a user's known items.

        None where known items are not left out of draws.

        Args:
            mass: int64 `[num_items + 1]`; item i has the numbers from `mass[i - 1]` to below
                `mass[i]`.
        """
        if self.known is None or self.shared:
            return None
        histories = self.known.histories()
        complement = Complement(len(histories), self.known.num_known, name="complement")
        items = histories.values.astype(np.int64)
        complement.leave_out(mass[items - 1], mass[items], histories.offsets, int(mass[-1]))
        return complement


def per_item(of_positives: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Returns a value of each positive, `[num_positives]`, for each of its `ids`, `[.., k]`."""
    return of_positives if ids.shape.rank == 1 else of_positives[:, tf.newaxis]
