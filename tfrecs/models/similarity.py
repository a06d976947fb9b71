"""Similarities of a state and an item, each as an inner product of two vectors."""

from __future__ import annotations

from tfrecs._keras import tf
from tfrecs.layers import unit_vectors

SIMILARITIES = ("dot", "cosine", "lorentz")


def check_similarity(similarity: str, temperature: float) -> None:
    """Refuses an unknown similarity, or a temperature that cannot divide.

    Args:
        similarity: "dot", "cosine" or "lorentz".
        temperature: Divides cosines and distances.

    Raises:
        ValueError: If one of them is out of its range.
    """
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity must be dot, cosine or lorentz, not {similarity!r}.")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, not {temperature!r}.")


def query_side(x: tf.Tensor, similarity: str, temperature: float) -> tf.Tensor:
    """Returns query vectors whose products with `item_side` vectors are the scores.

    "dot" is <x, y> and "cosine" <x, y> / (|x| |y| t), with t the temperature. "lorentz" is the
    negative squared Lorentzian distance (Law et al., "Lorentzian distance learning for hyperbolic
    representations", ICML 2019, equations 3 and 4, beta = 1) of the points of the hyperboloid above
    x and y, over t:

        x0 = sqrt(1 + |x|^2),  score = -|(x, x0) - (y, y0)|_L^2 / t = (2 + 2 <x, y> - 2 x0 y0) / t

    It is 0 at x = y and falls with the hyperbolic distance acosh(x0 y0 - <x, y>) alone. As it is
    the product of `[2 x, -2 x0, 2] / t` and `[y, y0, 1]`, exact search, exports and full softmax
    need nothing else.

    Args:
        x: `[..., dim]`.
        similarity: "dot", "cosine" or "lorentz".
        temperature: Divides cosines and distances.

    Returns:
        `[..., dim]` float32, with "lorentz" `[..., dim + 2]`.

    Example:
        >>> import tensorflow as tf
        >>> from tfrecs.models.similarity import item_side, query_side
        >>> x = tf.constant([[0.0, 0.75]])  # x0 = 1.25
        >>> query_side(x, "lorentz", 0.5).numpy().tolist()
        [[0.0, 3.0, -5.0, 4.0]]
        >>> item_side(x, "lorentz").numpy().tolist()
        [[0.0, 0.75, 1.25, 1.0]]
    """
    x = tf.cast(x, tf.float32)
    if similarity == "dot":
        return x
    if similarity == "cosine":
        return unit_vectors(x) / temperature
    height = _height(x)
    return tf.concat([x, -height, tf.ones_like(height)], axis=-1) * (2 / temperature)


def item_side(y: tf.Tensor, similarity: str) -> tf.Tensor:
    """Returns the item vectors of `query_side`.

    Args:
        y: `[..., dim]`.
        similarity: "dot", "cosine" or "lorentz".

    Returns:
        `[..., dim]` float32, with "lorentz" `[..., dim + 2]`, the first of which are y.
    """
    y = tf.cast(y, tf.float32)
    if similarity == "dot":
        return y
    if similarity == "cosine":
        return unit_vectors(y)
    height = _height(y)
    return tf.concat([y, height, tf.ones_like(height)], axis=-1)


def _height(x: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(1 + tf.reduce_sum(tf.square(x), axis=-1, keepdims=True))
