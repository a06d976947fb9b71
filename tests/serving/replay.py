"""Answers requests from SavedModels in a process that never imports TensorFlow.

    python replay.py FOLDER_OF_LIBTENSORFLOW < requests.json

with requests `[{"export": folder, "signature": name, "inputs": {name: {"shape": [..], "values":
[..]}}}, ..]`, whose values are flat and null for NaN. Prints a list of `{"outputs": ..}` in the
same form, or `{"error": message}`.
"""

import json
import sys

import numpy as np

# A script's folder comes first among the places of modules.
from capi import DTYPES, CError, SavedModel


def answer(model: SavedModel, request: dict) -> dict:
    """The answer to a request."""
    about = model.signatures[request["signature"]]
    inputs = {}
    for name, given in request["inputs"].items():
        dtype = DTYPES[about.inputs[name].dtype]
        values = [np.nan if x is None else x for x in given["values"]]
        inputs[name] = np.array([*values, None], object)[:-1].astype(dtype).reshape(given["shape"])
    try:
        found = model.run(request["signature"], inputs)
    except CError as error:
        return {"error": str(error)}
    outputs = {}
    for name, values in found.items():
        flat = values.ravel().tolist()
        if values.dtype == object:
            flat = [raw.decode() for raw in flat]
        outputs[name] = {"shape": values.shape, "values": flat}
    return {"outputs": outputs}


def main(libraries: str) -> list[dict]:
    """Answers the requests of standard input."""
    models: dict[str, SavedModel] = {}
    answers = []
    for request in json.load(sys.stdin):
        export = request["export"]
        if export not in models:
            models[export] = SavedModel(export, libraries)
        answers.append(answer(models[export], request))
    assert "tensorflow" not in sys.modules
    return answers


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
