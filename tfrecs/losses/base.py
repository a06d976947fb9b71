"""The base of all losses: a mean over valid targets that is right under replicas."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured
from tfrecs.losses.scores import Scores


def global_sum(x: tf.Tensor) -> tf.Tensor:
    """Sums `x` over the replicas of the `tf.distribute` strategy in force; not differentiated.

    Losses divide by a count summed this way, so that the replicas' gradients, which optimizers add
    up, are the gradient of the mean over the whole batch.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return x
    return context.all_reduce(tf.distribute.ReduceOp.SUM, x)


class Loss(Configured, keras.layers.Layer):
    """Base of the losses that train a model to score its targets above other items.

    A loss is called with the targets, an object that computes scores, and optional weights, and
    returns the weighted mean over the targets of the whole batch, of all replicas. Subclasses
    implement `weighted_sum`. It is a layer because what it draws (negatives) is state that
    checkpoints must hold.
    """

    # Whether it needs scores that are products of vectors.
    needs_products = False
    # Whether it trains a model to score targets high: the loss of a model does.
    scores_high = True

    def call(
        self,
        targets: tf.Tensor,
        scores: Scores,
        sample_weight: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Returns the mean loss, a float32 scalar.

        Args:
            targets: `[num_queries]` int32, the item that each query should score highest; for a
                loss without `scores_high`, lowest.
            scores: Gives each query's scores, and tells whose queries they are.
            sample_weight: `[num_queries]` weights of the targets, 0 for none; default all 1.
            training: Whether frequencies learn from the targets, see `negatives.InBatch`; Keras
                passes it on to the layers inside. None for yes.
        """
        del training
        if sample_weight is None:
            sample_weight = tf.ones_like(targets, tf.float32)
        sample_weight = tf.cast(sample_weight, tf.float32)
        total = global_sum(tf.reduce_sum(sample_weight))
        return self.weighted_sum(targets, scores, tf.math.divide_no_nan(sample_weight, total))

    def weighted_sum(self, targets: tf.Tensor, scores: Scores, weights: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        raise NotImplementedError(f"{type(self).__name__} must implement weighted_sum.")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, less the precision policy: a loss is float32."""
        config = super().get_config()
        config.pop("dtype", None)
        return config
