"""Several ranking tasks trained together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfrecs._keras import keras, tf, tfrs
from tfrecs.configured import Configured, registered
from tfrecs.losses import UncertaintyWeighting, global_sum
from tfrecs.tasks.checks import check_names
from tfrecs.tasks.ranking import Ranking


@registered
class MultiTask(Configured, keras.layers.Layer, tfrs.tasks.Task):
    """Several heads, such as click, rating and watch time, each with its own loss and metrics.

    The loss is the weighted sum of the heads'. `layers.MMoE` makes the heads' inputs from shared
    experts; `models.DeepCross` is a model with several heads.

    Args:
        heads: The heads' tasks by name.
        weights: Weight of each head's loss by name; None for 1 each; or "uncertainty" to learn them
            (`losses.UncertaintyWeighting`).
        name: Name of the task.
        **kwargs: As every Keras layer.

    Raises:
        ValueError: If there are no heads, `weights`, or what a call brings, does not fit them, or
            metrics of two heads have one name.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> click = tfrecs.tasks.Ranking(metrics=[tf.keras.metrics.AUC(name="click_auc")])
        >>> rating = tfrecs.tasks.Ranking(tf.keras.losses.MeanSquaredError())
        >>> task = tfrecs.tasks.MultiTask({"click": click}, {"rating": 0.5}, name="both")
        Traceback (most recent call last):
        ValueError: both: weights must name the heads click, not rating.
        >>> task = tfrecs.tasks.MultiTask({"click": click, "rating": rating}, "uncertainty")
        >>> loss = task(
        ...     {"click": tf.constant([1.0, 0.0]), "rating": tf.constant([3.0, 5.0])},
        ...     {"click": tf.constant([0.5, 0.5]), "rating": tf.constant([3.0, 4.0])},
        ... )
        >>> round(float(loss), 4)  # log(2) + 1 / 2
        1.1931
    """

    def __init__(
        self,
        heads: Mapping[str, Ranking],
        weights: Mapping[str, float] | str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "name": name, "dtype": "float32"})
        self.heads = dict(heads)
        if not heads:
            raise ValueError(f"{self.name}: there must be at least one head.")
        self.loss_weights: dict[str, float] | None = None
        self._weighting = None
        if isinstance(weights, Mapping):
            self._check("weights", weights)
            self.loss_weights = dict(weights)
        elif weights == "uncertainty":
            self._weighting = UncertaintyWeighting(list(heads), name=f"{self.name}_weighting")
        elif weights is not None:
            raise ValueError(
                f"{self.name}: weights must be numbers by head, None or 'uncertainty', "
                f"not {weights!r}."
            )
        check_names(self, self.metrics)

    def call(
        self,
        labels: Mapping[str, tf.Tensor],
        predictions: Mapping[str, tf.Tensor],
        sample_weight: tf.Tensor | Mapping[str, tf.Tensor] | None = None,
        training: bool = False,
        compute_metrics: bool = True,
    ) -> tf.Tensor:
        """Returns the weighted sum of the heads' losses, and updates their metrics.

        Args:
            labels: The heads' labels by name.
            predictions: The heads' predictions by name.
            sample_weight: `[batch]` weights for all heads, or by name for those that have some: 0
                where a row has no label of the head.
            training: As `Ranking`.
            compute_metrics: Whether to compute the metrics.
        """
        self._check("labels", labels)
        self._check("predictions", predictions)
        own = sample_weight if isinstance(sample_weight, Mapping) else None
        losses = {
            head: task(
                labels[head],
                predictions[head],
                sample_weight if own is None else own.get(head),
                training=training,
                compute_metrics=compute_metrics,
            )
            for head, task in self.heads.items()
        }
        if self._weighting is not None:
            # A batch without labels of a head must not move that head's weight.
            present = {
                head: global_sum(tf.reduce_sum(tf.cast(weight, tf.float32))) > 0
                for head, weight in (own or {}).items()
                if weight is not None
            }
            return self._weighting(losses, present)
        if self.loss_weights is None:
            return tf.add_n(list(losses.values()))
        return tf.add_n([self.loss_weights[head] * loss for head, loss in losses.items()])

    def _check(self, what: str, given: Mapping[str, Any]) -> None:
        if set(given) != set(self.heads):
            raise ValueError(
                f"{self.name}: {what} must name the heads {', '.join(sorted(self.heads))}, "
                f"not {', '.join(sorted(given))}."
            )
