"""What all tests share. Set before TensorFlow is imported anywhere."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A test that must reach a download says so itself; no other one may fill a user's cache.
os.environ.setdefault("MPLBACKEND", "Agg")

from tfrecs._keras import tf  # noqa: E402

# Two logical devices on one processor, for the tests of `tf.distribute`.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
