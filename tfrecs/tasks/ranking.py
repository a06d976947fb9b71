"""The ranking task: predictions against labels, one by one, in pairs or as lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tfrecs._keras import keras, tf, tfrs
from tfrecs.configured import Configured, registered
from tfrecs.losses import ListLoss
from tfrecs.tasks.checks import check_names, keras_loss
from tfrecs.tasks.parts import reduce_losses, task_metrics


@registered
class Ranking(Configured, keras.layers.Layer, tfrs.tasks.Task):
    """A ranking task: stands in for `tfrs.tasks.Ranking`, with the same call.

    Computes a loss of labels and predictions and updates metrics. Any Keras loss judges predictions
    one by one; `losses.PairwiseLogistic`, `PairwiseHinge`, `ListNet` and `ListMLE` judge the order
    of `[batch, list]` with labels of -1 for padding. All is computed in float32.

    The loss is the weighted mean over the whole batch, of all replicas of a `tf.distribute`
    strategy: the sum of weighted losses over the sum of weights. (TFRS divides by the number of
    rows, and on several replicas by each replica's own.) A loss with `reduction="sum"` gives the
    sum. A metric that is not computed reads NaN.

    Args:
        loss: Keras loss with its reduction; default `BinaryCrossentropy()`, of probabilities.
        metrics: Keras metrics of labels and predictions.
        prediction_metrics: Keras metrics that summarise the predictions.
        label_metrics: Keras metrics that summarise the labels.
        loss_metrics: Keras metrics that summarise the loss.
        name: Name of the task.
        **kwargs: As every Keras layer.

    Raises:
        ValueError: If two metrics have one name.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> task = tfrecs.tasks.Ranking(tfrecs.losses.PairwiseLogistic())
        >>> loss = task(tf.constant([[1, 0], [2, -1]]), tf.constant([[2.0, 2.0], [1.0, 5.0]]))
        >>> round(float(loss), 4)  # log(2): the second list has nothing to order
        0.6931
    """

    def __init__(
        self,
        loss: keras.losses.Loss | None = None,
        metrics: Sequence[keras.metrics.Metric] | None = None,
        prediction_metrics: Sequence[keras.metrics.Metric] | None = None,
        label_metrics: Sequence[keras.metrics.Metric] | None = None,
        loss_metrics: Sequence[keras.metrics.Metric] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "name": name, "dtype": "float32"})
        self._loss = keras_loss(loss, keras.losses.BinaryCrossentropy())
        self._ranking_metrics = task_metrics(metrics)
        self._prediction_metrics = task_metrics(prediction_metrics)
        self._label_metrics = task_metrics(label_metrics)
        self._loss_metrics = task_metrics(loss_metrics)
        check_names(self, self.metrics)

    @property
    def label_kind(self) -> Literal["binary", "regression"]:
        """What the labels are: "binary" where the loss is one of log-odds or probabilities.

        Such a loss says which by `from_logits`, as Keras's binary cross-entropies do. Any other
        compares predictions with the labels themselves, "regression".
        """
        return "regression" if getattr(self._loss, "from_logits", None) is None else "binary"

    @property
    def takes_probabilities(self) -> bool:
        """Whether predictions are probabilities of label 1."""
        return getattr(self._loss, "from_logits", None) is False

    def call(
        self,
        labels: tf.Tensor,
        predictions: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
        training: bool = False,
        compute_metrics: bool = True,
    ) -> tf.Tensor:
        """Returns the loss, and updates the metrics.

        Args:
            labels: `[batch]`, `[batch, 1]`, or `[batch, list]`.
            predictions: `[batch]`, `[batch, 1]`, or `[batch, list]`.
            sample_weight: A weight for each row, `[batch]` or `[batch, 1]`, or a scalar.
            training: Not used; TFRS's task has it.
            compute_metrics: Whether to compute the metrics.
        """
        del training
        # Keras takes the mean over the last axis: without one, over the batch, past the weights.
        labels, predictions = _columns(labels), tf.cast(_columns(predictions), tf.float32)
        weight = None if sample_weight is None else tf.convert_to_tensor(sample_weight)
        if weight is not None and weight.shape.rank:
            if weight.shape.rank > 2 or weight.shape[1:].num_elements() not in (1, None):
                raise ValueError(
                    f"{self.name}: sample_weight has one weight for each row, [batch] or "
                    f"[batch, 1], or is a scalar, and not {weight.shape.as_list()}."
                )
            weight = tf.reshape(weight, [-1])
        loss_weight = weight
        if isinstance(self._loss, ListLoss):
            loss_weight = self._loss.list_weight(labels)
            if weight is not None:
                loss_weight *= tf.cast(weight, tf.float32)
        losses = self._loss.call(labels, predictions)
        reduced = reduce_losses(losses, loss_weight, self._loss.reduction)
        if compute_metrics:
            for metric in self._ranking_metrics:
                metric.update_state(labels, predictions, sample_weight=weight)
            for metric in self._prediction_metrics:
                metric.update_state(predictions, sample_weight=weight)
            for metric in self._label_metrics:
                metric.update_state(labels, sample_weight=weight)
            for metric in self._loss_metrics:
                metric.update_state(reduced.reported, sample_weight=reduced.weight)
        return reduced.loss


def _columns(x: tf.Tensor) -> tf.Tensor:
    x = tf.convert_to_tensor(x)
    return x[:, tf.newaxis] if x.shape.rank == 1 else x
