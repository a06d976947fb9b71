"""What a TPU needs of every public model's training step: XLA, static shapes, no strings, no host.

It has been compiled for a CPU, and never run on a TPU.
"""

import numpy as np
import pytest

import tfrecs
from tests.distribution.public_models import EXAMPLES, split_of
from tfrecs._keras import tf

# How many rows they give depends on the data; or Python or the host's files take part.
DYNAMIC = {"Where", "Unique", "UniqueV2", "UniqueWithCounts", "UniqueWithCountsV2", "ListDiff"}
HOST = {"PyFunc", "EagerPyFunc", "PyFuncStateless", "ReadFile", "WriteFile", "PrintV2", "Assert"}
HOST |= {"LookupTableFindV2", "HashTableV2", "XlaHostCompute", "IteratorGetNext"}
# Where the optimizer touches single rows, and where it moves whole tables.
OPTIMIZERS = {
    "Adam": lambda: tfrecs.optimizers.Adam(0.01),
    "LazyAdam": lambda: tfrecs.optimizers.LazyAdam(0.01),
}


# Each takes seconds to trace and to compile, several times.
QUICK = {"MatrixFactorization"}


@pytest.fixture(
    scope="module",
    params=[
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in EXAMPLES
    ],
)
def name(request):
    return request.param


def compiled(name, jit, optimizer):
    example = EXAMPLES[name]
    model = example.make()
    model.compile(optimizer, jit_compile=jit)
    return model, example.batches(model, static=True)


def test_batches_have_one_static_shape(name):
    example = EXAMPLES[name]
    model = example.make()
    batches = example.batches(model, static=True)
    for column, spec in batches.element_spec.items():
        assert spec.shape.is_fully_defined(), column
        assert spec.dtype != tf.string, column
    count = 0
    for batch in batches:
        assert all(x.shape == batches.element_spec[column].shape for column, x in batch.items())
        count += 1
    assert count == len(batches) > 1


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_training_step_is_static(name, optimizer):
    model, batches = compiled(name, True, OPTIMIZERS[optimizer]())
    step = tf.function(model.train_step, jit_compile=True)
    graph = step.get_concrete_function(batches.element_spec).graph
    # TensorFlow keeps them on the host, which code that XLA compiles for a GPU does not reach.
    assert not [v.name for v in graph.variables if v.dtype.base_dtype == tf.int32]
    for operation in graph.get_operations():
        for tensor in operation.outputs:
            # A gradient's list of axes follows from static shapes, and to XLA is a constant.
            axes = tensor.dtype == tf.int32 and tensor.shape.rank == 1
            assert axes or tensor.shape.is_fully_defined(), tensor
    assert not foreign_to_tpus(graph)


def foreign_to_tpus(graph):
    """The operations of a graph, functions within it too, that no TPU would run."""
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    found = {node.op for node in nodes} & (DYNAMIC | HOST)
    for node in nodes:
        # The type of one tensor, or those of several.
        types = [t for value in node.attr.values() for t in (value.type, *value.list.type)]
        if tf.string.as_datatype_enum in types:
            found.add(node.op)
    return found


def test_what_is_foreign_to_tpus_would_be_found():
    numbers = tf.TensorSpec([4])

    def found(function):
        # Within a function that is called, as Keras's steps are.
        outer = tf.function(lambda x: tf.function(function)(x))
        return foreign_to_tpus(outer.get_concrete_function(numbers).graph)

    assert found(lambda x: tf.nn.relu(x) + 1) == set()
    assert found(lambda x: tf.where(x > 0)) == {"Where"}
    assert found(lambda x: tf.unique(x)[0]) == {"Unique"}
    assert found(lambda x: tf.py_function(abs, [x], tf.float32)) == {"EagerPyFunc"}
    # A call has its types in a list, and the operation itself names none that is a string.
    assert found(tf.strings.as_string) == {"Identity", "PartitionedCall"}


@pytest.mark.slow
def test_xla_trains_as_eager_code_does(name):
    results = []
    for jit in (True, False):
        # No Adam: see test_replicas.py.
        model, batches = compiled(name, jit, tfrecs.optimizers.SGD(0.1))
        model.run_eagerly = not jit
        # Shapes are static in both: what eager code leaves out has weight 0 here.
        model.static_shapes = True
        history = model.fit(batches.take(3), epochs=1, verbose=0)
        results.append([history.history["loss"][0], *model.get_weights()])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SASRec", "GRU4Rec"])
def test_xla_trains_on_batches_of_few_shapes(name):
    """Windows fill batches differently there: in all, the targets are the same."""
    example, results = EXAMPLES[name], []
    for jit in (True, False):
        model = example.make()
        model.compile(tfrecs.optimizers.SGD(0.1), jit_compile=jit)
        model.run_eagerly, model.static_shapes = not jit, True
        batches = model.examples(split_of(example.model).train).batch(4, seed=1, static="few")
        assert len({tuple(batch["history"].shape) for batch in batches}) > 1
        history = model.fit(batches, epochs=1, verbose=0)
        results.append([history.history["loss"][0], *model.get_weights()])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_score_of_two_stages_is_compiled_too():
    """RetrieveThenRank has no training step."""
    retriever, ranker = (EXAMPLES[name].make() for name in ("TwoTower", "DeepCross"))
    model = tfrecs.models.RetrieveThenRank(retriever, ranker, num_candidates=4)
    with pytest.raises(TypeError, match="does not train"):
        model.compute_loss({})
    features = {
        "user_id": tf.constant([1, 5]),
        "history": tf.constant([[0, 0, 0, 1, 2], [0, 0, 0, 0, 7]]),
    }
    score = tf.function(lambda: model.score(features), jit_compile=True)
    np.testing.assert_allclose(score(), model.score(features), rtol=1e-5, atol=1e-5)


def test_replicas_on_cpus_are_told_that_xla_is_of_one(two_devices):
    with two_devices.scope():
        model = EXAMPLES["MatrixFactorization"].make()
    with pytest.raises(ValueError, match="several replicas on CPUs"):
        model.compile(jit_compile=True)
