"""Which operations an export may hold, on graphs that are written by hand."""

import re

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from tfrecs._keras import tf
from tfrecs.serving.folder.graph_check import check_graph


@pytest.fixture
def written(tmp_path):
    """Writes a SavedModel whose graph, and a function in it, have nodes of these operations."""

    def write(*operations, within=(), must_compile=False):
        saved = saved_model_pb2.SavedModel()
        graph = saved.meta_graphs.add().graph_def
        function = graph.library.function.add()
        function.signature.name = "__inference_answer_1"
        function.attr["_XlaMustCompile"].b = must_compile
        for operation in (*operations, "__inference_answer_1"):
            graph.node.add(name=f"node_{len(graph.node)}", op=operation)
        for operation in within:
            function.node_def.add(name=f"node_{len(function.node_def)}", op=operation)
        (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
        return tmp_path

    return write


def test_what_a_stock_server_has(written):
    folder = written("Const", "VarHandleOp", within=["MatMul", "TopKV2", "MatMul"])
    assert check_graph(folder) == ["Const", "MatMul", "TopKV2", "VarHandleOp"]


@pytest.mark.parametrize(
    "operation",
    [
        "Scann>ScannSearchBatched",
        "SentencepieceOp",  # A library's operation need not say so in its name.
        "EagerPyFunc",
        "PyFunc",
        "ReadFile",
        "XlaCallModule",
    ],
)
def test_what_it_lacks_or_should_not_run(written, operation):
    for folder in (written(operation), written("Const", within=[operation])):
        with pytest.raises(ValueError, match=f"its graph has {operation}. Replace that"):
            check_graph(folder)


def test_what_is_meant(written):
    folder = written("Scann>ScannSearchBatched")
    assert check_graph(folder, "Scann") == ["Scann>ScannSearchBatched"]
    with pytest.raises(ValueError, match="Other>Operation"):
        check_graph(written("Other>Operation"), "Scann")


def test_what_must_be_compiled(written):
    with pytest.raises(ValueError, match="__inference_answer_1: jit_compile=True"):
        check_graph(written("Const", must_compile=True))


def test_no_operation_that_computes_names_a_file():
    """Held for the operations that the next TensorFlow brings."""
    from tensorflow.python.framework import op_def_registry

    from tfrecs.serving.folder.graph_check import _SAVING, _TABLE, _computes

    names = re.compile("file|path|region|descriptor|prefix|address|url|command", re.IGNORECASE)
    harmless = {*_SAVING, _TABLE, "CTCBeamSearchDecoder"}
    found = {}
    for operation in set(dir(tf.raw_ops)) - harmless:
        definition = op_def_registry.get(operation)
        if definition is not None and _computes(operation, None):
            parts = [part.name for part in (*definition.attr, *definition.input_arg)]
            if touching := [part for part in parts if names.search(part)]:
                found[operation] = touching
    assert not found
