"""The training step: scaled losses, gradients that are finite, and means right under replicas."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf, tfrs
from tfrecs.losses import global_sum

Features = dict[str, tf.Tensor]


class TrainingStep(tfrs.Model):
    """A `tfrs.Model` whose steps apply finite gradients, and report the mean loss of an epoch.

    Args:
        **kwargs: Arguments of `keras.Model`, such as `name`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._mean_loss = keras.metrics.Mean("loss")
        self.nonfinite_steps = self.add_weight(
            name="nonfinite_steps",
            shape=(),
            dtype=tf.int64,
            initializer="zeros",
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def target_count(self, features: Features) -> tf.Tensor:
        """Returns how many targets the batch has, or the sum of their weights.

        It is the weight of the batch's loss in the epoch's mean.
        """
        if "sample_weight" in features:
            return tf.reduce_sum(tf.cast(features["sample_weight"], tf.float32))
        return tf.cast(tf.shape(next(iter(features.values())))[0], tf.float32)

    def loss_and_count(self, features: Features, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a batch's loss and its `target_count`.

        A model that draws its targets in the step overrides it, to count those that it drew.
        """
        return self.compute_loss(features, training=training), self.target_count(features)

    def train_step(self, features: Features) -> dict[str, tf.Tensor]:
        """Takes one step; Keras calls it."""
        optimizer = self.optimizer
        scaling = isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)
        with tf.GradientTape() as tape:
            loss, count = self.loss_and_count(features, training=True)
            objective = loss + self._regularization()
            scaled = optimizer.get_scaled_loss(objective) if scaling else objective
        gradients = tape.gradient(scaled, self.trainable_variables)
        if scaling:
            # The optimizer tries scales of the loss that overflow, and skips those steps itself.
            gradients = optimizer.get_unscaled_gradients(gradients)
            lowest = tf.cast(optimizer.loss_scale, tf.float32) <= 1.0
            bad = ~tf.math.is_finite(objective) | (lowest & any_not_finite(gradients))
            self.nonfinite_steps.assign_add(tf.cast(any_replica(bad), tf.int64))
        else:
            gradients = self._finite(gradients)
        optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._logs(loss, count)

    def test_step(self, features: Features) -> dict[str, tf.Tensor]:
        """Evaluates the loss of a batch; Keras calls it."""
        return self._logs(*self.loss_and_count(features, training=False))

    def _logs(self, loss: tf.Tensor, count: tf.Tensor) -> dict[str, tf.Tensor]:
        # A replica's loss is its share of the whole batch's mean: its sum over everybody's count.
        share = tf.math.divide_no_nan(loss * global_sum(count), count)
        self._mean_loss.update_state(share, sample_weight=count)
        return {metric.name: metric.result() for metric in self.metrics}

    def _regularization(self) -> tf.Tensor:
        """Returns the layers' losses, once for all replicas together."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return tf.add_n([tf.zeros(()), *map(tf.reduce_sum, self.losses)]) / replicas

    def _finite(self, gradients: list[Any]) -> list[Any]:
        gradients, bad = zeros_unless_finite(gradients)
        self.nonfinite_steps.assign_add(tf.cast(bad, tf.int64))
        return gradients


def zeros_unless_finite(gradients: list[Any]) -> tuple[list[Any], tf.Tensor]:
    """Replaces the gradients by zeros if any of them, on any replica, is not finite.

    Args:
        gradients: Tensors, `IndexedSlices` or None, as `GradientTape.gradient` gives them.

    Returns:
        The gradients or zeros, and whether there was one that is not finite, a bool scalar.
    """
    present = [g for g in gradients if g is not None]
    bad = any_replica(any_not_finite(present))
    checked = iter(
        tf.cond(bad, lambda: [_zeros_like(g) for g in present], lambda: _identity(present))
    )
    return [None if g is None else next(checked) for g in gradients], bad


def any_not_finite(gradients: list[Any]) -> tf.Tensor:
    """Returns whether any of the gradients here is not finite, a bool scalar.

    Args:
        gradients: As in `zeros_unless_finite`.
    """
    # One pass that reads each gradient; an overflowing square counts as non-finite too.
    norm = tf.add_n([tf.nn.l2_loss(_values(g)) for g in gradients if g is not None])
    return ~tf.math.is_finite(norm)


def any_replica(here: tf.Tensor) -> tf.Tensor:
    """Returns whether a bool scalar is true on any replica."""
    return global_sum(tf.cast(here, tf.float32)) > 0


def _values(gradient: Any) -> tf.Tensor:
    values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
    return tf.cast(values, tf.float32)


def _zeros_like(gradient: Any) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(
            tf.zeros_like(gradient.values), gradient.indices, gradient.dense_shape
        )
    return tf.zeros_like(gradient)


def _identity(gradients: list[Any]) -> list[Any]:
    return [tf.identity(g) if isinstance(g, tf.Tensor) else g for g in gradients]
