"""Which interval a number lies in, against numpy's search."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.negatives.popularity import find, guide_table

_BITS = 12


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize(
    "widths",
    [
        [2**_BITS],
        [1] * 100 + [2**_BITS - 100],  # all in one cell: the bisection has to find them
        [2**_BITS - 100] + [1] * 100,
        [2] * 2**11,
        [1, 2, 3, 2**_BITS - 10, 4],
    ],
    ids=["one", "many first", "many last", "more cells than numbers", "uneven"],
)
def test_every_number_is_found(widths, jit):
    ends = np.cumsum([0, *widths])
    table = tf.constant(guide_table(ends, _BITS))
    numbers = np.arange(2**_BITS).reshape(-1, 4)
    search = tf.function(find, jit_compile=jit)
    found = search(tf.constant(ends, tf.int32), table, _BITS, tf.constant(numbers, tf.int32))
    np.testing.assert_array_equal(found, np.searchsorted(ends, numbers, "right"))


def test_many_intervals_have_a_table_of_at_most_2_to_the_20():
    assert guide_table(np.arange(2**20 + 1) << 10, 30).shape == (2**20, 2)
    assert guide_table(np.array([0, 2**30]), 30).shape == (16, 2)
