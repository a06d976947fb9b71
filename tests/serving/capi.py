"""A SavedModel through TensorFlow's C API, as a server's C++ runs it: no `import tensorflow`.

TensorFlow Serving loads a SavedModel by the C++ function LoadSavedModel;
TF_LoadSessionFromSavedModel wraps the same one. NumPy is all that this file needs:

    model = SavedModel("exports/sasrec/1")
    model.run("serving_default", {"history": np.array([[50, 172]])})["item_id"]
"""

import ctypes
import importlib.util
import os
import weakref
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

STRING = 7
STRING_SLOT = 24  # bytes of a TF_TString
# Numbers of tensorflow/core/framework/types.proto.
DTYPES = {1: np.float32, 2: np.float64, 3: np.int32, STRING: object, 9: np.int64, 10: np.bool_}


class Output(ctypes.Structure):
    _fields_ = [("operation", c_void_p), ("index", c_int)]


class Buffer(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("length", c_size_t), ("deallocator", c_void_p)]


# The functions of tensorflow/c/c_api.h, tf_tensor.h and tf_tstring.h: what they return and take.
FUNCTIONS = {
    "TF_NewStatus": (c_void_p,),
    "TF_DeleteStatus": (None, c_void_p),
    "TF_GetCode": (c_int, c_void_p),
    "TF_Message": (c_char_p, c_void_p),
    "TF_NewGraph": (c_void_p,),
    "TF_DeleteGraph": (None, c_void_p),
    "TF_NewSessionOptions": (c_void_p,),
    "TF_DeleteSessionOptions": (None, c_void_p),
    "TF_SetConfig": (None, c_void_p, c_char_p, c_size_t, c_void_p),
    "TF_NewBuffer": (POINTER(Buffer),),
    "TF_DeleteBuffer": (None, POINTER(Buffer)),
    "TF_LoadSessionFromSavedModel": (
        *(c_void_p, c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int, c_void_p),
        *(POINTER(Buffer), c_void_p),
    ),
    "TF_CloseSession": (None, c_void_p, c_void_p),
    "TF_DeleteSession": (None, c_void_p, c_void_p),
    "TF_SessionRun": (
        *(None, c_void_p, c_void_p),
        *(POINTER(Output), POINTER(c_void_p), c_int),
        *(POINTER(Output), POINTER(c_void_p), c_int),
        *(c_void_p, c_int, c_void_p, c_void_p),
    ),
    "TF_GraphOperationByName": (c_void_p, c_void_p, c_char_p),
    "TF_AllocateTensor": (c_void_p, c_int, POINTER(c_int64), c_int, c_size_t),
    "TF_DeleteTensor": (None, c_void_p),
    "TF_TensorData": (c_void_p, c_void_p),
    "TF_TensorByteSize": (c_size_t, c_void_p),
    "TF_TensorType": (c_int, c_void_p),
    "TF_NumDims": (c_int, c_void_p),
    "TF_Dim": (c_int64, c_void_p, c_int),
    "TF_StringInit": (None, c_void_p),
    "TF_StringCopy": (None, c_void_p, c_char_p, c_size_t),
    "TF_StringGetDataPointer": (c_void_p, c_void_p),
    "TF_StringGetSize": (c_size_t, c_void_p),
    "TF_StringDealloc": (None, c_void_p),
}


class CError(RuntimeError):
    """A status that is not OK; its code is a number of absl::StatusCode, as gRPC's are."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class TensorInfo(NamedTuple):
    """A tensor of a signature; -1 in its shape is any size, and a shape of None any rank."""

    name: str
    dtype: int
    shape: tuple[int, ...] | None


class Signature(NamedTuple):
    """Inputs and outputs by the names that a client knows them by."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]
    method: str


def folder_of_tensorflow() -> Path:
    """Where TensorFlow is installed, found without importing it."""
    return Path(importlib.util.find_spec("tensorflow").origin).parent


@cache
def library(folder: Path):
    """The C functions, wherever of the two libraries they live, as attributes."""
    # The default, RTLD_LOCAL: with RTLD_GLOBAL a later import of numpy.random crashes.
    names = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")
    libraries = [ctypes.CDLL(str(folder / name)) for name in names]
    functions = {}
    for name, (result, *arguments) in FUNCTIONS.items():
        function = getattr(next(each for each in libraries if hasattr(each, name)), name)
        function.restype, function.argtypes = result, arguments
        functions[name.removeprefix("TF_")] = function
    return type("Library", (), {name: staticmethod(f) for name, f in functions.items()})


class SavedModel:
    """A SavedModel in a session; threads may share it.

    Args:
        export: The SavedModel's folder.
        libraries: The folder of TensorFlow's libraries; by default that of the installed one.
        threads: How many threads one operation may use; 0 for as many as there are cores.
    """

    def __init__(
        self,
        export: str | os.PathLike,
        libraries: str | os.PathLike | None = None,
        threads: int = 0,
    ) -> None:
        self._tf = tf = library(Path(libraries or folder_of_tensorflow()))
        graph, options, about = tf.NewGraph(), tf.NewSessionOptions(), tf.NewBuffer()
        with _Status(tf) as status:
            if threads:
                config = bytes([2 << 3, threads])  # ConfigProto.intra_op_parallelism_threads
                tf.SetConfig(options, config, len(config), status)
            self._session = tf.LoadSessionFromSavedModel(
                options,
                None,
                os.fsencode(export),
                (c_char_p * 1)(b"serve"),
                1,
                graph,
                about,
                status,
            )
        meta_graph = ctypes.string_at(about.contents.data, about.contents.length)
        tf.DeleteBuffer(about)
        tf.DeleteSessionOptions(options)
        weakref.finalize(self, _close, tf, self._session, graph)
        self.signatures = _signatures(meta_graph)
        self._places = {
            info.name: _place(tf, graph, info.name)
            for signature in self.signatures.values()
            for info in (*signature.inputs.values(), *signature.outputs.values())
        }

    def run(self, signature: str, inputs: dict, outputs=None) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            signature: Its name.
            inputs: Arrays by the names of its inputs; strings as arrays of objects, str or bytes.
            outputs: Which outputs to compute; all by default.

        Returns:
            Arrays by the names of outputs; strings as objects, bytes.

        Raises:
            CError: TensorFlow refuses.
        """
        tf, about = self._tf, self.signatures[signature]
        names = list(about.outputs) if outputs is None else list(outputs)
        feeds = [self._places[about.inputs[name].name] for name in inputs]
        fetches = [self._places[about.outputs[name].name] for name in names]
        fetched = (c_void_p * len(fetches))()
        fed = []
        try:
            for name, values in inputs.items():
                fed.append(_to_tensor(tf, np.asarray(values, DTYPES[about.inputs[name].dtype])))
            with _Status(tf) as status:
                tf.SessionRun(
                    self._session,
                    None,
                    (Output * len(feeds))(*feeds),
                    (c_void_p * len(fed))(*fed),
                    len(feeds),
                    (Output * len(fetches))(*fetches),
                    fetched,
                    len(fetches),
                    None,
                    0,
                    None,
                    status,
                )
            return {
                name: _to_array(tf, tensor) for name, tensor in zip(names, fetched, strict=True)
            }
        finally:
            for tensor in fed:
                _forget(tf, tensor)
            for tensor in filter(None, fetched):
                tf.DeleteTensor(tensor)


class _Status:
    """A status for one call, which raises where that has failed."""

    def __init__(self, tf) -> None:
        self._tf = tf

    def __enter__(self) -> int:
        self._status = self._tf.NewStatus()
        return self._status

    def __exit__(self, kind, *_) -> None:
        code = self._tf.GetCode(self._status)
        message = self._tf.Message(self._status).decode(errors="replace")
        self._tf.DeleteStatus(self._status)
        if code and kind is None:
            raise CError(code, message)


def _close(tf, session: int, graph: int) -> None:
    status = tf.NewStatus()
    tf.CloseSession(session, status)
    tf.DeleteSession(session, status)
    tf.DeleteStatus(status)
    tf.DeleteGraph(graph)


def _place(tf, graph: int, name: str) -> Output:
    operation, _, index = name.partition(":")
    found = tf.GraphOperationByName(graph, operation.encode())
    if not found:
        raise RuntimeError(f"The signature names {name}, which is not in the graph.")
    return Output(found, int(index))


def _to_tensor(tf, values: np.ndarray) -> int:
    dims = (c_int64 * values.ndim)(*values.shape)
    if values.dtype != object:
        kind = next(number for number, dtype in DTYPES.items() if dtype == values.dtype.type)
        values = np.ascontiguousarray(values)
        tensor = tf.AllocateTensor(kind, dims, values.ndim, values.nbytes)
        if values.nbytes:
            ctypes.memmove(tf.TensorData(tensor), values.ctypes.data, values.nbytes)
        return tensor
    tensor = tf.AllocateTensor(STRING, dims, values.ndim, STRING_SLOT * values.size)
    start = tf.TensorData(tensor)
    for i, text in enumerate(values.ravel().tolist()):
        raw, slot = text.encode() if isinstance(text, str) else text, start + STRING_SLOT * i
        tf.StringInit(slot)
        tf.StringCopy(slot, raw, len(raw))
    return tensor


def _forget(tf, tensor: int) -> None:
    """Deletes a tensor of ours: of a string that is long, TensorFlow would leave the text."""
    if tf.TensorType(tensor) == STRING:
        start = tf.TensorData(tensor)
        for i in range(tf.TensorByteSize(tensor) // STRING_SLOT):
            tf.StringDealloc(start + STRING_SLOT * i)
    tf.DeleteTensor(tensor)


def _to_array(tf, tensor: int) -> np.ndarray:
    shape = [tf.Dim(tensor, i) for i in range(tf.NumDims(tensor))]
    size, start = tf.TensorByteSize(tensor), tf.TensorData(tensor)
    if tf.TensorType(tensor) != STRING:
        raw = ctypes.string_at(start, size) if size else b""
        return np.frombuffer(raw, DTYPES[tf.TensorType(tensor)]).reshape(shape).copy()
    texts = np.empty(int(np.prod(shape)), object)
    for i in range(len(texts)):
        slot = start + STRING_SLOT * i
        texts[i] = ctypes.string_at(tf.StringGetDataPointer(slot), tf.StringGetSize(slot))
    return texts.reshape(shape)


def _signatures(meta_graph: bytes) -> dict[str, Signature]:
    """The signatures of a serialized MetaGraphDef: what a client never sees, a session needs.

    The numbers are those of fields in tensorflow/core/protobuf/meta_graph.proto.
    """

    def tensors(entries: list) -> dict[str, TensorInfo]:
        found = {}
        for entry in map(_fields, entries):
            info = _fields(entry[2][0])
            shape = _fields(info.get(3, [b""])[0])
            sizes = [_fields(dim).get(1, [0])[0] for dim in shape.get(2, [])]
            signed = tuple(size - (1 << 64) if size >> 63 else size for size in sizes)
            found[entry[1][0].decode()] = TensorInfo(
                info[1][0].decode(), info[2][0], None if shape.get(3, [0])[0] else signed
            )
        return found

    found = {}
    for entry in map(_fields, _fields(meta_graph)[5]):
        content, name = _fields(entry[2][0]), entry[1][0].decode()
        if not name.startswith("__"):  # Such as __saved_model_init_op.
            method = content.get(3, [b""])[0].decode()
            found[name] = Signature(
                tensors(content.get(1, [])), tensors(content.get(2, [])), method
            )
    return found


def _fields(message: bytes) -> dict[int, list]:
    """The fields of a protobuf message, by number: integers, or bytes of what has a length."""
    found: dict[int, list] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            value = varint()
        else:
            size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
            value = message[at : at + size]
            at += size
        found.setdefault(number, []).append(value)
    return found
