"""The choice of Keras 2 and the guard around TFRS's import: each case in a process of its own.

And what AutoGraph rewrites.
"""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tfrecs
from tfrecs._keras import keras, tf

ROOT = Path(__file__).resolve().parent.parent

# What must hold after a successful import, whatever had been imported before.
CHOSEN = """
import os, sys
from tfrecs._keras import SCANN_ERROR, keras, require_scann, tf, tfrs
import tf_keras
assert os.environ["TF_USE_LEGACY_KERAS"] == "1"
assert tf.keras.Model is keras.Model is tf_keras.Model
assert issubclass(tfrs.Model, tf_keras.Model)
# The submodule imports that most Keras code is written with must not bring Keras 3 back.
from tensorflow.keras import layers
import tensorflow.keras.losses
assert layers.Dense is tf.keras.layers.Dense is tf_keras.layers.Dense
# Devices can still be configured: importing must not start TensorFlow's runtime.
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
assert len(tf.config.list_logical_devices("CPU")) == 2
"""

# scann, where it is installed, works with the TensorFlow it was built for.
INSTALLED_SCANN = """
import importlib.util
if SCANN_ERROR is None:
    assert require_scann().scann_ops
    tfrs.layers.factorized_top_k.ScaNN()
elif importlib.util.find_spec("scann"):
    assert tf.__version__ in SCANN_ERROR and not tf.__version__.startswith("2.20.")
"""

ERROR = """
try:
    import tfrecs._keras
except ImportError as error:
    print(error)
else:
    raise SystemExit("no ImportError")
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a clean process, where TensorFlow's own C++ log is off."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)} | variables
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


def python_output(stderr: str) -> str:
    """`stderr` without what TensorFlow's C++ libraries log before Python can have a say."""
    native = r"WARNING: All log messages before absl|[IWEF]\d{4} |To enable the following instr"
    return "".join(line for line in stderr.splitlines(True) if not re.match(native, line))


# `import tfrecs` alone imports no TensorFlow, and guards at once one that is there already.
QUICK_IMPORT = """
import sys
import tfrecs
assert "tensorflow" not in sys.modules
from tensorflow.keras import layers
import tf_keras
assert issubclass(tfrecs.models.SASRec, tf_keras.Model)
"""
TENSORFLOW_FIRST = """
import keras
import tensorflow as tf
import tfrecs
assert tf.keras.__name__.startswith("tf_keras")
"""


# Each takes a process that imports TensorFlow; the quick test is the one of an unfit scann below.
@pytest.mark.parametrize(
    "before",
    [
        pytest.param("", marks=pytest.mark.slow),
        pytest.param(QUICK_IMPORT, marks=pytest.mark.slow),
        pytest.param(TENSORFLOW_FIRST, marks=pytest.mark.slow),
    ],
    ids=["alone", "imported quickly", "after TensorFlow"],
)
def test_chooses_keras_2_quietly(before):
    done = run(before + CHOSEN + INSTALLED_SCANN)
    assert done.stdout == ""
    assert python_output(done.stderr) == ""


@pytest.mark.parametrize(
    ("before", "module"),
    [
        ("import tensorflow as tf; tf.keras.layers", "tfrecs"),
        pytest.param(
            "from tensorflow.keras import layers", "tfrecs._keras", marks=pytest.mark.slow
        ),
    ],
)
def test_keras_3_in_tf_keras_is_one_clear_error(before, module):
    message = run(before + ERROR.replace("tfrecs._keras", module)).stdout
    assert message.count("\n") == 1
    assert "tf.keras is already Keras 3" in message
    assert "`import tfrecs` before the first use of tf.keras" in message


@pytest.mark.slow
def test_tf_keras_that_is_missing_or_of_another_minor_version(tmp_path):
    (tmp_path / "tf_keras.py").write_text("__version__ = '2.19.0'\n")
    missing = f"import sys; sys.modules['tf_keras'] = None{ERROR}"
    other = f"del sys.modules['tf_keras']{ERROR}"
    done = run(f"{missing}\n{other}", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    first, second = done.stdout.splitlines()
    assert "tfrecs needs tf-keras" in first
    assert "tf-keras 2.19.0 does not fit TensorFlow 2." in second
    for message in (first, second):
        assert 'pip install "tf-keras==2.' in message


@pytest.mark.slow
def test_a_variable_that_asks_for_keras_3_is_overridden_with_a_warning():
    without_scann = "import sys; sys.modules['scann'] = None"
    check = """
assert sys.modules["scann"] is None
try:
    require_scann()
except ImportError as error:
    assert str(error) == SCANN_ERROR
    assert "not installed" in SCANN_ERROR and "scann==1.4.2" in SCANN_ERROR
else:
    raise SystemExit("no ImportError")
"""
    done = run(without_scann + CHOSEN + check, TF_USE_LEGACY_KERAS="0")
    assert "tfrecs overrides TF_USE_LEGACY_KERAS=0" in done.stderr


@pytest.mark.slow
def test_scann_that_does_not_match_tensorflow(tmp_path):
    """Such a scann fails on its op library with an exception that is no ImportError.

    Also where TensorFlow and Keras 3 are imported first.
    """
    (tmp_path / "scann").mkdir()
    (tmp_path / "scann" / "builder.py").write_text("")
    (tmp_path / "scann" / "__init__.py").write_text(
        "import tensorflow as tf\n"
        "from scann import builder\n"
        "raise tf.errors.NotFoundError(None, None, '_scann_ops.so: undefined symbol: absl')\n"
    )
    check = """
assert not [name for name in sys.modules if name.startswith("scann")], "left half-imported"
assert "undefined symbol: absl" in SCANN_ERROR and tf.__version__ in SCANN_ERROR
for ask in (require_scann, tfrs.layers.factorized_top_k.ScaNN):
    try:
        ask()
    except ImportError as error:
        assert str(error) == SCANN_ERROR
    else:
        raise SystemExit(f"{ask} did not say why")
tfrs.layers.factorized_top_k.BruteForce()
"""
    done = run(TENSORFLOW_FIRST + CHOSEN + check, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.stdout == ""
    assert python_output(done.stderr) == ""


@pytest.mark.slow
def test_autograph_rewrites_what_users_write_and_no_layer():
    """What Keras calls of theirs, and what our layers do, may branch on tensors."""
    files = []

    def activation(x):
        files.extend(frame.filename for frame in inspect.stack())
        return x

    class Layer(keras.layers.Layer):
        def call(self, x):
            if tf.reduce_sum(x) < 0:
                x = -x
            return x

    class Absolute(keras.losses.Loss):
        def call(self, y_true, y_pred):
            if tf.reduce_sum(y_pred) < 0:
                y_pred = -y_pred
            return y_pred

    class Sum(tfrecs.losses.Loss):
        def weighted_sum(self, targets, scores, weights):
            total = tf.reduce_sum(scores.of(targets))
            if total < 0:
                total = -total
            return total

    class Model(tfrecs.models.Model):
        def __init__(self):
            super().__init__(items=2)
            self.cross = tfrecs.layers.Cross(1, preactivation=activation)
            self.layer, self.loss_function = Layer(), Sum()
            self.task = tfrecs.tasks.Ranking(Absolute())

        def compute_loss(self, inputs, training=False):
            x = -self.layer(inputs["x"])
            scores = tfrecs.losses.DotProductScores(x, 2, lambda ids: tf.ones([1, 2]), None)
            crossed = 0.0 * tf.reduce_sum(self.cross(x))
            return self.task(x, x) + self.loss_function(tf.constant([1]), scores) + crossed

    model = Model()
    model.compile(keras.optimizers.SGD(0.0))
    batches = tf.data.Dataset.from_tensors({"x": tf.constant([[-1.0, -3.0]])})
    # The mean of 1 and 3, and their sum.
    assert model.fit(batches, verbose=0).history["loss"] == [2.0 + 4.0]
    assert inspect.getfile(tfrecs.layers.Cross) in files
