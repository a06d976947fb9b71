"""What `verify` finds, and what it does not mind."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.serving.resealing import resealed
from tfrecs._keras import tf
from tfrecs.serving import export, verify
from tfrecs.serving.folder import replay
from tfrecs.serving.folder.replay import difference

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


def test_a_manifest_that_was_altered(copy):
    path = copy / "assets.extra" / "tfrecs_manifest.json"
    path.write_text(path.read_text("utf-8").replace('"k": 4', '"k": 3'))
    with pytest.raises(ValueError, match="tfrecs_manifest.json is damaged: it is not what was exp"):
        verify(copy)


MISSING = object()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, MISSING) for field in ("signatures", "golden", "files", "num_items", "index")),
        ("k", "4"),
        ("k", 0),
        ("k", True),
        ("num_items", -1),
        ("num_items", 2**40),
        ("index", "other"),
        ("recommend_known", 1),
        ("id_dtype", "float32"),
        ("padding_id", ""),
        ("vocabulary", "../../etc/passwd"),
        ("vocabulary", "assets/none.txt"),
        ("user_vocabulary", []),
        ("golden", []),
        ("golden", [{"signature": "none"}]),
        ("golden", [{"signature": []}]),
        ("golden", [{"signature": "score", "inputs": {}, "outputs": {}}]),
        ("signatures", {"serving_default": {"inputs": 3, "outputs": {}}}),
        ("signatures", {}),
        ("signatures", {"serving_default": {"inputs": {}, "outputs": {}}}),
        ("files", {"../x": "0" * 64}),
        ("files", {"a": "short"}),
        ("operations", "Const"),
        ("model", None),
    ],
)
def test_fields_have_types(copy, field, value):
    def change(manifest):
        manifest[field] = value
        if value is MISSING:
            del manifest[field]

    resealed(copy, change)
    with pytest.raises(ValueError, match=f"tfrecs_manifest.json is damaged: .*{field[:6]}"):
        verify(copy)


@pytest.mark.parametrize("where", ["assets/more.txt", "saved_model.pb", "assets.extra/x"])
def test_links_and_pipes_are_not_opened(copy, where, tmp_path):
    path = copy / where
    outside = tmp_path / "outside"
    if path.exists():
        path.rename(outside)
    else:
        outside.write_text("x")
    path.symlink_to(outside)
    with pytest.raises(ValueError, match="is a link, and an export holds files alone"):
        verify(copy)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(
        (ValueError, FileNotFoundError),
        match=r"is no plain file|saved_model.pb is missing|not an ex",
    ):
        verify(copy)


def test_an_answer_that_differs(copy, monkeypatch):
    def change(manifest):
        manifest["golden"][1]["outputs"]["score"][0][0] += 0.01

    resealed(copy, change)
    with pytest.raises(ValueError, match="'score' of 'score' differs .* golden request 2"):
        verify(copy)

    def unknown(*arguments):
        raise tf.errors.NotFoundError(None, None, "Op type not registered 'New'")

    monkeypatch.setattr(tf.saved_model, "load", unknown)
    with pytest.raises(ValueError, match="cannot load it .*Op type not registered 'New'"):
        verify(copy)


def test_an_export_that_needs_what_is_not_there(copy, monkeypatch):
    import sys

    resealed(copy, lambda manifest: manifest.update(index="scann"))
    monkeypatch.setitem(sys.modules, "scann", None)
    with pytest.raises(ValueError, match="searches by ScaNN, which cannot be imported here"):
        verify(copy)


def test_both_sides_compute_in_full_float32(make_model, monkeypatch, tmp_path):
    """A GPU would round the factors of products to 10 bits, and no CPU would verify them."""
    seen, config = [], tf.config.experimental
    monkeypatch.setattr(
        tf,
        "matmul",
        lambda *args, matmul=tf.matmul, **kwargs: (
            seen.append(config.tensor_float_32_execution_enabled()) or matmul(*args, **kwargs)
        ),
    )
    config.enable_tensor_float_32_execution(True)
    try:
        folder = export(make_model(IDS)[0], tmp_path, k=4)
        assert seen
        monkeypatch.setattr(
            replay,
            "ask",
            lambda *args, ask=replay.ask: (
                seen.append(config.tensor_float_32_execution_enabled()) or ask(*args)
            ),
        )
        answers = len(seen)
        verify(folder)
        assert len(seen) > answers
        assert config.tensor_float_32_execution_enabled()
    finally:
        config.enable_tensor_float_32_execution(False)
    assert not any(seen)


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
