"""The worker's end of the harness: a process that trains in turns; needs numpy alone.

The harness and a worker exchange JSON objects, one a line. The harness writes `{"train": seconds}`
to the worker's standard input for a turn and `{"stop": true}` at the end. The worker answers on
standard output with events:

    {"event": "ready", ...}      libraries loaded, data read, model built
    {"event": "epoch", ...}      an epoch has ended: seconds trained so far, quality
    {"event": "turn", ...}       the turn is over: targets, steps, seconds and processor seconds
    {"event": "done", ...}       training is over: peak memory

A worker sleeps between turns, so no two trainers are ever timed beside each other. Evaluation is
not timed.
"""

import importlib
import importlib.metadata
import json
import os
import pkgutil
import resource
import sys
import time
import typing
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import protocol
from benchmarks.protocol import Encoder, Split

# Whose versions a trainer on TensorFlow names.
TENSORFLOW = ("tensorflow", "tf-keras", "tensorflow-recommenders")


class Finished(Exception):  # noqa: N818 - no error
    """Leaves the trainer's own loop when the harness says stop."""


@dataclass(frozen=True)
class WorkerSettings:
    """Base of a trainer's settings, which travel on the worker's command line."""

    evaluate = False  # Whether quality is measured after each epoch.

    def take(self, *names: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}

    def command(self, trainer: str, python: str) -> list[str]:
        """Returns the command that starts a worker with these settings."""
        return [python, "-m", "benchmarks", trainer, json.dumps(asdict(self))]


def main(function: str, given: str) -> None:
    """Calls a function "module:name" with arguments given as JSON.

    An object holds a trainer's settings, whose class the trainer's annotation names. A list holds
    the arguments of any other function, whose result is printed as JSON.
    """
    arguments = json.loads(given)
    # The worker takes standard output before any library can print.
    worker = Worker() if isinstance(arguments, dict) else None
    called = pkgutil.resolve_name(function)
    if worker is None:
        print(json.dumps(called(*arguments)))
    else:
        called(typing.get_type_hints(called)["settings"](**arguments), worker)


def version(package: str) -> str:
    """Returns the version of an installed package, or of one that lies beside this folder."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return importlib.import_module(package).__version__


def peak_memory() -> float:
    """Returns the largest resident memory that this process has had, in MB."""
    # Not `ru_maxrss`, in which Linux counts the parent's memory before the process was replaced.
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes.


class Worker:
    """Times a training loop, which calls `begin_epoch`, `step` after each step, and `end_epoch`.

    A loop that hides its batches calls no `step`. Any of these methods may raise `Finished`.
    """

    def __init__(self) -> None:
        # Events keep standard output; whatever the libraries print goes to standard error.
        self._events = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._evaluate: Callable[[str], dict[str, float]] | None = None
        self._allotted: float | None = None
        self._clock = self._cpu = self._trained = 0.0
        self._turn = {"targets": 0, "steps": 0, "seconds": 0.0}
        self._epochs, self._best = 0, -1.0

    def __deepcopy__(self, memo: dict) -> "Worker":
        return self  # RecTools copies its trainer, and with it the callback that holds this.

    def set_model(self, split: Split, encode: Encoder, vectors: Callable, evaluate=True) -> None:
        """Tells how to score: histories to states, and all item vectors, as `protocol.ranks`."""
        if evaluate:
            self._evaluate = lambda part: protocol.evaluate(split, encode, vectors(), part)

    def ready(self, packages: typing.Iterable[str], targets_per_epoch: int, **details: Any) -> None:
        """Says that training can start; the results name the versions of `packages`."""
        details["versions"] = {name: version(name) for name in packages}
        details["base_memory"] = peak_memory()
        self._say("ready", targets_per_epoch=targets_per_epoch, **details)

    def begin_epoch(self) -> None:
        """Starts the clock, once it is this worker's turn."""
        if self._allotted is None:
            self._wait()
        self._clock = time.perf_counter()

    def step(self, targets: int) -> None:
        """Counts a step, which began when the one before ended."""
        self._count(targets, 1)
        if self._turn["seconds"] >= self._allotted:
            self._end_turn()
            self._wait()
            self._clock = time.perf_counter()

    def end_epoch(self, targets: int = 0, steps: int = 0, **details: Any) -> None:
        """Ends an epoch of so many targets and steps, unless `step` has counted them."""
        self._count(targets, steps)
        self._epochs += 1
        event = {"epoch": self._epochs, "seconds": self._trained, **details}
        if self._evaluate is not None:
            event["validation"] = quality = self._evaluate("validation")
            if quality["NDCG@10"] > self._best:
                self._best = quality["NDCG@10"]
                event["test"] = self._evaluate("test")
        self._say("epoch", **event)
        if self._turn["seconds"] >= self._allotted:
            self._end_turn()

    def run(self, fit: Callable[[], Any]) -> None:
        """Trains until the harness says stop; `fit` starts the trainer's own endless loop."""
        try:
            fit()
        except Finished:
            self._say("done", peak_memory=peak_memory())
        else:
            raise RuntimeError("the trainer ended by itself before it was told to")

    def fit(self, model: Any, batches: Any, targets: int, **more: Any) -> None:
        """Trains by `model.fit` of Keras 2; it tells of whole epochs, so no step gets slower."""
        # A peer's environment has Keras but not tfrecs.
        from tf_keras.callbacks import LambdaCallback

        steps = [0]

        def end(epoch: int, logs: dict | None) -> None:
            steps.append(int(model.optimizer.iterations))
            self.end_epoch(targets, steps[-1] - steps[-2])

        turns = LambdaCallback(on_epoch_begin=lambda *_: self.begin_epoch(), on_epoch_end=end)
        self.run(lambda: model.fit(batches, epochs=10**6, callbacks=[turns], **more))

    def _count(self, targets: int, steps: int) -> None:
        begun, self._clock = self._clock, time.perf_counter()
        self._trained += self._clock - begun
        counts = {"targets": targets, "steps": steps, "seconds": self._clock - begun}
        self._turn = {name: value + counts[name] for name, value in self._turn.items()}

    def _end_turn(self) -> None:
        self._say("turn", **self._turn, cpu_seconds=time.process_time() - self._cpu)
        self._turn = {"targets": 0, "steps": 0, "seconds": 0.0}
        self._allotted = None

    def _wait(self) -> None:
        order = json.loads(sys.stdin.readline() or '{"stop": true}')
        if "stop" in order:
            raise Finished
        self._allotted = order["train"]
        self._cpu = time.process_time()

    def _say(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, **fields}), file=self._events, flush=True)


class MeteredBatches:
    """Wraps a data loader to tell a `Worker` about every batch, for loops without callbacks."""

    def __init__(self, loader: Any, worker: Worker, count: Callable[[Any], int]):
        self._loader, self._worker, self._count = loader, worker, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        self._worker.begin_epoch()
        for batch in self._loader:
            yield batch
            self._worker.step(self._count(batch))
        self._worker.end_epoch()
