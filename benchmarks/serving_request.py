"""Requests through an export of SASRec by TensorFlow's C API, from several callers at once.

`benchmarks.serving` starts it as a process of its own, which imports no Python of TensorFlow:

    python -m benchmarks.serving_request EXPORT CALLERS SECONDS

prints milliseconds of every request that counts, as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

# Before the first request that counts: threads start, memory is found.
_WARM_SECONDS = 1.0


def requests(manifest: dict, count: int) -> list[dict[str, np.ndarray]]:
    """Histories of items drawn at random, each as long as the model reads."""
    rng = np.random.default_rng(0)
    width = manifest["signatures"]["serving_default"]["inputs"]["exclude"]["shape"][1]
    nothing = np.full((1, width), manifest["padding_id"], np.int64)
    shape = (1, manifest["max_history"])
    return [
        {"history": rng.integers(manifest["num_items"], size=shape), "exclude": nothing}
        for _ in range(count)
    ]


def latencies(model: Any, asked: list, callers: int, seconds: float) -> list[float]:
    """Milliseconds of each request while so many callers ask one after another.

    Args:
        model: The export; its `run` takes a signature and inputs.
        asked: The requests, from which each caller begins elsewhere.
        callers: How many threads.
        seconds: For how long, after a second that does not count.
    """
    measured: list[list[float]] = [[] for _ in range(callers)]
    start = time.perf_counter() + _WARM_SECONDS

    def call(caller: int) -> None:
        turn = caller * len(asked) // callers
        while (begun := time.perf_counter()) < start + seconds:
            model.run("serving_default", asked[turn % len(asked)])
            if begun >= start:
                measured[caller].append(1000 * (time.perf_counter() - begun))
            turn += 1

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [value for each in measured for value in each]


def main() -> None:
    """Measures and prints."""
    # The tests' own loader: what answers there is what is timed here.
    from tests.serving.capi import SavedModel

    export, callers, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    manifest = json.loads((export / "assets.extra" / "tfrecs_manifest.json").read_text("utf-8"))
    model = SavedModel(export)
    print(json.dumps(latencies(model, requests(manifest, 100), callers, seconds)))
    assert "tensorflow" not in sys.modules


if __name__ == "__main__":
    main()
