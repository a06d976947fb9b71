"""Hashing of integer ids into buckets: in the graph, and the same on every platform."""

from __future__ import annotations

import hashlib

import numpy as np

from tfrecs._keras import tf


def salt_of(name: str) -> int:
    """Returns 64 bits of a name: equal ids of two features share a bucket only by chance."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def buckets_of(ids: tf.Tensor, salts: np.ndarray, sizes: np.ndarray) -> tf.Tensor:
    """Hashes ids by the mixing of splitmix64 (Steele et al., OOPSLA 2014).

        z = mix(id + salt),   bucket = 1 + floor(floor(z / 2^32) size / 2^32)

    Args:
        ids: `[..., columns]` int32 or int64; equal ids of both types share a bucket.
        salts: `[columns]` uint64.
        sizes: `[columns]` numbers of buckets, each below 2^31.

    Returns:
        int32 `[..., columns]`: buckets 1..size, and 0 where the id is 0.
    """
    z = tf.bitcast(tf.cast(ids, tf.int64), tf.uint64) + salts
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, np.uint64(shift)))
        z *= np.uint64(factor)
    z = tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, np.uint64(31)))
    # The product of the upper half and the size fits into 63 bits: no division, and no bias to
    # speak of (2^-32 of a bucket's share times the size).
    upper = tf.cast(tf.bitwise.right_shift(z, np.uint64(32)), tf.int64)
    bucket = tf.bitwise.right_shift(upper * sizes.astype(np.int64), np.int64(32))
    return tf.where(ids == 0, 0, tf.cast(bucket, tf.int32) + 1)
