"""Explicit feature crosses of DCN-V2: the cross layer, and the network of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, part_seeds, registered
from tfrecs.layers.cross_mixture import CrossMixture, clone, second_input
from tfrecs.layers.dropout import Dropout

STRUCTURES = ("parallel", "stacked")


@registered
class Cross(Configured, keras.layers.Layer):
    """The cross layer of DCN-V2 (Wang et al., WWW 2021, equations 1 and 2).

        y = x0 * (act(W x + b) + diag_scale x) + x,   W = V U with `projection_dim`

    Stacked l times, with the same x0, it has all products of up to l + 1 features. Same arguments
    and call as `tfrs.layers.dcn.Cross`, and the same values for equal weights; it differs in that
    the initializer scales with the width (TFRS's fixed deviation makes wide networks explode), and
    that products run in the compute dtype under mixed precision.

    Args:
        projection_dim: Rank r of W: 2 d r weights instead of d^2. None for the full matrix.
        diag_scale: Added to the diagonal of W, outside `preactivation`.
        use_bias: Whether there is a bias b.
        preactivation: Activation `act`; None for the identity.
        kernel_initializer: Initializer of U, V and W.
        bias_initializer: Initializer of b.
        kernel_regularizer: Regularizer of U, V and W.
        bias_regularizer: Regularizer of b.

    Raises:
        ValueError: If `diag_scale` is negative, `projection_dim` below 1, or the inputs differ in
            their last dimension.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.Cross(kernel_initializer="ones")
        >>> layer(tf.constant([[1.0, 2.0]]), tf.constant([[4.0, 3.0]])).numpy().tolist()
        [[11.0, 17.0]]
    """

    def __init__(
        self,
        projection_dim: int | None = None,
        diag_scale: float = 0.0,
        use_bias: bool = True,
        preactivation: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if projection_dim is not None:
            check_integer("projection_dim", projection_dim, least=1)
        if not diag_scale >= 0:
            raise ValueError(f"diag_scale must not be negative, not {diag_scale}.")
        self.preactivation = keras.activations.get(preactivation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Creates the weights for inputs `[..., dim]`."""
        super().build(input_shape)

        def kernel(name: str, rows: int, columns: int) -> tf.Variable:
            return self.add_weight(
                name=name,
                shape=[rows, columns],
                initializer=clone(self.kernel_initializer, int(name == "down")),
                regularizer=self.kernel_regularizer,
            )

        dim = input_shape[-1]
        rank = self.projection_dim
        self._down = kernel("down", dim, rank) if rank else None
        self._kernel = kernel("kernel", rank or dim, dim)
        self._bias = None
        if self.use_bias:
            self._bias = self.add_weight(
                name="bias",
                shape=[dim],
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
        squared = x is None or x is x0
        x = second_input(x0, x)
        product = _times(x if self._down is None else _times(x, self._down), self._kernel)
        # x0 * p + x0 = x0 * (p + 1): the 1 is added to the bias, not to each row.
        joined = (
            squared and self._bias is not None and self.preactivation is keras.activations.linear
        )
        if self._bias is not None:
            bias = tf.cast(self._bias, product.dtype)
            product = tf.nn.bias_add(product, bias + 1 if joined else bias)
        product = self.preactivation(product)
        if self.diag_scale:
            product += self.diag_scale * x
        return x0 * product if joined else x0 * product + x


def _times(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Returns the product for `x` of any rank."""
    return tf.matmul(x, kernel) if x.shape.rank == 2 else tf.einsum("...d,de->...e", x, kernel)


@registered
class CrossNetwork(Configured, keras.layers.Layer):
    """A stack of cross layers, and the deep network beside or after it (DCN-V2, section 3).

        x_{l+1} = cross_l(x_0, x_l),   l = 0 .. num_layers - 1

    With `deep_units` there is a deep part too, dense layers with ReLU and dropout:

    - "parallel": it reads x_0, and the output is the two side by side;
    - "stacked": it reads the output of the crosses, and the output is its own.

    Args:
        num_layers: Number of cross layers.
        projection_dim: Rank of their matrices; None for full ones.
        num_experts: Experts of each layer (`CrossMixture`); None for plain `Cross` layers.
        diag_scale: See `Cross`; not with experts.
        deep_units: Widths of the deep part's layers; empty for none.
        structure: "parallel" or "stacked".
        dropout: Rate of the dropout after each deep layer.
        kernel_regularizer: Regularizer of the matrices of the crosses.
        seed: Seed of initializers and dropout.

    Raises:
        ValueError: If an argument is out of its range, or experts have no `projection_dim`.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.CrossNetwork(2, deep_units=[16, 4], structure="parallel")
        >>> layer(tf.ones([5, 8])).shape
        TensorShape([5, 12])
    """

    def __init__(
        self,
        num_layers: int = 3,
        projection_dim: int | None = None,
        num_experts: int | None = None,
        diag_scale: float = 0.0,
        deep_units: Sequence[int] = (),
        structure: str = "parallel",
        dropout: float = 0.0,
        kernel_regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_integer("num_layers", num_layers, least=1)
        if structure not in STRUCTURES:
            raise ValueError(f"structure must be parallel or stacked, not {structure!r}.")
        if num_experts is not None and (projection_dim is None or diag_scale):
            raise ValueError("Experts need a projection_dim, and have no diag_scale.")
        self.deep_units = list(deep_units)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        policy, part_seed = self.dtype_policy, part_seeds(seed, 1)

        def init(index: int) -> keras.initializers.Initializer:
            return keras.initializers.GlorotUniform(part_seed(index))

        def cross(index: int) -> keras.layers.Layer:
            common = {
                "kernel_initializer": init(index),
                "kernel_regularizer": self.kernel_regularizer,
                "dtype": policy,
                "name": f"cross_{index}",
            }
            if num_experts is None:
                return Cross(projection_dim, diag_scale, **common)
            assert projection_dim is not None  # checked above
            return CrossMixture(num_experts, projection_dim, **common)

        self.crosses = [cross(index) for index in range(num_layers)]
        self.deep: list[keras.layers.Layer] = []
        for index, units in enumerate(self.deep_units):
            part = 100 + 2 * index
            self.deep += [
                keras.layers.Dense(
                    units, "relu", kernel_initializer=init(part), dtype=policy, name=f"deep_{index}"
                ),
                Dropout(dropout, part_seed(part + 1), dtype=policy),
            ]

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the network's output for `inputs`, `[..., dim]`."""
        parts = self.parts(inputs, training)
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)

    def parts(self, inputs: tf.Tensor, training: bool | None = None) -> list[tf.Tensor]:
        """Returns what `call` puts side by side, for a caller that need not copy it."""
        x = inputs
        for layer in self.crosses:
            x = layer(inputs, x)
        if not self.deep:
            return [x]
        deep = x if self.structure == "stacked" else inputs
        for layer in self.deep:
            deep = layer(deep, training=training) if isinstance(layer, Dropout) else layer(deep)
        return [deep] if self.structure == "stacked" else [x, deep]
