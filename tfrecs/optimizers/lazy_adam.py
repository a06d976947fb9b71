"""Adam that updates only the embedding rows that a batch touched."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf


@keras.utils.register_keras_serializable("tfrecs")
class LazyAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba, 2015) whose sparse gradients move and decay only their own rows.

    Keras's Adam decays both moments of all rows of an embedding table at every step, and so reads
    and writes the whole table three times for a batch that touched a few hundred rows. Here the
    other rows, and their moments, stay as they are. That is another algorithm, not a faster form of
    the same: rows seen rarely keep older moments. Dense gradients are treated as Keras's Adam does.
    Takes the arguments of `keras.optimizers.Adam`, `amsgrad` excepted.

    Raises:
        ValueError: If `amsgrad` is asked for.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> table = tf.Variable(tf.ones([3, 2]))
        >>> optimizer = tfrecs.optimizers.LazyAdam(0.1)
        >>> with tf.GradientTape() as tape:
        ...     loss = tf.reduce_sum(tf.gather(table, [1]))
        >>> optimizer.apply_gradients([(tape.gradient(loss, table), table)])
        >>> table.numpy()[:, 0].round(3).tolist()
        [1.0, 0.9, 1.0]
    """

    def __init__(self, learning_rate: Any = 0.001, **kwargs: Any) -> None:
        kwargs.setdefault("name", "LazyAdam")
        super().__init__(learning_rate, **kwargs)
        if self.amsgrad:
            raise ValueError("LazyAdam has no amsgrad: its maximum would need every row's moments.")

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """Updates `variable` with `gradient`, whose repeated rows the caller has summed already."""
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable)
            return
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = tf.cast(self.beta_1, dtype), tf.cast(self.beta_2, dtype)
        correction = tf.sqrt(1 - tf.pow(beta_2, step)) / (1 - tf.pow(beta_1, step))
        rate = tf.cast(self.learning_rate, dtype) * correction

        index = self._index_dict[self._var_key(variable)]
        momentum, velocity = self._momentums[index], self._velocities[index]
        rows, values = gradient.indices, tf.cast(gradient.values, dtype)
        m = beta_1 * tf.gather(momentum, rows) + (1 - beta_1) * values
        v = beta_2 * tf.gather(velocity, rows) + (1 - beta_2) * tf.square(values)
        momentum.scatter_update(tf.IndexedSlices(m, rows))
        velocity.scatter_update(tf.IndexedSlices(v, rows))
        variable.scatter_sub(tf.IndexedSlices(rate * m / (tf.sqrt(v) + self.epsilon), rows))
