"""Exports from strangers: what would run on loading is seen before TensorFlow loads it."""

import shutil
from pathlib import Path

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from tests.serving.resealing import resealed
from tfrecs._keras import tf
from tfrecs.cli import main
from tfrecs.serving import Recommender, export, verify

IDS = [7, 3, 12, 5, -2, 40]


@pytest.fixture(scope="module")
def exported(make_model, tmp_path_factory):
    model, _ = make_model(IDS)
    return Path(export(model, tmp_path_factory.mktemp("exports"), k=4))


@pytest.fixture
def copy(exported, tmp_path):
    return Path(shutil.copytree(exported, tmp_path / "1"))


@pytest.fixture
def altered(copy):
    """Alters the graph of an export and seals it again."""

    def alter(change):
        path = copy / "saved_model.pb"
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        change(saved.meta_graphs[0])
        path.write_bytes(saved.SerializeToString())
        (copy / "fingerprint.pb").write_bytes(b"")
        resealed(copy)
        return copy

    return alter


def functions(graph, part):
    return [f for f in graph.graph_def.library.function if part in f.signature.name]


def constant(function, name, text):
    node = function.node_def.add(name=name, op="Const")
    node.attr["dtype"].type = tf.string.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(text))
    return f"{name}:output:0"


def write_file(function, canary):
    node = function.node_def.add(name="attack", op="WriteFile")
    node.input.extend([constant(function, "where", str(canary)), constant(function, "what", "x")])
    function.control_ret["attack"] = "attack"
    function.signature.control_output.append("attack")


def refused(folder, capsys, what):
    for call in (verify, Recommender):
        with pytest.raises(ValueError, match=what):
            call(folder)
    for argv in (["verify", str(folder)], ["recommend", str(folder), "--history", "7"]):
        capsys.readouterr()
        assert main(argv) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error


def test_a_file_that_an_initialiser_would_write(altered, tmp_path, capsys):
    canary = tmp_path / "canary"

    def attack(graph):
        write_file(functions(graph, "initializer")[0], canary)

    folder = altered(attack)
    refused(folder, capsys, "its graph has WriteFile")
    assert not canary.exists()
    # The attack is a real one.
    tf.saved_model.load(str(folder))
    assert canary.exists()


@pytest.mark.parametrize(
    "operation",
    [
        *("ReadFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc", "PrintV2"),
        *("SaveV2", "RestoreV2", "MergeV2Checkpoints", "Save", "Restore", "LoadDataset"),
        *("TextLineDataset", "TFRecordReaderV2", "WholeFileReaderV2", "DataServiceDatasetV2"),
        *("CreateSummaryFileWriter", "DebugIdentity", "RemoteCall", "Send", "FIFOQueueV2"),
        # They keep no state by TensorFlow's word, and read files that an attribute names.
        *("ImmutableConst", "GenerateVocabRemapping", "DecodeProtoV2", "EncodeProto"),
        *("XlaCallModule", "NotAnOperation", "Somebody>Operation", "TPUPartitionedCall"),
    ],
)
def test_operations_that_do_more_than_compute(operation, altered, capsys):
    folder = altered(
        lambda graph: functions(graph, "initializer")[0].node_def.add(name="x", op=operation)
    )
    refused(folder, capsys, f"its graph has {operation}")


def test_what_saves_must_not_be_called_by_what_runs(altered, capsys):
    def attack(graph):
        (saver,) = functions(graph, "traced_save")
        node = functions(graph, "initializer")[0].node_def.add(
            name="call", op="StatefulPartitionedCall"
        )
        node.attr["f"].func.name = saver.signature.name

    refused(altered(attack), capsys, "MergeV2Checkpoints in .*, which runs")


def test_tables_are_of_assets_alone(altered, capsys):
    def attack(graph):
        function = functions(graph, "initializer")[0]
        (table,) = (n for n in function.node_def if n.op == "InitializeTableFromTextFileV2")
        table.input[1] = constant(function, "secret", "/etc/passwd")

    refused(altered(attack), capsys, "InitializeTableFromTextFileV2 of a file that is no asset")


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "a/b", ".."])
def test_assets_lie_in_the_folder(name, altered, capsys):
    def attack(graph):
        graph.asset_file_def[0].filename = name

    refused(altered(attack), capsys, "an asset outside the folder")


def test_graphs_that_are_none(copy, capsys):
    for content in (b"", b"\xff" * 100, b"\x0a\x05abc"):
        (copy / "saved_model.pb").write_bytes(content)
        resealed(copy)
        refused(copy, capsys, "is damaged")


@pytest.mark.slow
def test_a_path_that_reads_as_a_pattern(make_model, tmp_path, capsys):
    model, _ = make_model(IDS)
    folder = tmp_path / "a [b] *?" / "ex\\port"
    export(model, folder, k=4)
    assert verify(folder)["k"] == 4
    assert len(Recommender(folder).recommend([7], k=3)) == 3
    assert main(["recommend", str(folder), "--history", "7", "--k", "2"]) == 0
