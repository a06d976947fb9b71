"""Tracing leaves nothing for the garbage collector that would keep models alive."""

import gc
import types

import numpy as np
import pytest

from tests.distribution.public_models import split_of
from tests.public_models import MODELS
from tfrecs._keras import tf


@pytest.mark.parametrize("name", ["SASRec", "Caser", "GeneralizedMF"])
def test_no_frame_of_a_trace_stays_in_a_cycle(name):
    entry = MODELS[name]
    model = entry.model.from_split(split_of(entry.model), **entry.replicas())
    inputs = {
        "user_id": np.array([1, 2], np.int32),
        "history": np.array([[1, 2], [0, 3]], np.int32),
    }
    gc.collect()
    gc.disable()
    try:
        tf.function(model.score)(inputs)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        frames = [x.f_code.co_name for x in gc.garbage if isinstance(x, types.FrameType)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not [name for name in frames if "score" in name or "super" in name]
