"""Adam against Keras's, and LazyAdam against the formula, row by row."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.optimizers import SGD, Adam, LazyAdam

# Where Keras looks for GPUs.
GPUS = "tensorflow.compat.v2.config.list_physical_devices"


class NumpyAdam:
    """Kingma and Ba's algorithm 1 in its epsilon-hat form, for the rows it is given."""

    def __init__(self, table, rate=0.1, b1=0.9, b2=0.999, epsilon=1e-7):
        self.table, self.rate, self.b1, self.b2, self.epsilon = table.copy(), rate, b1, b2, epsilon
        self.m, self.v, self.t = np.zeros_like(table), np.zeros_like(table), 0

    def step(self, rows, gradient):
        self.t += 1
        rate = self.rate * np.sqrt(1 - self.b2**self.t) / (1 - self.b1**self.t)
        for row, g in zip(rows, gradient, strict=True):
            self.m[row] = self.b1 * self.m[row] + (1 - self.b1) * g
            self.v[row] = self.b2 * self.v[row] + (1 - self.b2) * g**2
            self.table[row] -= rate * self.m[row] / (np.sqrt(self.v[row]) + self.epsilon)


@pytest.mark.parametrize("compiled", ["eager", "graph", "xla"])
def test_sparse_rows(compiled):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(6, 3)).astype(np.float32)
    table, oracle = tf.Variable(start), NumpyAdam(start)
    optimizer = LazyAdam(0.1)
    optimizer.build([table])

    def apply(values, rows):
        optimizer.apply_gradients([(tf.IndexedSlices(values, rows, tf.constant([6, 3])), table)])

    if compiled != "eager":
        apply = tf.function(apply, jit_compile=compiled == "xla")
    for _ in range(5):
        rows = rng.integers(0, 6, 4)  # repeated rows are summed first
        values = rng.normal(size=(4, 3)).astype(np.float32)
        apply(tf.constant(values), tf.constant(rows))
        unique = np.unique(rows)
        oracle.step(unique, [values[rows == row].sum(0) for row in unique])
    np.testing.assert_allclose(table, oracle.table, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", [Adam, LazyAdam])
@pytest.mark.parametrize("jit", [False, True])
def test_dense_gradients_are_kerass(optimizer, jit):
    gradients = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    rate = keras.optimizers.schedules.PolynomialDecay(0.1, 4, 0.05)
    results = []
    for made in (
        optimizer(rate, weight_decay=0.01),
        keras.optimizers.Adam(rate, weight_decay=0.01),
    ):
        variable = tf.Variable(tf.ones([3, 2]))
        made.build([variable])

        @tf.function(jit_compile=jit)
        def apply(gradient, made=made, variable=variable):
            made.apply_gradients([(gradient, variable)])

        for gradient in gradients:
            apply(tf.constant(gradient))
        results.append(variable.numpy())
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_sparse_gradients_of_adam_are_kerass():
    results = []
    for optimizer in (Adam(0.1), keras.optimizers.Adam(0.1)):
        table = tf.Variable(tf.ones([3, 2]))
        for row in ([0], [1], [1]):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.gather(table, row) ** 2)
            optimizer.apply_gradients([(tape.gradient(loss, table), table)])
        results.append(table.numpy())
    np.testing.assert_allclose(*results, rtol=1e-5)


@pytest.mark.parametrize("optimizer", [Adam, LazyAdam])
def test_what_depends_on_the_step_alone_is_computed_once(optimizer):
    variables = [tf.Variable(tf.ones([3, 2])) for _ in range(5)]
    made = optimizer(0.1)
    made.build(variables)

    @tf.function
    def step():
        made.apply_gradients([(tf.ones_like(variable), variable) for variable in variables])

    names = [operation.type for operation in step.get_concrete_function().graph.get_operations()]
    assert (names.count("Pow"), names.count("ResourceApplyAdam")) == (2, 5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("graph", [False, True])
def test_every_type_of_weights(dtype, graph):
    results = []
    for made in (Adam(0.1), keras.optimizers.Adam(0.1)):
        variables = [tf.Variable(tf.ones([2], dtype)), tf.Variable(tf.ones([3]))]
        made.build(variables)

        def step(made=made, variables=variables):
            made.apply_gradients([(tf.ones_like(variable), variable) for variable in variables])

        step = tf.function(step) if graph else step
        for _ in range(20):
            step()
        results.append([tf.cast(variable, tf.float64).numpy() for variable in variables])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4 if dtype != "bfloat16" else 1e-2)


@pytest.mark.parametrize("graph", [False, True])
def test_updates_that_keras_compiles_follow_the_schedule(graph):
    results = []
    for jit in (False, True):
        variable = tf.Variable(tf.ones([3]))
        made = Adam(keras.optimizers.schedules.PolynomialDecay(0.1, 5, 0.0))
        made.jit_compile = jit
        made.build([variable])

        def step(made=made, variable=variable):
            made.apply_gradients([(tf.ones_like(variable), variable)])

        step = tf.function(step) if graph else step
        for _ in range(5):
            step()
        results.append(variable.numpy())
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_numbers_of_a_step_are_no_part_of_the_optimizer():
    variable = tf.Variable(tf.ones([3]))
    made = Adam(0.1, beta_1=tf.Variable(0.9))
    tf.function(lambda: made.minimize(lambda: tf.reduce_sum(variable), [variable]))()
    assert made._shared.by_type is None
    assert not any("shared" in name for name in made._trackable_children())


@pytest.mark.parametrize("optimizer", [Adam, LazyAdam, SGD])
def test_keras_compiles_no_variable_by_itself(optimizer, monkeypatch):
    """On a GPU it would, and again for each number of rows that a batch touches."""
    monkeypatch.setattr(GPUS, lambda kind: ["/gpu:0"])
    assert keras.optimizers.Adam().jit_compile
    assert not optimizer(0.1).jit_compile
    assert optimizer(0.1, jit_compile=True).jit_compile
    assert not optimizer.from_config(optimizer(0.1).get_config()).jit_compile


def test_untouched_rows_keep_still():
    table = tf.Variable(tf.ones([3, 2]))
    optimizer = LazyAdam(0.1)
    for row in ([0], [1], [1]):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.gather(table, row) ** 2)
        before = table.numpy()
        optimizer.apply_gradients([(tape.gradient(loss, table), table)])
        moved = (before != table.numpy()).any(axis=1)
        assert np.flatnonzero(moved).tolist() == row


def test_config_round_trip_and_amsgrad():
    config = LazyAdam(0.02, beta_2=0.98).get_config()
    assert LazyAdam.from_config(config).get_config() == config
    with pytest.raises(ValueError, match="amsgrad"):
        LazyAdam(amsgrad=True)
