"""What all tests share. Set before TensorFlow is imported anywhere."""

import gc
import os
import sys

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# XLA compiles as always, but for LLVM's optimizations: each program runs once or twice.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# Where the environment says that no bytecode is kept, each worker and each subprocess would compile
# the package and the tests' rewritten assertions again.
os.environ["PYTHONDONTWRITEBYTECODE"] = ""

from tfrecs.cli.errors import quiet_import

sys.dont_write_bytecode = False

# What TensorFlow logs while it is imported would come after pytest's last line.
with quiet_import():
    from tfrecs._keras import tf


def named_super(kind, args, scope):
    """Stands for AutoGraph's `super()`, which keeps the frames of a trace in a cycle of references.

    Models, graphs and tables then stay until garbage is collected; and where that takes apart a
    chain of frames at whose end is a loaded export, Python 3.11 has crashed.
    """
    if not args:
        raise TypeError("In traced code write Base.method(self, ...), not super().method(...).")
    return kind(*args)


AUTOGRAPH = sys.modules["tensorflow.python.autograph.operators.py_builtins"]
AUTOGRAPH.super_in_original_context = named_super

# Two logical devices on one processor, for the tests of `tf.distribute`.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
# Tests compare with float32 on CPUs; a GPU would round the factors of products to 10 bits.
tf.config.experimental.enable_tensor_float_32_execution(False)
# Tensors are small here, and pytest has a worker for every processor.
tf.config.threading.set_intra_op_parallelism_threads(1)

# Begun first, so that at the end no worker has long to wait for another.
LONGEST = [
    "tests/tutorials/test_notebooks.py",
    "tests/test_add_to_the_package.py",
    "tests/conformance/test_conformance.py",
    "tests/test_keras.py",
    "tests/models/test_factors.py",
    "tests/training/test_strategies.py",
    "tests/models/test_withheld.py",
    "tests/test_cli.py",
    "tests/training/test_resume.py",
    "tests/serving/test_every_model.py",
    "tests/test_docstrings.py",
    "tests/fuzz/test_fuzz.py",
    "tests/docker/test_image.py",
    "tests/serving/test_reported_figures.py",
    "tests/test_benchmarks_numeric.py",
]


def pytest_collection_modifyitems(items):
    """Sorts the files that take longest to the front; xdist would take those of most tests."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.split("::")[0], len(place)))


def pytest_collection_finish():
    """What was imported is there to stay: not to be looked through at garbage collections."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session")
def log_file(tmp_path_factory):
    """24 users who walk around a ring of 12 items, each from a place of their own."""
    rng = np.random.default_rng(0)
    lines = ["user_id,item_id,timestamp"]
    for user in range(24):
        start, length = rng.integers(0, 12), rng.integers(5, 10)
        lines += [f"{user},{100 + (start + t) % 12},{t}" for t in range(length)]
    path = tmp_path_factory.mktemp("data") / "ring.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def two_devices():
    """A strategy of two replicas; one for all tests: TensorFlow confuses the collectives of two."""
    strategy = tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"])
    assert strategy.num_replicas_in_sync == 2
    return strategy
