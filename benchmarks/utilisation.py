"""How much of the machine's matrix-product peak a training step uses.

`python -m benchmarks.utilisation` measures the peak: the best float32 rate that TensorFlow reaches
over a few shapes, two of them those of full softmax over 12,101 items.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence

SHAPES = (
    (1024, 64, 12101),
    (1024, 256, 12101),
    (1024, 12101, 256),
    (2048, 2048, 2048),
    (4096, 4096, 4096),
)


def flops_per_target(
    num_items: int, dim: int, num_blocks: int, hidden_dim: int | None = None
) -> int:
    """Useful floating point operations of a training step, per target.

        6 V d + blocks * 6 (4 d^2 + 2 d ffn)

    A product of a row with an m x n matrix takes 2 m n, and as much twice more for the gradients of
    both factors. Counted are the scores of V items and the dense layers of the blocks (four of
    attention, two of the feed-forward network), at positions with a target alone: padding,
    attention weights, norms, dropout and the optimizer are work, but not counted as useful.

    Args:
        num_items: Items scored, V.
        dim: Size of the vectors, d.
        num_blocks: Transformer blocks.
        hidden_dim: Width of the feed-forward layers, ffn; `dim` if None.
    """
    hidden_dim = hidden_dim or dim
    return 6 * num_items * dim + num_blocks * 6 * (4 * dim**2 + 2 * dim * hidden_dim)


def flops_per_row(width: int, cross_layers: int, deep_units: Sequence[int]) -> int:
    """Useful floating point operations of a training step of DCN-V2, parallel, per row.

        6 (L w^2 + w h_1 + h_1 h_2 + .. + w + h_last)

    Counted are the products of the L full-rank crosses, of the deep layers, and the output.

    Args:
        width: Size of the embedded row, w.
        cross_layers: L.
        deep_units: h_1, h_2, ...
    """
    widths = [width, *deep_units]
    deep = sum(before * after for before, after in itertools.pairwise(widths))
    return 6 * (cross_layers * width**2 + deep + width + widths[-1])


def matmul_rates(seconds: float = 1.0) -> dict[str, float]:
    """The best rate of a float32 matrix product of each shape, in GFLOP/s.

    Args:
        seconds: How long each shape is tried, at least five products.
    """
    import tensorflow as tf

    rates = {}
    for rows, inner, columns in SHAPES:
        left, right = tf.random.normal([rows, inner]), tf.random.normal([inner, columns])
        product = tf.function(tf.matmul, autograph=False)
        product(left, right)
        best, tries, stop = float("inf"), 0, time.perf_counter() + seconds
        while tries < 5 or time.perf_counter() < stop:
            start = time.perf_counter()
            product(left, right)
            best, tries = min(best, time.perf_counter() - start), tries + 1
        rates[f"{rows}x{inner}x{columns}"] = 2 * rows * inner * columns / best / 1e9
    return rates


if __name__ == "__main__":
    print(json.dumps(matmul_rates()))
