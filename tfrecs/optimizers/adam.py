"""Adam in one pass over the weights, and the form that updates only the rows a batch touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tfrecs._gpu import has_gpu
from tfrecs._keras import keras, tf
from tfrecs.configured import registered
from tfrecs.layers.compiled import compiled_by_xla


class _Scalars(NamedTuple):
    """What all variables of a step share; `power` is the beta to the power of the step's number."""

    learning_rate: tf.Tensor
    epsilon: tf.Tensor
    beta_1: tf.Tensor
    beta_2: tf.Tensor
    power_1: tf.Tensor
    power_2: tf.Tensor


class _Shared:
    """The numbers of the step that is being made, by type; a plain object, which nothing tracks."""

    by_type: dict[tf.DType, _Scalars] | None = None


@registered
class Adam(keras.optimizers.Adam):
    """Adam (Kingma and Ba, 2015) as Keras has it, computed by TensorFlow's fused kernel.

    Keras's Adam writes its update as about ten operations, and each reads and writes a whole
    embedding table; the fused kernel makes one pass. Values agree to rounding. Sparse gradients
    become dense, since Adam moves and decays every row at every step (`LazyAdam` does not).
    `amsgrad` uses Keras's update. Takes the arguments of `keras.optimizers.Adam`.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> weight = tf.Variable([1.0, 2.0])
        >>> optimizer = tfrecs.optimizers.Adam(0.1)
        >>> _ = optimizer.apply_gradients([(tf.constant([3.0, -0.5]), weight)])
        >>> weight.numpy().round(3)
        array([0.9, 2.1], dtype=float32)
    """

    def __init__(self, learning_rate: Any = 0.001, **kwargs: Any) -> None:
        kwargs.setdefault("name", type(self).__name__)
        # On GPUs Keras compiles each variable's update: a program each, and one for each number of
        # rows that a batch touches.
        kwargs.setdefault("jit_compile", False)
        super().__init__(learning_rate, **kwargs)
        self._shared = _Shared()

    def _distributed_apply_gradients_fn(self, *args: Any, **kwargs: Any) -> Any:
        # Where each update is a program, it computes them: nothing enters it from outside.
        self._shared.by_type = None if self.jit_compile else {}
        try:
            return super()._distributed_apply_gradients_fn(*args, **kwargs)
        finally:
            self._shared.by_type = None

    def _scalars(self, dtype: tf.DType) -> _Scalars:
        """Returns this step's numbers, made once a step and type, and not once a variable."""
        known = {} if self._shared.by_type is None else self._shared.by_type
        if dtype not in known:
            step = tf.cast(self.iterations + 1, dtype)
            given = (self.learning_rate, self.epsilon, self.beta_1, self.beta_2)
            rate, epsilon, *betas = (tf.cast(number, dtype) for number in given)
            powers = (tf.pow(beta, step) for beta in betas)
            known[dtype] = _Scalars(rate, epsilon, *betas, *powers)
        return known[dtype]

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """Updates `variable` with `gradient`."""
        if self.amsgrad:
            super().update_step(gradient, variable)
            return
        if isinstance(gradient, tf.IndexedSlices):
            rows, values = gradient.indices, gradient.values
            gradient = tf.math.unsorted_segment_sum(values, rows, variable.shape[0])
        dtype = variable.dtype
        scalars = self._scalars(dtype)
        momentum, velocity = self._moments(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.handle,
            v=velocity.handle,
            beta1_power=scalars.power_1,
            beta2_power=scalars.power_2,
            lr=scalars.learning_rate,
            beta1=scalars.beta_1,
            beta2=scalars.beta_2,
            epsilon=scalars.epsilon,
            grad=tf.cast(gradient, dtype),
        )

    def _moments(self, variable: tf.Variable) -> tuple[tf.Variable, tf.Variable]:
        index = self._index_dict[self._var_key(variable)]
        return self._momentums[index], self._velocities[index]

    def _deduplicate_sparse_grad(self, gradients: Sequence[Any]) -> list[Any]:
        if compiled_by_xla():
            return [self._static(g) if isinstance(g, tf.IndexedSlices) else g for g in gradients]
        return [sum_repeated_rows(g) if isinstance(g, tf.IndexedSlices) else g for g in gradients]

    def _static(self, gradient: tf.IndexedSlices) -> Any:
        """Returns a sparse gradient for XLA, whose shape does not depend on which rows it has."""
        # The update sums repeated rows when it makes the gradient dense.
        return tf.convert_to_tensor(gradient) if self.amsgrad else gradient


@registered
class LazyAdam(Adam):
    """Adam whose sparse gradients move and decay only their own rows.

    Keras's Adam decays both moments of all rows of an embedding table at every step, and so reads
    and writes the whole table several times for a batch that touched a few hundred rows. Here the
    other rows and their moments do not change. This is another algorithm, not a faster form of
    Adam: rows seen rarely keep older moments. Takes the arguments of `Adam` except `amsgrad`.

    Raises:
        ValueError: If `amsgrad` is asked for.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> table = tf.Variable(tf.ones([3, 2]))
        >>> optimizer = tfrecs.optimizers.LazyAdam(0.1)
        >>> with tf.GradientTape() as tape:
        ...     loss = tf.reduce_sum(tf.gather(table, [1]))
        >>> _ = optimizer.apply_gradients([(tape.gradient(loss, table), table)])
        >>> table.numpy()[:, 0].round(3)
        array([1. , 0.9, 1. ], dtype=float32)
    """

    def __init__(self, learning_rate: Any = 0.001, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        if self.amsgrad:
            raise ValueError("LazyAdam has no amsgrad: its maximum would need every row's moments.")

    def _static(self, gradient: tf.IndexedSlices) -> tf.IndexedSlices:
        return repeat_sums(gradient)

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """Updates `variable` with `gradient`, whose repeated rows are summed already."""
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable)
            return
        dtype = variable.dtype
        rate, epsilon, beta_1, beta_2, power_1, power_2 = self._scalars(dtype)
        rate = rate * tf.sqrt(1 - power_2) / (1 - power_1)

        momentum, velocity = self._moments(variable)
        rows, values = gradient.indices, tf.cast(gradient.values, dtype)
        m = beta_1 * tf.gather(momentum, rows) + (1 - beta_1) * values
        v = beta_2 * tf.gather(velocity, rows) + (1 - beta_2) * tf.square(values)
        momentum.scatter_update(tf.IndexedSlices(m, rows))
        velocity.scatter_update(tf.IndexedSlices(v, rows))
        # On CPUs scatter_sub takes a lock for each row; to read and write the rows costs less.
        moved = tf.gather(variable, rows) - rate * m / (tf.sqrt(v) + epsilon)
        variable.scatter_update(tf.IndexedSlices(moved, rows))


def sum_repeated_rows(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns a sparse gradient with each row once, its repetitions summed."""
    rows, place = tf.unique(gradient.indices)
    values, count = gradient.values, tf.size(rows)
    if not _can_multiply(values):
        summed = tf.math.unsorted_segment_sum(values, place, count)
        return tf.IndexedSlices(summed, rows, gradient.dense_shape)
    # On CPUs the product with the sparse matrix that has a 1 at [place[i], i] sums rows several
    # times faster than the segment sum, which sets up a loop for each row.
    shape = tf.shape(values)
    number = tf.cast(shape[0], tf.int64)
    ones = tf.stack([tf.cast(place, tf.int64), tf.range(number)], axis=1)
    summed = tf.raw_ops.SparseTensorDenseMatMul(
        a_indices=ones,
        a_values=tf.ones([number], values.dtype),
        a_shape=tf.stack([tf.cast(count, tf.int64), number]),
        b=tf.reshape(values, [shape[0], tf.reduce_prod(shape[1:])]),
    )
    summed = tf.reshape(summed, tf.concat([[count], shape[1:]], axis=0))
    return tf.IndexedSlices(summed, rows, gradient.dense_shape)


def repeat_sums(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns the sorted rows of a sparse gradient, each with the sum over its repetitions.

    XLA and TPUs need this form: its shape does not depend on which rows repeat. It is right for
    updates that write rows, not for updates that add to them.
    """
    order = tf.argsort(gradient.indices, stable=True)
    rows = tf.gather(gradient.indices, order)
    begins = tf.cast(rows[1:] != rows[:-1], tf.int32)
    place = tf.cumsum(tf.concat([tf.zeros_like(rows[:1], tf.int32), begins], axis=0))
    values = tf.gather(gradient.values, order)
    summed = tf.math.unsorted_segment_sum(values, place, tf.size(rows))
    return tf.IndexedSlices(tf.gather(summed, place), rows, gradient.dense_shape)


def _can_multiply(values: tf.Tensor) -> bool:
    """Returns whether the product has a kernel: on CPUs, where XLA does not compile the step."""
    on_cpu = not has_gpu() and not tf.config.list_logical_devices("TPU")
    return on_cpu and values.dtype in (tf.float32, tf.float64) and not compiled_by_xla()
