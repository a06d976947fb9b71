"""A look at a written graph for operations that a stock server lacks or should not run."""

from __future__ import annotations

from pathlib import Path

from tfrecs._keras import tf

# They call back into Python, or touch files of the server.
_OF_THE_HOST = {"PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile"}
# They are nothing but a program of XLA.
_OF_XLA = {"XlaLaunch", "XlaLaunchV2", "XlaCallModule"}
FORBIDDEN = frozenset(_OF_THE_HOST | _OF_XLA)


def check_graph(folder: Path, allowed: str | None = None) -> list[str]:
    """Names of the operations of a SavedModel, all of which a stock TensorFlow Serving has.

    Args:
        folder: The SavedModel.
        allowed: A library whose custom operations are meant, such as "Scann".

    Returns:
        The distinct operation names, sorted.

    Raises:
        ValueError: An operation is custom, calls Python, opens files, or is compiled by XLA (which
            TensorFlow Serving does not do on CPUs).
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    functions = {f.signature.name for m in saved.meta_graphs for f in m.graph_def.library.function}
    names, bad = set(), set()
    for meta_graph in saved.meta_graphs:
        library = meta_graph.graph_def.library.function
        nodes = [*meta_graph.graph_def.node, *(node for f in library for node in f.node_def)]
        for node in nodes:
            names.add(node.op)
            # TensorFlow's own; what a library registers beside them is not there.
            known = hasattr(tf.raw_ops, node.op) or node.op in functions
            meant = node.op.startswith(f"{allowed}>")
            if node.op in FORBIDDEN or not (known or meant):
                bad.add(node.op)
            if node.attr["_XlaMustCompile"].b:
                bad.add(f"{node.op} with jit_compile=True")
        bad |= {
            f"{f.signature.name}: jit_compile=True" for f in library if f.attr["_XlaMustCompile"].b
        }
    if bad:
        raise ValueError(
            "No stock TensorFlow Serving can run the model: its graph has "
            f"{', '.join(sorted(bad))}. Replace that in the model's query_vectors or score."
        )
    return sorted(names - functions)
