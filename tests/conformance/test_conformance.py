"""Everything public does what Keras users rely on (the idea of Sonnet's conformance suite)."""

import inspect
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import tfrecs
from tests.conformance.registry import (
    CASES,
    HISTORY,
    NO_CASE,
    TARGET,
    by_popularity,
    known_items,
)
from tfrecs._keras import keras, tf

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def flat(result):
    return [np.asarray(x) for x in tf.nest.flatten(result)]


def assert_same(got, want, **tolerance):
    for a, b in zip(flat(got), flat(want), strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or TOLERANCE))


def slow_where(slow):
    """All cases, those whose name `slow` accepts marked as slow."""
    return [pytest.param(name, marks=pytest.mark.slow if slow(name) else ()) for name in CASES]


def is_variant(name):
    """Whether it is a further case of a public name; the loss of a model is none."""
    return name.partition(", ")[2] not in ("", "loss")


@pytest.fixture(params=slow_where(is_variant), scope="module")
def case(request):
    return CASES[request.param]


@pytest.fixture(scope="module")
def eager(case):
    """What the case gives in eager mode and float32, by a fresh object."""
    return flat(case.call(case.make(), *case.tensors()))


def test_nothing_public_is_missing():
    registered = {name.split(",")[0] for name in CASES}
    for room, exempt in NO_CASE.items():
        for name in getattr(tfrecs, room).__all__:
            assert name in exempt or f"{room}.{name}" in registered, f"{room}.{name} has no case"
    for room in ("layers", "negatives", "losses", "models"):
        for name in NO_CASE[room]:
            thing = getattr(getattr(tfrecs, room), name)
            concrete = inspect.isclass(thing) and issubclass(thing, keras.layers.Layer)
            assert not concrete or name in {"Loss", "SampledLoss", "Model", "Negatives"}


def test_no_weight_is_int32(case):
    """TensorFlow keeps int32 variables on the host, where a step compiled for a GPU finds none."""
    instance = case.make()
    case.call(instance, *case.tensors())
    weights = instance.variables
    weights = weights() if callable(weights) else weights  # Of optimizers it is a method.
    assert not [weight.name for weight in weights if weight.dtype.base_dtype == tf.int32]


def check_tracked(instance):
    """Under a name that the class has Keras tracks nothing: no training, no checkpoint."""
    for attribute, value in vars(instance).items():
        part = isinstance(value, keras.layers.Layer | tf.Variable)
        if part and not attribute.startswith("_"):
            assert attribute in instance._trackable_children(), attribute


def test_config_round_trip(case):
    instance = case.make()
    check_tracked(instance)
    want = case.call(instance, *case.tensors())
    config = json.loads(json.dumps(instance.get_config()))
    again = type(instance).from_config(config)
    if case.adapted:
        if not isinstance(again, tfrecs.models.Model):
            again.build(case.inputs[0].shape)
        again.set_weights(instance.get_weights())
        restart(again)
    assert json.loads(json.dumps(again.get_config())) == config
    assert_same(case.call(again, *case.tensors()), want)
    # Through Keras's registry too, which needs no class.
    known = keras.utils.deserialize_keras_object(keras.utils.serialize_keras_object(instance))
    assert type(known) is type(instance)


def test_checkpoint_round_trip(case, tmp_path):
    instance = case.make()
    case.call(instance, *case.tensors())
    for variable in instance.trainable_variables:
        variable.assign_add(tf.ones_like(variable))
    path = tf.train.Checkpoint(x=instance).save(str(tmp_path / "x"))
    want = case.call(instance, *case.tensors())
    again = case.make()
    case.call(again, *case.tensors())
    tf.train.Checkpoint(x=again).restore(path).assert_consumed()
    assert_same(case.call(again, *case.tensors()), want)


@pytest.mark.parametrize(
    "case",
    # A model's loss has most of what its scores have.
    slow_where(lambda name: is_variant(name) or f"{name}, loss" in CASES),
    indirect=True,
)
def test_compiled_equals_eager(case, eager):
    """By XLA, in a graph of known shapes; as it is, a graph is run by `test_unknown_batch_size`."""
    instance = case.make()
    if isinstance(instance, tfrecs.models.Model):
        instance.compile(jit_compile=True)
    case.call(instance, *case.tensors())  # creates the weights
    restart(instance)
    compiled = tf.function(lambda *x: case.call(instance, *x), jit_compile=True)
    assert_same(compiled(*case.tensors()), eager)


def restart(instance):
    """Sets what an instance counted while it was called back to its start."""
    counts = ("step", "rows_seen", "last_seen", "mean_gap", "memory")
    for variable in instance.non_trainable_weights:
        if any(name in variable.name for name in counts):
            variable.assign(tf.zeros_like(variable))
    return instance


def assert_dtype(case, got, compute):
    """Activations are of the precision's own type, what is computed in float32 is not."""
    for x in got:
        if np.issubdtype(x.dtype, np.integer):
            continue
        if case.float32:
            assert x.dtype == np.float32
        elif len(x.shape) == 3:  # a layer's activations
            assert x.dtype == tf.as_dtype(compute).as_numpy_dtype


@pytest.mark.parametrize(
    "policy", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"]
)
def test_precision(case, eager, policy):
    assert_dtype(case, eager, "float32")
    keras.mixed_precision.set_global_policy(policy)
    try:
        got = flat(case.call(case.make(), *case.tensors()))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert_dtype(case, got, policy.removeprefix("mixed_"))
    for a, b in zip(got, eager, strict=True):
        if np.issubdtype(b.dtype, np.integer):
            assert np.array_equal(a, b)
        else:
            np.testing.assert_allclose(a.astype(np.float32), b, rtol=0.05, atol=0.05)


def test_unknown_batch_size(case, eager):
    """A graph whose shapes say nothing of the batch equals eager code."""
    instance = case.make()
    case.call(instance, *case.tensors())
    signature = [
        tf.TensorSpec(x.shape if i in case.fixed else [None, *x.shape[1:]], x.dtype)
        for i, x in enumerate(case.inputs)
    ]
    function = tf.function(lambda *x: case.call(restart(instance), *x), input_signature=signature)
    assert_same(function(*case.tensors()), eager)
    one = [tf.constant(x if i in case.fixed else x[:1]) for i, x in enumerate(case.inputs)]
    assert_same(function(*one), case.call(restart(instance), *one))


@pytest.mark.parametrize(
    "name", [name for name in CASES if name.startswith(("layers.", "models."))]
)
def test_no_rows(name):
    """What a replica may get of a short batch."""
    case = CASES[name]
    instance = case.make()
    some = flat(case.call(instance, *case.tensors()))
    none = [tf.constant(x if i in case.fixed else x[:0]) for i, x in enumerate(case.inputs)]
    for got, want in zip(flat(case.call(instance, *none)), some, strict=True):
        assert got.shape[1:] == want.shape[1:]
        assert np.isfinite(got).all()


@pytest.mark.parametrize("scale", [pytest.param(1e4, marks=pytest.mark.slow), np.inf])
def test_gradients_of_extreme_inputs_are_finite(case, scale):
    scale = min(scale, case.growth)
    instance = case.make()
    case.call(instance, *case.tensors())
    if isinstance(instance, tfrecs.models.Model):
        for variable in instance.trainable_variables:
            if "embedding" in variable.name:
                variable.assign(variable * min(scale, 1e4))
    inputs = [x * scale if x.dtype == tf.float32 else x for x in case.tensors()]
    floats = [x for x in inputs if x.dtype == tf.float32]
    with tf.GradientTape() as tape:
        tape.watch(floats)
        out = [y for y in tf.nest.flatten(case.call(instance, *inputs)) if y.dtype.is_floating]
        value = tf.add_n([tf.reduce_mean(y) for y in out]) if out else tf.zeros(())
    gradients = tape.gradient(value, [*floats, *instance.trainable_variables])
    for gradient in gradients:
        if gradient is not None:
            assert np.isfinite(tf.convert_to_tensor(gradient)).all()


def exported(case, instance):
    module = tf.Module()
    module.instance = instance
    module.use = tf.function(
        lambda *x: tf.nest.flatten(case.call(instance, *x)),
        input_signature=[tf.TensorSpec(x.shape, x.dtype) for x in case.inputs],
    )
    return module


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory):
    """Results of all cases' SavedModels in a process that imports neither tfrecs nor Keras."""
    folder = tmp_path_factory.mktemp("saved")
    for number, case in enumerate(CASES.values()):
        instance = case.make()
        case.call(instance, *case.tensors())
        restart(instance)
        tf.saved_model.save(exported(case, instance), str(folder / str(number)))
        arrays = {f"x{i}": x for i, x in enumerate(case.inputs)}
        np.savez(folder / f"{number}.npz", **arrays)
    script = f"""
        import sys
        # An import of these fails.
        sys.modules.update(dict.fromkeys(["tfrecs", "keras", "tf_keras"]))
        import numpy as np, tensorflow as tf
        for number in range({len(CASES)}):
            module = tf.saved_model.load(rf"{folder}/{{number}}")
            with np.load(rf"{folder}/{{number}}.npz") as data:
                inputs = [tf.constant(data[f"x{{i}}"]) for i in range(len(data.files))]
            out = module.use(*inputs)
            np.savez(rf"{folder}/{{number}}-out.npz", *[np.asarray(x) for x in out])
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd=folder)
    results = {}
    for number, name in enumerate(CASES):
        with np.load(folder / f"{number}-out.npz") as data:
            results[name] = [data[key] for key in data.files]
    return results


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_saved_model_round_trip(name, reloaded):
    case = CASES[name]
    assert_same(reloaded[name], case.call(case.make(), *case.tensors()))


LOSSES = {
    "FullSoftmax": lambda: tfrecs.losses.FullSoftmax(),
    "SampledSoftmax": lambda: tfrecs.losses.SampledSoftmax(6, seed=1),
    # Negatives of each target are drawn apart on each replica; shared ones are the same on all.
    "BinaryCrossEntropy": lambda: tfrecs.losses.BinaryCrossEntropy(2, shared=True, seed=1),
    "GBCE": lambda: tfrecs.losses.GBCE(3, shared=True, seed=1),
    "SquaredError": lambda: tfrecs.losses.SquaredError(2, shared=True, seed=1),
    "WholeDataSquaredError": lambda: tfrecs.losses.WholeDataSquaredError(known=known_items()),
    "BPR": lambda: tfrecs.losses.BPR(negatives=by_popularity(True, known=known_items())),
    "Margin": lambda: tfrecs.losses.Margin(2, shared=True, seed=1),
    "WARP": lambda: tfrecs.losses.WARP(shared=True, seed=1),
    "BucketedSoftmax": lambda: tfrecs.losses.BucketedSoftmax(3, 4, 5, seed=1),
    "cross-batch negatives": lambda: tfrecs.losses.SampledSoftmax(
        negatives=tfrecs.negatives.CrossBatch(20, tfrecs.negatives.StreamingFrequency(16)),
        logq="corrected",
    ),
    "hard negatives": lambda: tfrecs.losses.SampledSoftmax(
        negatives=tfrecs.negatives.Hardest(2, tfrecs.negatives.Uniform(6, seed=1), 1)
    ),
}
# Each takes seconds to trace.
QUICK = {"SampledSoftmax"}


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in LOSSES],
)
def test_one_device_equals_two(name, two_devices):
    batch = {"user_id": HISTORY[:, 0], "history": HISTORY, "target": TARGET}
    results = []
    for strategy in (tf.distribute.OneDeviceStrategy("cpu:0"), two_devices):
        with strategy.scope():
            model = tfrecs.models.SASRec(
                9, dim=8, num_blocks=1, max_length=5, dropout=0.0, loss=LOSSES[name](), seed=1
            )
            model.compile(keras.optimizers.SGD(0.5))
        # The replicas get batches with 8 and 5 targets.
        data = tf.data.Dataset.from_tensor_slices(batch).batch(4).repeat(3)
        history = model.fit(data, verbose=0).history
        results.append([history["loss"], *model.get_weights()])
    assert_same(results[1], results[0], rtol=1e-5, atol=1e-6)
