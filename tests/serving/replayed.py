"""Requests for `replay.py`, and whether its answers are those of a manifest."""

import json
from pathlib import Path

import numpy as np

from tfrecs._keras import tf

LIBRARIES = Path(tf.__file__).parent
REPLAY = Path(__file__).with_name("replay.py")


def golden_requests(folder) -> list[dict]:
    """The golden requests and answers of an export."""
    path = Path(folder, "assets.extra", "tfrecs_manifest.json")
    return json.loads(path.read_text("utf-8"))["golden"]


def tensor(values, shape=None) -> dict:
    """An array: flat values beside the shape."""
    values = np.array(values, object)
    return {"shape": shape or list(values.shape), "values": values.ravel().tolist()}


def request(folder, signature: str, **inputs) -> dict:
    """A request of tensors."""
    return {"export": str(folder), "signature": signature, "inputs": inputs}


def golden_request(folder, golden: dict) -> dict:
    """A golden request."""
    inputs = {name: tensor(values) for name, values in golden["inputs"].items()}
    return request(folder, golden["signature"], **inputs)


def assert_answers(answer: dict, golden: dict) -> None:
    """The answer is that of the manifest, but for rounding."""
    assert set(answer["outputs"]) == set(golden["outputs"])
    for name, expected in golden["outputs"].items():
        found, expected = answer["outputs"][name], np.array(expected, object)
        assert found["shape"] == list(expected.shape)
        if all(isinstance(x, float) for x in expected.ravel()):
            expected = expected.astype(np.float64).ravel()
            np.testing.assert_allclose(found["values"], expected, rtol=1e-5, atol=1e-6)
        else:
            assert found["values"] == expected.ravel().tolist()
