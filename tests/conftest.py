"""What all tests share. Set before TensorFlow is imported anywhere."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A test that must reach a download says so itself; no other one may fill a user's cache.
os.environ.setdefault("MPLBACKEND", "Agg")
