"""SGD that moves only the rows a batch touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import registered


@registered
class SGD(keras.optimizers.SGD):
    """SGD as Keras has it, at the cost of the rows that a batch touched.

        w <- w - learning_rate * gradient

    Keras's SGD keeps a momentum for every weight, even a momentum of 0, and so reads and writes an
    embedding table five times for a batch that touched a few hundred rows. Values agree to
    rounding. With `momentum` this is Keras's SGD. Takes the arguments of `keras.optimizers.SGD`.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> table = tf.Variable(tf.ones([3, 2]))
        >>> optimizer = tfrecs.optimizers.SGD(0.1)
        >>> with tf.GradientTape() as tape:
        ...     loss = tf.reduce_sum(tf.gather(table, [1, 1]))
        >>> _ = optimizer.apply_gradients([(tape.gradient(loss, table), table)])
        >>> table.numpy()[:, 0].round(3)
        array([1. , 0.8, 1. ], dtype=float32)
    """

    def __init__(self, learning_rate: Any = 0.01, **kwargs: Any) -> None:
        kwargs.setdefault("name", type(self).__name__)
        kwargs.setdefault("jit_compile", False)  # See `Adam`.
        super().__init__(learning_rate, **kwargs)

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Makes the optimizer's variables, without momenta if `momentum` is 0."""
        if self.momentum:
            super().build(var_list)
            return
        keras.optimizers.Optimizer.build(self, var_list)
        self._built = True

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """Updates `variable` with `gradient`."""
        if self.momentum:
            super().update_step(gradient, variable)
            return
        rate = tf.cast(self.learning_rate, variable.dtype)
        if isinstance(gradient, tf.IndexedSlices):
            variable.scatter_sub(tf.IndexedSlices(gradient.values * rate, gradient.indices))
        else:
            variable.assign_sub(gradient * rate)

    def _deduplicate_sparse_grad(self, gradients: Sequence[Any]) -> Sequence[Any]:
        return gradients  # A repeated row moves repeatedly: its gradients need not be summed.
