"""What the double serves: versions of one model, found by polling, loaded by the C API, warmed up.

The rules are those of github.com/tensorflow/serving: core/aspired_versions_manager.cc and
availability_preserving_policy.cc, sources/storage_path/file_system_storage_path_source.cc,
servables/tensorflow/predict_util.cc, saved_model_warmup_util.cc, model_servers/server_core.cc.
"""

import re
import threading
from pathlib import Path

import grpc
import numpy as np
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from tests.serving.capi import DTYPES, CError, SavedModel
from tfrecs._keras import tf

METHODS = {f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress")}
MAX_WARMUP_RECORDS = 1000
# TensorFlow has the numbers of gRPC.
CODES = {code.value[0]: code.name for code in grpc.StatusCode}


class Refused(Exception):
    """A status that is not OK."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Version:
    """A loaded version."""

    def __init__(self, folder: Path) -> None:
        self.number = int(folder.name)
        try:
            self._model = SavedModel(folder)
        except CError as error:
            raise Refused(CODES[error.code], str(error)) from error
        self.signatures = self._model.signatures
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.definitions = dict(saved.meta_graphs[0].signature_def)
        self._warm_up(folder / "assets.extra" / "tf_serving_warmup_requests")

    def predict(self, name: str, inputs: dict, output_filter=()) -> dict[str, np.ndarray]:
        """What RunPredict does, in its order."""
        name = name or "serving_default"
        if name not in self.signatures:
            raise Refused("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        signature = self.signatures[name]
        if signature.method not in METHODS:
            raise Refused(
                "INTERNAL",
                "Expected prediction signature method_name to be one of "
                f"{{{', '.join(sorted(METHODS))}}}. Was: {signature.method}",
            )
        given, wanted = set(inputs), set(signature.inputs)
        if len(given) != len(wanted):
            raise Refused(
                "INVALID_ARGUMENT",
                f"input size does not match signature: {len(given)}!={len(wanted)} "
                f"len({_listed(given)}) != len({_listed(wanted)}). Sent extra: "
                f"{_listed(given - wanted)}. Missing but required: {_listed(wanted - given)}.",
            )
        for alias in given - wanted:
            raise Refused(
                "INVALID_ARGUMENT",
                f"input tensor alias not found in signature: {alias}. Inputs expected to be in the "
                f"set {_listed(wanted)}.",
            )
        for alias in output_filter:
            if alias not in signature.outputs:
                raise Refused(
                    "INVALID_ARGUMENT",
                    f"output tensor alias not found in signature: {alias} Outputs expected to be "
                    f"in the set {_listed(signature.outputs)}.",
                )
        if len(set(output_filter)) < len(output_filter):
            raise Refused("INVALID_ARGUMENT", f"duplicate output tensor alias: {output_filter[-1]}")
        for alias, values in inputs.items():
            # The session's own check, before SavedModel.run would cast.
            dtype = np.dtype(DTYPES[signature.inputs[alias].dtype])
            if values.dtype != dtype:
                raise Refused(
                    "INVALID_ARGUMENT",
                    f"Expects arg[0] to be {dtype.name} but {values.dtype.name} is provided",
                )
        try:
            return self._model.run(name, inputs, output_filter or None)
        except CError as error:
            raise Refused(CODES[error.code], str(error)) from error

    def _warm_up(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        except tf.errors.DataLossError as error:
            raise Refused("DATA_LOSS", error.message) from error
        for number, record in enumerate(records, 1):
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") != "predict_log":
                # The server also runs classify, regress and multi-inference logs.
                raise Refused("UNIMPLEMENTED", "Unsupported log_type for warmup")
            request = log.predict_log.request
            self.predict(
                request.model_spec.signature_name,
                {alias: tf.make_ndarray(tensor) for alias, tensor in request.inputs.items()},
                list(request.output_filter),
            )
            if number > MAX_WARMUP_RECORDS:
                raise Refused("INVALID_ARGUMENT", "Number of warmup records exceeds the maximum")


class Versions:
    """The versions of one model that are served.

    Args:
        base: The folder of versions.
        name: The model's name.
        specific: Which versions to serve, in place of the newest one.
        labels: Numbers of versions by label.
    """

    def __init__(self, base: Path, name: str, specific=(), labels=None) -> None:
        self.name, self.labels = name, dict(labels or {})
        self._base, self._specific = base, set(specific)
        self._lock = threading.Lock()
        self._available: dict[int, Version] = {}
        # Of each version ever seen: state, code, message.
        self.states: dict[int, tuple[str, str, str]] = {}
        self._stop = threading.Event()
        self._poller: threading.Thread | None = None
        self.poll()

    def poll(self) -> None:
        """Looks for versions once: loads new ones, then unloads what is no longer wanted."""
        # Any other name, such as .tmp-1-42, is nobody's version.
        found = {int(p.name) for p in self._base.iterdir() if re.fullmatch(r"[0-9]+", p.name)}
        wanted = found & self._specific if self._specific else set(sorted(found)[-1:])
        for number in sorted(wanted - set(self.states)):
            self.states[number] = ("LOADING", "OK", "")
            try:
                version = Version(self._base / str(number))
            except Refused as refused:
                # The server tries 5 times more, a minute apart.
                self.states[number] = ("END", refused.code, refused.message)
                continue
            with self._lock:
                self._available[number] = version
            self.states[number] = ("AVAILABLE", "OK", "")
        # An old version stays until a wanted one can take over.
        if wanted & set(self._available):
            with self._lock:
                for number in set(self._available) - wanted:
                    del self._available[number]
                    self.states[number] = ("END", "OK", "")

    def start(self, seconds: float) -> None:
        """Polls from now on."""

        def poll() -> None:
            while not self._stop.wait(seconds):
                self.poll()

        self._poller = threading.Thread(target=poll, daemon=True)
        self._poller.start()

    def stop(self) -> None:
        """Ends the polling."""
        self._stop.set()
        if self._poller is not None:
            self._poller.join()

    def find(self, name: str, number: int | None = None, label: str | None = None) -> Version:
        """The version that a ModelSpec means."""
        if label is not None:
            if name != self.name or label not in self.labels:
                raise Refused("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
            number = self.labels[label]
        with self._lock:
            there = dict(self._available) if name == self.name else {}
        if not there or (number is not None and number not in there):
            what = f"Latest({name})" if number is None else f"Specific({name}, {number})"
            raise Refused("NOT_FOUND", f"Servable not found for request: {what}")
        return there[max(there) if number is None else number]

    def statuses(self, name: str, number: int | None = None) -> dict[int, tuple[str, str, str]]:
        """The states of all versions, or of one."""
        states = dict(self.states) if name == self.name else {}
        if number is not None and number not in states:
            raise Refused("NOT_FOUND", f"Could not find version {number} of model {name}")
        if not states:
            raise Refused("NOT_FOUND", f"Could not find any versions of model {name}")
        return states if number is None else {number: states[number]}


def _listed(names) -> str:
    return "{" + ",".join(sorted(names)) + "}"
