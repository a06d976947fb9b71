"""Runs a SavedModel through TensorFlow's C API, as a server's C++ does: no `import tensorflow`.

TensorFlow Serving loads a SavedModel by the C++ function LoadSavedModel;
TF_LoadSessionFromSavedModel wraps the same one. Usage:

    python capi.py FOLDER_OF_LIBTENSORFLOW EXPORT < requests.json

with requests `[{"inputs": {tensor: {"dtype": "int64" | "string" | "float32", "shape": [..],
"values": [..]}}, "outputs": [tensor, ..]}, ..]`, tensors by the names that the signature gives.
Prints a list of `{tensor: {"shape": [..], "values": [..]}}`, or `{"error": message}`.
"""

import ctypes
import json
import struct
import sys
from ctypes import byref, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path

FLOAT, STRING, INT64 = 1, 7, 9
STRING_SLOT = 24  # bytes of a TF_TString


class Output(ctypes.Structure):
    _fields_ = [("operation", c_void_p), ("index", c_int)]


class Library:
    """The C functions, wherever of the two libraries they live; all handles are pointers."""

    def __init__(self, folder: Path) -> None:
        # The default, RTLD_LOCAL: with RTLD_GLOBAL a later import of numpy crashes.
        names = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")
        self.libraries = [ctypes.CDLL(str(folder / name)) for name in names]
        self.status = self("TF_NewStatus")()

    def __call__(self, name, result=c_void_p):
        for library in self.libraries:
            try:
                function = getattr(library, name)
            except AttributeError:
                continue
            function.restype = result
            return function
        raise AttributeError(name)

    def check(self) -> None:
        if self("TF_GetCode", c_int)(c_void_p(self.status)):
            message = self("TF_Message", c_char_p)(c_void_p(self.status))
            raise RuntimeError(message.decode())


def to_tensor(tf: Library, dtype: str, shape: list, values: list) -> c_void_p:
    dims = (c_int64 * len(shape))(*shape)
    types = {"int64": (INT64, 8), "float32": (FLOAT, 4), "string": (STRING, STRING_SLOT)}
    kind, width = types[dtype]
    size = c_size_t(width * len(values))
    tensor = c_void_p(tf("TF_AllocateTensor")(kind, dims, len(shape), size))
    data = tf("TF_TensorData")(tensor)
    if kind != STRING:
        code = {INT64: "q", FLOAT: "f"}[kind]
        ctypes.memmove(data, struct.pack(f"{len(values)}{code}", *values), size.value)
    else:
        for i, value in enumerate(values):
            slot, raw = c_void_p(data + STRING_SLOT * i), value.encode()
            tf("TF_StringInit", None)(slot)
            tf("TF_StringCopy", None)(slot, raw, c_size_t(len(raw)))
    return tensor


def from_tensor(tf: Library, tensor: c_void_p) -> dict:
    shape = [tf("TF_Dim", c_int64)(tensor, i) for i in range(tf("TF_NumDims", c_int)(tensor))]
    count = tf("TF_TensorElementCount", c_int64)(tensor)
    data, kind = tf("TF_TensorData")(tensor), tf("TF_TensorType", c_int)(tensor)
    if kind == STRING:
        values = []
        for i in range(count):
            slot = c_void_p(data + STRING_SLOT * i)
            start = tf("TF_StringGetDataPointer")(slot)
            size = tf("TF_StringGetSize", c_size_t)(slot)
            values.append(ctypes.string_at(start, size).decode())
    else:
        code = {FLOAT: "f", INT64: "q"}[kind]
        raw = ctypes.string_at(data, count * struct.calcsize(code)) if count else b""
        values = list(struct.unpack(f"{count}{code}", raw))
    return {"shape": shape, "values": values}


def outputs(tf: Library, graph: c_void_p, names: list) -> ctypes.Array:
    array = (Output * len(names))()
    for slot, name in zip(array, names, strict=True):
        operation, index = name.split(":")
        found = tf("TF_GraphOperationByName")(graph, operation.encode())
        if not found:
            raise RuntimeError(f"no operation {operation}")
        slot.operation, slot.index = found, int(index)
    return array


def main(libraries: str, export: str) -> list:
    tf = Library(Path(libraries))
    graph = c_void_p(tf("TF_NewGraph")())
    session = c_void_p(
        tf("TF_LoadSessionFromSavedModel")(
            c_void_p(tf("TF_NewSessionOptions")()),
            None,
            export.encode(),
            (c_char_p * 1)(b"serve"),
            1,
            graph,
            c_void_p(tf("TF_NewBuffer")()),
            c_void_p(tf.status),
        )
    )
    tf.check()
    answers = []
    for request in json.load(sys.stdin):
        feeds = outputs(tf, graph, list(request["inputs"]))
        tensors = [to_tensor(tf, **value) for value in request["inputs"].values()]
        fetches = outputs(tf, graph, request["outputs"])
        fed, fetched = (c_void_p * len(feeds))(*tensors), (c_void_p * len(fetches))()
        tf("TF_SessionRun", None)(
            session, None,
            byref(feeds), fed, len(feeds),
            byref(fetches), fetched, len(fetches),
            None, 0, None, c_void_p(tf.status),
        )  # fmt: skip
        try:
            tf.check()
        except RuntimeError as error:
            answers.append({"error": str(error)})
            continue
        values = [from_tensor(tf, c_void_p(tensor)) for tensor in fetched]
        answers.append(dict(zip(request["outputs"], values, strict=True)))
    assert "tensorflow" not in sys.modules
    return answers


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
