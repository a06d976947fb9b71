"""StackedEmbedding against one Keras `Embedding` a feature, numpy, and Python's own integers."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tfrecs._keras import keras, tf
from tfrecs.layers import StackedEmbedding
from tfrecs.optimizers import LazyAdam

SIZES = {"user": 5, "city": 3, "genres": 4}
IDS = np.array([[1, 3, 2], [5, 0, 4], [0, 1, 0], [2, 4, 5], [6, -1, 99]], np.int32)
BAGS = {
    "user": np.array([1, 0, 6, 4], np.int32),
    "city": np.array([[1, 2], [0, 0], [3, 0], [0, 4]], np.int32),
    "genres": np.array([[4, 0, 1], [0, 2, 2], [0, 0, 0], [5, 77, 3]], np.int32),
}
WEIGHTS = {"genres": np.array([[1, 5, 3], [9, 2, 2], [7, 7, 7], [0.5, 0, 2]], np.float32)}


def tensors(arrays):
    return {name: tf.constant(array) for name, array in arrays.items()}


def randomise(layer):
    layer.table.assign(np.random.default_rng(1).normal(size=layer.table.shape))


def tables(layer):
    """The vectors of each feature `[n + 2, dim]`, taken from the layer's layout."""
    table = layer.table.numpy()
    return {
        name: table[layer.rows_of(name)].reshape(size + 2, dim)
        for name, size, dim in zip(layer.names, layer.sizes, layer.dims, strict=True)
    }


def row(ids, size):
    return np.where((ids < 0) | (ids > size), size + 1, ids)


@pytest.mark.parametrize("dim", [4, [4, 6, 2], [1, 2, 3]])
def test_equal_weights_equal_keras_embeddings(dim):
    layer = StackedEmbedding(SIZES, dim)
    randomise(layer)
    expected = []
    for column, (name, size) in enumerate(SIZES.items()):
        table = tables(layer)[name]
        embedding = keras.layers.Embedding(size + 2, table.shape[1], weights=[table])
        expected.append(embedding(row(IDS[:, column], size)))
    expected = np.concatenate(expected, axis=1)
    np.testing.assert_array_equal(layer(tf.constant(IDS)), expected)
    np.testing.assert_array_equal(layer(tf.constant(IDS, tf.int64)), expected)
    by_name = {name: tf.constant(IDS[:, i]) for i, name in enumerate(SIZES)}
    np.testing.assert_array_equal(layer(by_name | {"label": tf.ones(5)}), expected)


@pytest.mark.parametrize("dim", [4, [4, 6, 2]])
def test_vectors_of_one_feature_each_by_itself(dim):
    layer = StackedEmbedding(SIZES, dim, hashed=["user"])
    randomise(layer)
    ids = BAGS["genres"]
    expected = tables(layer)["genres"][row(ids, 4)]
    np.testing.assert_array_equal(layer.vectors("genres", tf.constant(ids)), expected)
    compiled = tf.function(
        lambda x: layer.vectors(2, x), input_signature=[tf.TensorSpec([None, None], tf.int64)]
    )
    assert compiled.get_concrete_function().output_shapes.as_list() == [None, None, layer.dims[2]]
    np.testing.assert_array_equal(compiled(tf.constant(ids, tf.int64)), expected)
    # The same bucket as in the call.
    alone = layer.vectors("user", tf.constant([[7], [0]]))[:, 0]
    width = layer.dims[0]
    got = layer(tensors({"user": [7, 0], "city": [1, 1], "genres": [1, 1]}))[:, :width]
    np.testing.assert_array_equal(alone, got)
    layer.table = None
    with pytest.raises(ValueError, match="on a TPU, which gathers once a step: leave out tpu"):
        layer.vectors("genres", tf.constant(ids))


def test_layout():
    layer = StackedEmbedding([5, 3], [4, 6])
    assert (layer.width, layer.num_rows, layer.table.shape) == (2, 7 * 2 + 5 * 3, (29, 2))
    assert layer.offsets == (0, 14)
    assert (layer.rows_of(0), layer.rows_of("1")) == (slice(0, 14), slice(14, 29))
    assert StackedEmbedding([5, 3], 8).num_rows == 12


def test_the_vectors_of_a_smaller_vocabulary_go_on_in_a_larger_one():
    small, large = StackedEmbedding(SIZES, [4, 6, 2]), StackedEmbedding([5, 30, 4], [4, 6, 2])
    randomise(small)
    start, parts = small.rows_of("city").start, 6 // 2
    rows = large.table.numpy()
    rows[large.rows_of(0)] = small.table.numpy()[small.rows_of("user")]
    known = 3 + 1  # and the missing value
    rows[large.rows_of(1)][: known * parts] = small.table.numpy()[start : start + known * parts]
    rows[large.rows_of(2)] = small.table.numpy()[small.rows_of("genres")]
    large.table.assign(rows)
    ids = tf.constant([[1, 3, 2], [6, 0, 5]])
    np.testing.assert_array_equal(large(ids), small(ids))


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("kind", [tf.int32, tf.int64])
def test_missing_and_unknown_ids_have_rows_that_train(name, kind):
    layer = StackedEmbedding({"a": 2, "b": 2}, 1)
    layer.table.assign(tf.range(8, dtype=tf.float32)[:, tf.newaxis])
    first = 4 * "ab".index(name)
    ids = tf.constant([0, 1, 2, 3, 4, -1, kind.max, kind.min], kind)
    column = "ab".index(name)
    got = layer({"a": ids, "b": ids})[:, column]
    assert (got - first).numpy().tolist() == [0, 1, 2, 3, 3, 3, 3, 3]
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer({"a": ids, "b": ids})[:, column])
    gradient = tf.convert_to_tensor(tape.gradient(value, layer.table))[first : first + 4, 0]
    assert gradient.numpy().tolist() == [1, 1, 1, 5]


def numpy_bag(table, ids, size, combiner, weights=None):
    """One bag: the sum over its values, one at a time."""
    values = [(j, i) for j, i in enumerate(ids) if i != 0]
    if not values:
        return table[0]
    shares = [1.0 if weights is None else weights[j] for j, _ in values]
    total = sum(w * table[row(i, size)] for w, (_, i) in zip(shares, values, strict=True))
    return total if combiner == "sum" else total / sum(shares)


@pytest.mark.parametrize("combiner", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dim", [4, [4, 6, 2]])
def test_bags(combiner, weighted, dim):
    layer = StackedEmbedding(SIZES, dim, combiner=combiner)
    randomise(layer)
    weights = WEIGHTS if weighted else {}
    expected = [
        np.concatenate(
            [
                numpy_bag(
                    tables(layer)[name],
                    np.atleast_1d(BAGS[name][i]),
                    size,
                    combiner,
                    weights[name][i] if name in weights else None,
                )
                for name, size in SIZES.items()
            ]
        )
        for i in range(4)
    ]
    np.testing.assert_allclose(layer(tensors(BAGS), weights=weights), expected, rtol=1e-5)


def test_a_bag_whose_weights_are_zero_is_zero():
    layer = StackedEmbedding([3], 2, initializer="ones")
    weights = {"0": tf.zeros([1, 2])}
    assert layer({"0": tf.constant([[1, 2]])}, weights=weights).numpy().tolist() == [[0.0, 0.0]]


def test_padding_of_a_bag_counts_for_nothing():
    layer = StackedEmbedding([3], 2)
    randomise(layer)
    long, short = tf.constant([[0, 2, 0, 3, 0]]), tf.constant([[2, 3]])
    np.testing.assert_allclose(layer({"0": long}), layer({"0": short}), rtol=1e-6)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer({"0": long}))
    gradient = tf.convert_to_tensor(tape.gradient(value, layer.table))
    np.testing.assert_allclose(gradient[:, 0], [0, 0, 0.5, 0.5, 0])


def test_weights_have_a_gradient():
    layer = StackedEmbedding([3], 2)
    randomise(layer)
    weights = tf.Variable([[2.0, 1.0]])
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer({"0": tf.constant([[1, 2]])}, weights={"0": weights}))
    one, two = layer.table.numpy()[1:3].sum(axis=1)
    mean = (2 * one + two) / 3
    expected = [[(one - mean) / 3, (two - mean) / 3]]
    np.testing.assert_allclose(tape.gradient(value, weights), expected, rtol=1e-5)


def python_bucket(raw, name, size):
    """Steele et al.'s mixing of 64 bits, in integers without a limit."""
    if raw == 0:
        return 0
    bits = 2**64 - 1
    salt = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
    z = (raw + salt) & bits
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & bits
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & bits
    z ^= z >> 31
    return ((z >> 32) * size >> 32) + 1


def looked_up(layer, inputs):
    """The ids that inputs come to: each row of the table holds its own."""
    values = np.concatenate([np.arange(size + 2) for size in layer.sizes])
    layer.table.assign(values[:, np.newaxis])
    return np.asarray(layer(inputs)).astype(np.int64)


HASHING = StackedEmbedding({"user": 1000, "day": 7, "city": 2**20}, 1, hashed=["user", "city"])
INT64 = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(INT64, st.integers(0, 7), INT64), min_size=1, max_size=8))
def test_hashing_is_splitmix64(rows):
    got = looked_up(HASHING, tf.constant(rows, tf.int64))
    expected = [
        (python_bucket(a, "user", 1000), b, python_bucket(c, "city", 2**20)) for a, b, c in rows
    ]
    assert got.tolist() == [list(row) for row in expected]


def test_buckets_are_pinned_and_the_same_for_int32():
    # A change of these would scramble every trained table.
    ids = [[1, 2, 3], [-7, 0, 123456789], [0, 9, 0]]
    expected = [[336, 2, 433755], [631, 0, 918603], [0, 8, 0]]
    assert looked_up(HASHING, tf.constant(ids, tf.int32)).tolist() == expected
    assert looked_up(HASHING, tf.constant(ids, tf.int64)).tolist() == expected
    compiled = tf.function(HASHING, jit_compile=True)
    assert compiled(tf.constant(ids, tf.int64)).numpy().astype(int).tolist() == expected


@pytest.mark.parametrize("stride", [1, 1000, 2**32])
def test_buckets_are_uniform_and_features_independent(stride):
    layer = StackedEmbedding({"a": 64, "b": 64}, 1, hashed=[0, 1])
    ids = (np.arange(1, 20_001) * stride)[:, np.newaxis].repeat(2, axis=1)
    buckets = looked_up(layer, tf.constant(ids, tf.int64)) - 1
    assert buckets.min() == 0
    assert buckets.max() == 63
    for column in buckets.T:
        assert stats.chisquare(np.bincount(column, minlength=64)).pvalue > 1e-4
    pairs = np.bincount(buckets[:, 0] * 64 + buckets[:, 1], minlength=64**2)
    assert stats.chisquare(pairs).pvalue > 1e-4


@pytest.mark.parametrize("inputs", [IDS[:4], BAGS], ids=["columns", "bags"])
@pytest.mark.parametrize("dim", [4, [4, 6, 2]])
def test_gradient_is_sparse_and_that_of_dense_products(inputs, dim):
    layer = StackedEmbedding(SIZES, dim, combiner="sum")
    randomise(layer)
    inputs = tf.constant(inputs) if isinstance(inputs, np.ndarray) else tensors(inputs)
    target = tf.constant(np.random.default_rng(2).normal(size=layer(inputs).shape), tf.float32)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(inputs) * target)
    gradient = tape.gradient(value, layer.table)
    assert isinstance(gradient, tf.IndexedSlices)
    assert gradient.values.shape[1] == layer.width

    # Counts of each id, times the table: `[batch, n + 2] @ [n + 2, dim]`.
    columns = inputs.values() if isinstance(inputs, dict) else tf.unstack(inputs, axis=1)
    parts = tf.split(target, layer.dims, axis=1)
    expected = []
    for part, ids, size in zip(parts, columns, SIZES.values(), strict=True):
        ids = ids.numpy()
        counts = np.zeros((len(ids), size + 2), np.float32)
        for i, values in enumerate(ids):
            values = np.atleast_1d(values)
            used = values[values != 0] if values.any() else [0]
            for j in used:
                counts[i, row(j, size)] += 1
        expected.append((counts.T @ part.numpy()).reshape(-1, layer.width))
    np.testing.assert_allclose(
        tf.convert_to_tensor(gradient), np.concatenate(expected), rtol=1e-5, atol=1e-6
    )


def operations(function, *arguments):
    graph = function.get_concrete_function(*arguments).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return [node.op for node in nodes]


@pytest.mark.parametrize("inputs", [IDS[:4], BAGS], ids=["columns", "bags"])
@pytest.mark.parametrize("tpu", [None, "SGD"])
def test_one_gather_in_a_training_step(inputs, tpu):
    layer = StackedEmbedding(SIZES, 4, hashed=["user"], tpu=tpu)
    optimizer = LazyAdam()
    optimizer.build([layer.table])

    @tf.function
    def step(inputs):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(layer(inputs) ** 2)
        return tape.gradient(value, layer.table).indices

    inputs = tf.constant(inputs) if isinstance(inputs, np.ndarray) else tensors(inputs)
    found = operations(step, inputs)
    assert found.count("ResourceGather") == 1
    assert not {"GatherV2", "ReadVariableOp", "StridedSliceGrad"} & set(found)


def test_lazy_adam_touches_the_rows_of_the_batch_alone():
    layer = StackedEmbedding(SIZES, 4)
    optimizer = LazyAdam(0.1)
    before = layer.table.numpy()
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(tf.constant([[1, 3, 2], [1, 0, 9]])) ** 2)
    optimizer.apply_gradients([(tape.gradient(value, layer.table), layer.table)])
    moved = (before != layer.table.numpy()).any(axis=1)
    assert np.flatnonzero(moved).tolist() == [1, 7, 10, 14, 17]


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_results_in_the_compute_dtype_of_sums_in_float32(dtype):
    layer = StackedEmbedding([3000], 1, combiner="mean", initializer="ones", dtype=dtype)
    bag = tf.ones([1, 3000], tf.int32)
    out = layer({"0": bag})
    assert out.dtype == layer.compute_dtype
    # In float16 the count would have stopped at 2048. Processors add 3,000 numbers in other orders.
    np.testing.assert_allclose(out, [[1.0]], rtol=1e-4)


def test_default_vectors_are_small_and_follow_from_the_seed():
    one, two = (StackedEmbedding([500], 16, seed=3).table.numpy() for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert 0.049 < np.abs(one).max() <= 0.05
    assert (StackedEmbedding([500], 16, seed=4).table.numpy() != one).any()


def test_regularizer_is_of_the_table():
    layer = StackedEmbedding([3], 2, initializer="ones", regularizer=keras.regularizers.L2(0.5))
    assert [float(loss) for loss in layer.losses] == [5.0]


def pair():
    """A layer, and the same one on TFRS's `TPUEmbedding`."""
    return [
        StackedEmbedding(SIZES, [4, 6, 2], hashed=["user"], seed=5, tpu=tpu)
        for tpu in (None, {"name": "Adagrad", "learning_rate": 0.1})
    ]


def test_tfrss_tpu_embedding_takes_the_place_of_the_table():
    plain, tpu = pair()
    np.testing.assert_array_equal(tpu.table, plain.table)
    assert [w.shape for w in tpu.weights] == [w.shape for w in plain.weights]
    for inputs, weights in ((tf.constant(IDS), None), (tensors(BAGS), WEIGHTS)):
        expected = plain(inputs, weights=weights)
        np.testing.assert_array_equal(tpu(inputs, weights=weights), expected)
        for jit in (False, True):
            call = tf.function(lambda x, w=weights: tpu(x, weights=w), jit_compile=jit)
            np.testing.assert_allclose(call(inputs), expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [keras.optimizers.Adam, LazyAdam])
def test_an_ordinary_optimizer_trains_the_table_that_tfrs_holds(optimizer):
    results = []
    for layer in pair():
        model = keras.Sequential([layer, keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile(optimizer(0.1), "mse")
        history = model.fit(IDS, np.arange(5.0), epochs=20, verbose=0).history["loss"]
        assert history[-1] < history[0] / 4
        results.append(layer.table.numpy())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5, atol=1e-6)


def test_checkpoints_go_from_one_to_the_other(tmp_path):
    plain, tpu = pair()
    randomise(plain)
    path = tf.train.Checkpoint(layer=plain).save(str(tmp_path / "x"))
    tf.train.Checkpoint(layer=tpu).restore(path).assert_existing_objects_matched()
    np.testing.assert_array_equal(tpu.table, plain.table)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: StackedEmbedding({}, 4), ValueError, "sizes"),
        (lambda: StackedEmbedding([3, 0], 4), ValueError, "at least one id"),
        (lambda: StackedEmbedding([3], 0), ValueError, "dim"),
        (lambda: StackedEmbedding([3], [4, 4]), ValueError, "one for each of 1"),
        (lambda: StackedEmbedding(SIZES, 4, hashed=["zip"]), ValueError, "'zip', only user, city"),
        (lambda: StackedEmbedding([3], 4, combiner="max"), ValueError, "mean or sum"),
        (lambda: StackedEmbedding([2**31], 4), ValueError, "more than int32"),
        (lambda: StackedEmbedding([3], 4, tpu="Lion"), ValueError, "SGD, Adagrad"),
        (lambda: StackedEmbedding([3], 4, regularizer="l2", tpu="SGD"), ValueError, "regularizer"),
        (lambda: StackedEmbedding([3], 4).rows_of(1), ValueError, "no feature 1"),
        (lambda: StackedEmbedding([3], 4)(tf.ones([2, 1])), TypeError, "integers, not float32"),
        (lambda: StackedEmbedding([3], 4)(tf.ones([2, 2], tf.int32)), ValueError, r"\[batch, 1\]"),
        (lambda: StackedEmbedding(SIZES, 4)({"user": IDS[:, 0]}), ValueError, "lack city, genres"),
        (
            lambda: StackedEmbedding([3], 4)({"0": tf.ones([2, 2, 2], tf.int32)}),
            ValueError,
            "pad bags",
        ),
        (
            lambda: StackedEmbedding([3], 4)({"0": tf.ragged.constant([[1], [2, 3]])}),
            ValueError,
            "pad bags with 0",
        ),
        (
            lambda: StackedEmbedding([3], 4)(tf.ones([2, 1], tf.int32), weights={"0": [[1.0]]}),
            ValueError,
            "no bag",
        ),
        (
            lambda: StackedEmbedding([3], 4)(
                {"0": tf.ones([2, 3], tf.int32)}, weights={"0": tf.ones([2, 2])}
            ),
            ValueError,
            "shape of its ids",
        ),
    ],
)
def test_errors_say_what_and_where(make, error, message):
    with pytest.raises(error, match=message):
        make()
