"""The base of all losses: a mean over valid targets that is right under replicas."""

from __future__ import annotations

import importlib
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs._names import choose, public_classes, simplified
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

    def call(
        self,
        targets: tf.Tensor,
        scores: Scores,
        sample_weight: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """Returns the mean loss, a float32 scalar.

        Args:
            targets: `[num_queries]` int32, the item that each query should score highest.
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


def choose_loss(given: Any, model: str, *, products: bool = True) -> Any:
    """Returns the loss that a model is given, or None for its default.

    Args:
        given: A loss; its name as the command line takes it, such as "bpr"; or None.
        model: Name of the model's class, for errors.
        products: Whether the model's scores are products of vectors, as some losses need.

    Raises:
        TypeError: If it is no loss that the model can be trained by.
        ValueError: If there is no loss of that name.

    Example:
        >>> choose_loss("sampled_softmax", "SASRec").num_negatives
        256
    """
    if given is None:
        return None
    if isinstance(given, str):
        classes = loss_classes()
        if simplified(given) not in classes:
            known = [cls.__name__ for cls in classes.values()]
            raise ValueError(f"{model}: there is no loss {given!r}. {choose(given, known)}")
        given = classes[simplified(given)]()
    kinds = [cls.__name__ for cls in loss_classes(products).values()]
    if not isinstance(given, Loss):
        what = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
        raise TypeError(
            f"{model}: loss must be an object of tfrecs.losses or its name, not {what}. It takes "
            f"{', '.join(kinds)}. For negatives from the batch, give "
            "SampledSoftmax(negatives=InBatch(...))."
        )
    if not products and given.needs_products:
        raise TypeError(
            f"{model}: {type(given).__name__} needs scores that are products of vectors, and those "
            f"of {model} are not. It takes {', '.join(kinds)}."
        )
    return given


def loss_classes(products: bool = True) -> dict[str, Any]:
    """The public losses that score items, by simplified name.

    Args:
        products: Whether to name those too that need scores to be products of vectors.
    """
    found: dict[str, Any] = public_classes(importlib.import_module("tfrecs.losses"), base=Loss)
    return {
        name: cls
        for name, cls in found.items()
        if cls.weighted_sum is not Loss.weighted_sum and (products or not cls.needs_products)
    }
