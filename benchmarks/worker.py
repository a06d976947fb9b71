"""A trainer's half of the conversation with the benchmarks that alternate; needs numpy alone.

Parent and worker speak one JSON object a line. The parent writes `{"train": seconds}` to the
worker's standard input for a turn, `{"stop": true}` at the end; the worker answers on standard
output with events:

    {"event": "ready", ...}      libraries loaded, data read, model built
    {"event": "epoch", ...}      an epoch has ended: seconds trained so far, quality
    {"event": "turn", ...}       the turn is over: targets, steps, seconds and processor seconds
    {"event": "done", ...}       training is over: peak memory

Between turns a worker sleeps, so that trainers alternate on a machine and are never timed beside
each other. Evaluation is not timed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import protocol


def _version(package: str) -> str:
    """The version of an installed package, or of one that lies beside this folder."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return importlib.import_module(package).__version__


class Finished(Exception):  # noqa: N818 - no error
    """The parent has asked the trainer to stop; raised out of the trainer's own loop."""


@dataclass(frozen=True)
class WorkerSettings:
    """Base of what workers are asked to train: it travels on the command line."""

    def command(self, module: str, python: str) -> list[str]:
        """The command that starts a worker with these settings."""
        return [python, "-m", module, json.dumps(asdict(self))]


@dataclass(frozen=True)
class Settings(WorkerSettings):
    """What a worker is asked to train.

    Attributes:
        model: `"tfrecs"` or `"keras"`, where a worker has several.
        data: A file that `protocol.read_rows` reads.
        loss: `"full"` or `"sampled"`.
        optimizer: `"adam"` or `"lazy_adam"`.
        bucketed: RePlay's length buckets.
        dim: Width of the model and of its feed-forward layers.
        num_blocks: Transformer blocks.
        num_heads: Attention heads.
        max_length: Items of a history that are read.
        dropout: Dropout rate.
        batch_size: Users a step; samples a step where a trainer has its own.
        learning_rate: Adam's.
        num_negatives: Of the sampled loss.
        threads: Threads that a peer may use.
        seed: Of weights, order and dropout.
        evaluate: Whether quality is measured after each epoch.
    """

    data: str
    model: str = "tfrecs"
    loss: str = "full"
    optimizer: str = "adam"
    bucketed: bool = False
    dim: int = 64
    num_blocks: int = 2
    num_heads: int = 2
    max_length: int = 50
    dropout: float = 0.2
    batch_size: int = 128
    learning_rate: float = 1e-3
    num_negatives: int = 256
    threads: int = 2
    seed: int = 0
    evaluate: bool = True


def parse_settings(kind: Callable[..., Any] = Settings) -> Any:
    """Reads the settings that `WorkerSettings.command` wrote.

    Args:
        kind: Their class.
    """
    parser = argparse.ArgumentParser(description="A worker of a benchmark, which starts it.")
    parser.add_argument("settings", type=json.loads, help="the worker's settings as JSON")
    return kind(**parser.parse_args().settings)


def peak_memory() -> float:
    """The largest resident memory that this process has had, in MB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):  # Not Linux.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


class Worker:
    """Times a training loop in the turns that the parent gives.

    The loop calls `begin_epoch`, after each step `step` (or never, where it does not show its
    batches), and `end_epoch`. Any of them may raise `Finished`.

    Args:
        split: The split to evaluate on, None if nothing is evaluated.
        evaluate: Whether to measure quality after each epoch.
    """

    def __init__(self, split: protocol.Split | None, *, evaluate: bool = True):
        # The events keep standard output; whatever the libraries print goes to standard error.
        self._events = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._split = split
        self._evaluate = evaluate
        self._encode: protocol.Encoder | None = None
        self._vectors: Callable[[], np.ndarray] | None = None
        self._allotted: float | None = None
        self._clock = 0.0
        self._turn = {"targets": 0, "steps": 0, "seconds": 0.0}
        self._cpu = 0.0
        self._trained = 0.0
        self._epochs = 0
        self._best = -1.0

    def __deepcopy__(self, memo: dict) -> Worker:
        # RecTools copies its trainer, and with it the callback that holds this.
        return self

    def ready(self, packages: list[str], targets_per_epoch: int, **details: Any) -> None:
        """Says that training can start.

        Args:
            packages: Packages whose versions the results name.
            targets_per_epoch: Training targets an epoch.
            **details: More to tell the parent.
        """
        versions = {name: _version(name) for name in packages}
        self._say(
            "ready",
            versions=versions,
            targets_per_epoch=targets_per_epoch,
            base_memory=peak_memory(),
            **details,
        )

    def set_model(self, encode: protocol.Encoder, vectors: Callable[[], np.ndarray]) -> None:
        """Tells how to score: histories to states, and all item vectors, as in `protocol.ranks`."""
        self._encode, self._vectors = encode, vectors

    def begin_epoch(self) -> None:
        """Starts the clock, once it is this worker's turn."""
        if self._allotted is None:
            self._wait()
        self._clock = time.perf_counter()

    def step(self, targets: int) -> None:
        """A step with so many targets is done; its time began at the end of the one before."""
        self._count(targets, 1)
        if self._turn["seconds"] >= self._allotted:
            self._end_turn()
            self._wait()
            self._clock = time.perf_counter()

    def end_epoch(self, targets: int = 0, steps: int = 0) -> None:
        """An epoch is over.

        Args:
            targets: Targets of the epoch, if `step` was not called.
            steps: Its steps, likewise.
        """
        self._count(targets, steps)
        self._epochs += 1
        event: dict[str, Any] = {"epoch": self._epochs, "seconds": self._trained}
        if self._evaluate:
            event["validation"] = quality = self.evaluate("validation")
            if quality["NDCG@10"] > self._best:
                self._best = quality["NDCG@10"]
                event["test"] = self.evaluate("test")
        self._say("epoch", **event)
        if self._turn["seconds"] >= self._allotted:
            self._end_turn()

    def evaluate(self, part: str) -> dict[str, float]:
        """HR@10 and NDCG@10 of the model as it is now."""
        return protocol.evaluate(self._split, self._encode, self._vectors(), part)

    def run(self, fit: Callable[[], Any]) -> None:
        """Trains until the parent stops it.

        Args:
            fit: Starts the trainer's own loop, which must be long enough.
        """
        try:
            fit()
        except Finished:
            self._say("done", peak_memory=peak_memory())
        else:
            raise RuntimeError("the trainer ended by itself before it was told to")

    def _count(self, targets: int, steps: int) -> None:
        now = time.perf_counter()
        seconds, self._clock = now - self._clock, now
        self._turn["targets"] += targets
        self._turn["steps"] += steps
        self._turn["seconds"] += seconds
        self._trained += seconds

    def _end_turn(self) -> None:
        self._say("turn", **self._turn, cpu_seconds=time.process_time() - self._cpu)
        self._turn = {"targets": 0, "steps": 0, "seconds": 0.0}
        self._allotted = None

    def _wait(self) -> None:
        line = sys.stdin.readline()
        order = json.loads(line) if line else {"stop": True}
        if "stop" in order:
            raise Finished
        self._allotted = order["train"]
        self._cpu = time.process_time()

    def _say(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, **fields}), file=self._events, flush=True)


class MeteredBatches:
    """A data loader that tells a `Worker` about every batch; for loops without callbacks.

    Args:
        loader: The loader to stand in for; attributes other than iteration are its own.
        worker: Whom to tell.
        count: Targets of a batch.
    """

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
