"""Multi-gate mixture of experts: shared experts that each task weighs for itself."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, registered
from tfrecs.layers.cross_mixture import PerExpert, clone


@registered
class MMoE(Configured, keras.layers.Layer):
    """Multi-gate mixture of experts (Ma et al., KDD 2018): a shared bottom for several tasks.

        y_k = sum_i g_k(x)_i f_i(x),   g_k(x) = softmax(W_k x)

    Each expert f_i is a network of dense layers. All tasks share the experts, but each task has its
    gate, so tasks that have little in common can use different experts.

    Args:
        num_tasks: Number of tasks, and so of gates.
        num_experts: Number of experts.
        expert_units: Widths of an expert's layers.
        activation: Activation of the experts' layers.
        kernel_initializer: Initializer of the matrices.
        bias_initializer: Initializer of the experts' biases.
        kernel_regularizer: Regularizer of the experts' matrices.

    Raises:
        ValueError: If a number is below 1 or there are no `expert_units`.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.MMoE(num_tasks=2, num_experts=3, expert_units=[16, 8])
        >>> for_click, for_rating = tf.unstack(layer(tf.ones([5, 10])), axis=-2)
        >>> for_click.shape
        TensorShape([5, 8])
    """

    def __init__(
        self,
        num_tasks: int,
        num_experts: int = 4,
        expert_units: Sequence[int] = (64,),
        activation: Any = "relu",
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_integer("num_tasks", num_tasks, least=1)
        check_integer("num_experts", num_experts, least=1)
        if not expert_units or min(expert_units) < 1:
            raise ValueError(f"expert_units must be widths of layers, not {expert_units!r}.")
        self.expert_units = list(expert_units)
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Creates the weights for inputs `[..., dim]`."""
        super().build(input_shape)
        dim, experts = input_shape[-1], self.num_experts
        widths = [dim, *self.expert_units]
        self._kernels = [
            self.add_weight(
                name=f"kernel_{index}",
                shape=(experts, before, after),
                initializer=PerExpert(self.kernel_initializer, 1 + index * experts),
                regularizer=self.kernel_regularizer,
            )
            for index, (before, after) in enumerate(itertools.pairwise(widths))
        ]
        self._biases = [
            self.add_weight(
                name=f"bias_{index}", shape=(experts, units), initializer=self.bias_initializer
            )
            for index, units in enumerate(self.expert_units)
        ]
        self._gates = self.add_weight(
            name="gates",
            shape=(dim, self.num_tasks * experts),
            initializer=clone(self.kernel_initializer),
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the tasks' mixtures `[..., num_tasks, units]` of `inputs` `[..., dim]`."""
        hidden = inputs
        for index, (kernel, bias) in enumerate(zip(self._kernels, self._biases, strict=True)):
            equation = "...eh,ehk->...ek" if index else "...d,edk->...ek"
            hidden = tf.einsum(equation, hidden, tf.cast(kernel, inputs.dtype))
            hidden = self.activation(hidden + tf.cast(bias, inputs.dtype))
        gate = tf.tensordot(inputs, tf.cast(self._gates, inputs.dtype), 1)
        shape = tf.concat([tf.shape(inputs)[:-1], [self.num_tasks, self.num_experts]], 0)
        gate = tf.nn.softmax(tf.cast(tf.reshape(gate, shape), tf.float32))
        return tf.matmul(tf.cast(gate, inputs.dtype), hidden)
