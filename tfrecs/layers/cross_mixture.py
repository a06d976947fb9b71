"""The mixture of low-rank cross layers, DCN-Mix, and what it shares with the plain cross layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, registered

GATES = ("softmax", "sigmoid")


@registered
class CrossMixture(Configured, keras.layers.Layer):
    """The mixture of low-rank cross layers of DCN-V2, DCN-Mix (Wang et al., WWW 2021, 3 and 4).

        y = sum_i G_i(x) E_i(x) + x,   E_i(x) = x0 * (U_i g(C_i g(V_i' x)) + b)

    Each of the K experts crosses in its own subspace, and a gate that reads x weighs them.
    The bias is shared by the experts, as in the paper. All experts take part in the same three
    products. With one expert, softmax gates, g the identity and C_1 the unit matrix, this is
    `Cross`.

    Args:
        num_experts: K.
        projection_dim: Rank r of an expert.
        activation: Activation g.
        gate: "softmax", or "sigmoid" for gates that do not compete.
        use_bias: Whether there is a bias b.
        kernel_initializer: Initializer of U, C, V and the gates.
        bias_initializer: Initializer of b.
        kernel_regularizer: Regularizer of U, C, V and the gates.
        bias_regularizer: Regularizer of b.

    Raises:
        ValueError: If `num_experts` or `projection_dim` is below 1, `gate` is unknown, or the
            inputs differ in their last dimension.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.CrossMixture(num_experts=2, projection_dim=3)
        >>> layer(tf.ones([5, 8])).shape
        TensorShape([5, 8])
    """

    def __init__(
        self,
        num_experts: int = 4,
        projection_dim: int = 32,
        activation: Any = "tanh",
        gate: str = "softmax",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_integer("num_experts", num_experts, least=1)
        check_integer("projection_dim", projection_dim, least=1)
        if gate not in GATES:
            raise ValueError(f"gate must be softmax or sigmoid, not {gate!r}.")
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Creates the weights for inputs `[..., dim]`."""
        super().build(input_shape)
        dim, experts, rank = input_shape[-1], self.num_experts, self.projection_dim

        def kernel(name: str, part: int, expert_shape: tuple[int, int]) -> tf.Variable:
            return self.add_weight(
                name=name,
                shape=(experts, *expert_shape),
                initializer=PerExpert(self.kernel_initializer, 1 + part * experts),
                regularizer=self.kernel_regularizer,
            )

        self._down = kernel("down", 0, (dim, rank))
        self._inner = kernel("inner", 1, (rank, rank))
        self._up = kernel("up", 2, (rank, dim))
        self._gates = self.add_weight(
            name="gates",
            shape=(dim, experts),
            initializer=clone(self.kernel_initializer),
            regularizer=self.kernel_regularizer,
        )
        self._bias = None
        if self.use_bias:
            self._bias = self.add_weight(
                name="bias",
                shape=(dim,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
            )

    def call(self, x0: tf.Tensor, x: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the crosses of `x0` with `x`.

        Args:
            x0: `[..., dim]`, the features.
            x: `[..., dim]`, the output of the cross layer before; default `x0`.

        Returns:
            `[..., dim]`.
        """
        x = second_input(x0, x)
        weights = [self._down, self._inner, self._up, self._gates]
        down, inner, up, gates = (tf.cast(weight, x.dtype) for weight in weights)
        hidden = self.activation(tf.einsum("...d,kdr->...kr", x, down))
        hidden = self.activation(tf.einsum("...kr,krs->...ks", hidden, inner))
        gate = tf.matmul(x, gates) if x.shape.rank == 2 else tf.tensordot(x, gates, 1)
        gate = tf.cast(gate, tf.float32)
        gate = tf.nn.softmax(gate) if self.gate == "softmax" else tf.sigmoid(gate)
        gate = tf.cast(gate, x.dtype)
        # A gate weighs its expert's r numbers, not its d: the product then sums over experts too.
        product = tf.einsum("...kr,krd->...d", gate[..., tf.newaxis] * hidden, up)
        if self._bias is not None:
            total = tf.reduce_sum(gate, axis=-1, keepdims=True)
            product += total * tf.cast(self._bias, x.dtype)
        return x0 * product + x


def second_input(x0: tf.Tensor, x: tf.Tensor | None) -> tf.Tensor:
    """Returns the second input of a cross layer, which defaults to the first, after a check."""
    x = x0 if x is None else tf.cast(x, x0.dtype)  # Keras casts the first input only.
    if x0.shape[-1] != x.shape[-1]:
        raise ValueError(
            f"x0 and x must have the same last dimension, not {x0.shape[-1]} and {x.shape[-1]}."
        )
    return x


def clone(initializer: keras.initializers.Initializer, index: int = 0) -> Any:
    """Returns a copy with other random numbers: a seeded initializer repeats itself."""
    config = initializer.get_config()
    if index and config.get("seed") is not None:
        config["seed"] += 1009 * index
    return type(initializer).from_config(config)


class PerExpert(keras.initializers.Initializer):
    """Initializes each expert's matrix by itself, with the fans of one matrix, not of the stack."""

    def __init__(self, initializer: keras.initializers.Initializer, first: int) -> None:
        self.initializer = initializer
        self.first = first

    def __call__(self, shape: Sequence[int], dtype: Any = None, **kwargs: Any) -> tf.Tensor:
        """Returns the matrices of all experts, `shape`; the first axis counts the experts."""
        clones = [clone(self.initializer, self.first + index) for index in range(shape[0])]
        return tf.stack([each(shape[1:], dtype=dtype) for each in clones])
