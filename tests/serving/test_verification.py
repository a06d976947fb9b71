"""What `verify` finds, and what it does not mind."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.serving import export, verification, verify
from tfrecs.serving.replay import difference

IDS = [7, 3, 12, 5, -2, 40]
LOWEST = float(np.finfo(np.float32).min)


@pytest.fixture(scope="module")
def exported(make_model, tmp_path_factory):
    model, _ = make_model(IDS)
    return Path(export(model, tmp_path_factory.mktemp("exports"), k=4))


@pytest.fixture
def copy(exported, tmp_path):
    return Path(shutil.copytree(exported, tmp_path / "1"))


def test_an_intact_export(exported):
    manifest = verify(exported.parent)
    assert manifest["model"] == "DecayProduct"
    assert "assets.extra/tf_serving_warmup_requests" in manifest["files"]
    assert len(manifest["golden"]) == 4


def test_each_file_counts(exported, copy):
    for name in verify(copy)["files"]:
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 4]))
        with pytest.raises(ValueError, match=f"damaged: {name} differs"):
            verify(copy)
        (copy / name).write_bytes(content)
    (copy / "assets" / "more.txt").write_text("x")
    (copy / "debug.log").write_text("x")
    with pytest.raises(ValueError, match="holds assets/more.txt and 1 files more, which was"):
        verify(copy)
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        verify(copy / "nowhere")


@pytest.mark.parametrize("part", ["format", "signatures", "golden", "files"])
def test_a_manifest_without_one_of_its_parts(copy, part):
    path = copy / "assets.extra" / "tfrecs_manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    del manifest[part]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=f"tfrecs_manifest.json is damaged .'{part}'.. Export"):
        verify(copy)


def test_an_answer_that_differs(copy, monkeypatch):
    path = copy / "assets.extra" / "tfrecs_manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["golden"][1]["outputs"]["score"][0][0] += 0.01
    path.write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="'score' of 'score' differs .* golden request 2"):
        verify(copy)

    def unknown(*arguments):
        raise tf.errors.NotFoundError(None, None, "Op type not registered 'New'")

    monkeypatch.setattr(verification, "load", unknown)
    with pytest.raises(ValueError, match="cannot load it .*Op type not registered 'New'"):
        verify(copy)


def test_an_export_that_needs_what_is_not_there(copy, monkeypatch):
    import sys

    path = copy / "assets.extra" / "tfrecs_manifest.json"
    path.write_text(path.read_text("utf-8").replace('"index": "exact"', '"index": "scann"'))
    monkeypatch.setitem(sys.modules, "scann", None)
    with pytest.raises(ValueError, match="searches by ScaNN, which cannot be imported here"):
        verify(copy)


def test_what_counts_as_a_difference():
    def differs(ids, scores, more=0.0):
        want = {"item_id": [["a", "b", "c", "d"]], "score": [[9.0, 4.0, 4.0, 1.0]]}
        found = {"item_id": np.array([[x.encode() for x in ids]], object)}
        found["score"] = np.array([scores], np.float32) + more
        return difference(want, found, "float32")

    assert differs("abcd", [9, 4, 4, 1]) is None
    assert differs("abcd", [9, 4, 4, 1], 1e-5) is None
    assert differs("abcd", [9, 4, 4, 1], 0.1) == "score"
    # Of scores that rounding makes equal either may be first; what follows the last is not known.
    assert differs("acbd", [9, 4, 4, 1]) is None
    assert differs("abce", [9, 4, 4, 1]) is None
    assert differs("bacd", [9, 4, 4, 1]) == "item_id"
    missing = {"vector": [[None, 1.0]]}
    assert difference(missing, {"vector": np.array([[np.nan, 1]], np.float32)}, "float32") is None
    assert difference(missing, {"vector": np.array([[0, 1]], np.float32)}, "float32") == "vector"
    assert difference(missing, {"vector": np.zeros((2, 2), np.float32)}, "float32") == "vector"
    close = {"vector": np.array([[np.nan, 1.005]], np.float32)}
    assert difference(missing, close, "float32") == "vector"
    assert difference(missing, close, "mixed_bfloat16") is None
