"""Checks the graph of a SavedModel before TensorFlow loads it: it may only compute.

Loading a SavedModel runs its initialisers, and a graph can write files, call Python or open
sockets. So this module only parses the file, and looks at every operation of every function.
It allows operations without state that touch no file, a few that keep variables and tables, and
the ones that save and restore variables where no running function reaches them. Tables may be
filled from the export's own assets only. How long a graph computes is not bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Operations that keep variables and tables, branch, or check values.
_STATEFUL = frozenset(
    {
        "Assert",
        "AssignVariableOp",
        "Case",
        "CheckNumerics",
        "CheckNumericsV2",
        "DestroyResourceOp",
        "DisableCopyOnRead",
        "Empty",
        "GuaranteeConst",
        "HashTableV2",
        "If",
        "InitializeTableV2",
        "LookupTableExportV2",
        "LookupTableFindV2",
        "LookupTableImportV2",
        "LookupTableSizeV2",
        "Multinomial",
        "RandomGamma",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "ReadVariableOp",
        "ResourceGather",
        "ResourceGatherNd",
        "StatefulPartitionedCall",
        "StatelessRandomGetAlg",
        "TensorArrayCloseV3",
        "TensorArrayGatherV3",
        "TensorArrayReadV3",
        "TensorArrayScatterV3",
        "TensorArraySizeV3",
        "TensorArrayV3",
        "TensorArrayWriteV3",
        "TruncatedNormal",
        "VarHandleOp",
        "VarIsInitializedOp",
        "VariableShape",
        "While",
    }
)
_TABLE = "InitializeTableFromTextFileV2"
# TensorFlow's functions that save and restore use these, with the path of their caller.
_SAVING = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints"})
# TensorFlow calls these stateless, but they read files, call the host or run elsewhere.
_TOUCHING = re.compile(
    "File|Reader|Dataset|Iterator|Summary|Checkpoint|PyFunc|Xla|TPU|TRT|Debug|Print|CopyHost|^Copy$"
    "|ImmutableConst|VocabRemapping|Proto|Remote|Infeed|Queue|Barrier|^Batch$|^BatchFunction$"
)
_PURE = frozenset({"ShardedFilename"})
_LARGEST = 1 << 31


def check_graph(folder: Path, library: str | None = None) -> list[str]:
    """Returns the operations of a SavedModel, sorted, if a stock TensorFlow Serving has them all.

    Args:
        folder: The SavedModel.
        library: A library whose custom operations are allowed, such as "Scann".

    Raises:
        ValueError: The graph cannot be parsed; or an operation is custom, calls Python, touches
            files or devices, or is compiled by XLA (TensorFlow Serving does not, on CPUs).
    """
    path = folder / "saved_model.pb"
    graphs = _parsed(path).meta_graphs
    functions = {f.signature.name: f for graph in graphs for f in graph.graph_def.library.function}
    names: set[str] = set()
    bad = {f"{n}: jit_compile=True" for n, f in functions.items() if f.attr["_XlaMustCompile"].b}
    for node in _nodes(graphs):
        names.add(node.op)
        if node.op not in functions and not _computes(node.op, library):
            bad.add(node.op)
        if node.attr["_XlaMustCompile"].b:
            bad.add(f"{node.op} with jit_compile=True")
    for graph in graphs:
        bad |= _out_of_place(graph, functions)
    if bad:
        raise ValueError(
            "No stock TensorFlow Serving can run the model, or should: its graph has "
            f"{', '.join(sorted(bad))[:500]}. Replace that in the model's query_vectors or score; "
            f"and if somebody else exported it, beware of {path}."
        )
    return sorted(names - set(functions))


def _parsed(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than a SavedModel can be.")
    try:
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (DecodeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}. Copy or export it again.") from error
    if not saved.meta_graphs:
        raise ValueError(f"{path} is damaged: it holds no graph. Copy or export it again.")
    return saved


def _nodes(graphs: Any) -> Iterator[Any]:
    for graph in graphs:
        yield from graph.graph_def.node
        for function in graph.graph_def.library.function:
            yield from function.node_def


def _computes(op: str, library: str | None) -> bool:
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    custom = ">" in op or definition is None
    if custom:
        # The names of a library's operations start with the name of the library.
        return library is not None and op.startswith(f"{library}>")
    if op in _SAVING or op == _TABLE or op in _PURE:
        return True  # `_out_of_place` checks where they stand.
    if definition.is_stateful:
        return op in _STATEFUL
    return not _TOUCHING.search(op)


def _out_of_place(graph: Any, functions: dict[str, Any]) -> set[str]:
    """Finds operations that read or write files at places where they could run."""
    bad = set()
    objects = graph.object_graph_def
    for asset in graph.asset_file_def:
        if not re.fullmatch(r"[^/\\]+", asset.filename) or asset.filename in (".", ".."):
            bad.add(f"an asset outside the folder, {asset.filename!r}")
    # A loaded model runs the functions of the object graph, and the functions that these call.
    reached, pending = set(), list(objects.concrete_functions)
    while pending:
        name = pending.pop()
        if name in reached or name not in functions:
            continue
        reached.add(name)
        for node in functions[name].node_def:
            pending += [node.op, *_called(node)]
            if node.op in _SAVING:
                bad.add(f"{node.op} in {name}, which runs")
    for name, function in functions.items():
        for node in function.node_def:
            if node.op == _TABLE and not _from_asset(node, name, function, objects):
                bad.add(f"{_TABLE} of a file that is no asset, in {name}")
    if any(node.op == _TABLE for node in graph.graph_def.node):
        bad.add(f"{_TABLE} outside a function")
    return bad


def _called(node: Any) -> Iterator[str]:
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _from_asset(node: Any, name: str, function: Any, objects: Any) -> bool:
    """Whether a table's file is an argument of the function that is bound to an asset."""
    arguments = [argument.name for argument in function.signature.input_arg]
    concrete = objects.concrete_functions
    if len(node.input) < 2 or node.input[1] not in arguments or name not in concrete:
        return False
    bound = list(concrete[name].bound_inputs)
    place = arguments.index(node.input[1]) - (len(arguments) - len(bound))
    if not 0 <= place < len(bound) or not 0 <= bound[place] < len(objects.nodes):
        return False
    return objects.nodes[bound[place]].WhichOneof("kind") == "asset"
