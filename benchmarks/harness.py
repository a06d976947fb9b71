"""The one harness of all comparisons: their commands, and trainers that alternate in processes."""

import argparse
import contextlib
import itertools
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, report
from benchmarks.worker import WorkerSettings


@dataclass
class Record:
    """What a trainer is and what it did."""

    name: str  # As `--only` takes it.
    label: str  # As tables show it.
    trainer: str  # "module:function".
    settings: WorkerSettings
    turns: list[dict[str, float]] = field(default_factory=list)  # Its events, by kind.
    epochs: list[dict[str, Any]] = field(default_factory=list)
    ready: dict[str, Any] = field(default_factory=dict)
    done: dict[str, Any] = field(default_factory=dict)
    failure: str | None = None  # What went wrong, if anything.

    @property
    def rates(self) -> list[float]:
        """Targets a second of each warm turn: all but the first, which compiles."""
        return [turn["targets"] / turn["seconds"] for turn in self.turns[1:]]

    @property
    def rate(self) -> float:
        """The median targets a second of the warm turns; NaN if there are none."""
        return statistics.median(self.rates) if self.rates else math.nan

    @property
    def seconds(self) -> float:
        return sum(turn["seconds"] for turn in self.turns)

    @property
    def seconds_per_epoch(self) -> float:
        return self.ready["targets_per_epoch"] / self.rate if self.rates else math.nan

    @property
    def last_epoch(self) -> int:
        return self.epochs[-1]["epoch"] if self.epochs else 0

    @property
    def best(self) -> dict[str, Any] | None:
        """The epoch of the best validation NDCG@10, None before the first evaluation."""
        judged = [epoch for epoch in self.epochs if "validation" in epoch]
        return max(judged, key=lambda epoch: epoch["validation"]["NDCG@10"], default=None)

    def seconds_to(self, ndcg: float) -> float | None:
        """Returns the seconds of training until validation NDCG@10 first reached a value."""
        reached = (e["seconds"] for e in self.epochs if e["validation"]["NDCG@10"] >= ndcg)
        return next(reached, None)


@dataclass(frozen=True)
class Limits:
    """When a trainer has trained enough."""

    seconds: float = 120.0  # Most seconds of training.
    turn: float = 10.0  # Seconds of a turn.
    # Turns, the first one cold, of a trainer that is only timed: one whose quality is not measured,
    # or that could not finish an epoch in `seconds`.
    timed_turns: int = 4
    patience: int = 3  # Epochs without a better validation NDCG@10.

    def reached(self, record: Record) -> bool:
        """Returns whether the trainer has had enough, which takes one warm turn at least."""
        if not record.rates or record.seconds >= self.seconds:
            return bool(record.rates)
        if len(record.turns) < self.timed_turns:
            return False
        if not record.settings.evaluate or record.seconds_per_epoch > self.seconds:
            return True
        best = record.best
        return best is not None and record.last_epoch - best["epoch"] >= self.patience


class Process:
    """A worker: one process for each set of environment variables, all training one model.

    The first process's events are kept in the record, standard errors in the log.
    """

    def __init__(self, record: Record, python: str, log: Path, *variables: dict[str, str]):
        self.record, self._log = record, log
        command = record.settings.command(record.trainer, python)
        with open(log, "w", encoding="utf-8") as errors:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
            given = {**pipes, "cwd": machine.ROOT, "text": True}
            self._processes = [
                subprocess.Popen(command, env={**os.environ, **more}, **given) for more in variables
            ]

    @property
    def failure(self) -> str | None:
        """What went wrong, if anything, and where to read on."""
        why = self.record.failure
        return why and f"{why} (all of it in {self._log})"

    def wait_ready(self) -> None:
        self._listen("ready")

    def train(self, seconds: float) -> None:
        self._order({"train": seconds})
        self._listen("turn")

    def stop(self) -> None:
        if not self.record.failure:
            self._order({"stop": True})
            self._listen("done")
            for process in self._processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=60)
        self.kill()

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _order(self, order: dict[str, Any]) -> None:
        for process in self._processes:
            with contextlib.suppress(BrokenPipeError):  # A worker that died: listening says so.
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.flush()

    def _listen(self, until: str) -> None:
        """Keeps the first process's events up to one of that kind; a turn lasts as its slowest."""
        for process in self._processes:
            first = process is self._processes[0]
            for message in map(json.loads, process.stdout):
                event = message.pop("event")
                if event == "turn" and not first:
                    turn = self.record.turns[-1]
                    turn["seconds"] = max(turn["seconds"], message["seconds"])
                elif first and event in ("turn", "epoch"):
                    getattr(self.record, event + "s").append(message)
                elif first:
                    setattr(self.record, event, message)
                if event == until:
                    break
            else:
                said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                errors = [line for line in said if re.match(r"\s*[\w.]*(Error|Exception)\b", line)]
                why = "".join((errors or said)[-1:]).strip()
                self.record.failure = why or "it died without a word"
                return


def alternate(
    records: Sequence[Record],
    start: Callable[[Record], Process],
    limits: Limits,
    say: Callable[[str], None] = print,
) -> None:
    """Starts all, trains them in turns, one at a time, each until its limit; tells `say` of it."""
    processes = []
    try:
        for record in records:  # One after the other: starting takes memory and both cores.
            processes.append(process := start(record))
            process.wait_ready()
            say(f"{record.name}: {process.failure or 'ready'}")
        active = [process for process in processes if not process.record.failure]
        while active:
            for process in list(active):
                record = process.record
                process.train(limits.turn)
                if not record.failure:
                    rate = record.turns[-1]["targets"] / record.turns[-1]["seconds"]
                    text = f"{record.seconds:.0f} s, {rate:,.0f} targets/s"
                    if best := record.best:
                        ndcg = best["validation"]["NDCG@10"]
                        text += f", epoch {record.last_epoch}, best validation NDCG@10 {ndcg:.4f}"
                    say(f"{record.name}: {text}")
                if record.failure or limits.reached(record):
                    process.stop()
                    active.remove(process)
                    if record.failure:
                        say(f"{record.name}: {process.failure}")
    finally:
        for process in processes:
            process.kill()


@dataclass
class Outcome:
    """What a comparison of alternating trainers measured."""

    groups: dict[str, list[Record]]
    peaks: dict[str, float]  # The best matrix-product rates, GFLOP/s by shape.
    machine: str
    others: float  # Share of the processors' time that other processes took; NaN if unknown.

    @property
    def records(self) -> list[Record]:
        return [*itertools.chain.from_iterable(self.groups.values())]

    @property
    def ending(self) -> str:
        return report.ending(self.records, self.machine, self.others)


def compare(
    options: argparse.Namespace,
    groups: dict[str, list[Record]],
    peaks: bool = False,
    start: Callable[[Record, Path], Process] | None = None,
) -> Outcome:
    """Trains each group in turns until `options.limits`, one group after the other.

    `start` starts a worker that logs into a file, in its peer's environment by default. `peaks`
    measures the machine's peak before each group and at the end.
    """
    outcome, pythons = Outcome(groups, {}, "", 0.0), {None: sys.executable}
    for name in {machine.environment_of(record.trainer) for record in outcome.records} - {None}:
        folder = getattr(options, f"{name}_venv")
        pythons[name] = machine.ensure(name, folder, options.peers_python)
    machine.pin(options.threads)
    outcome.machine, load = report.environment(), machine.OtherLoad()
    logs, begun = Path(tempfile.mkdtemp(prefix="benchmarks-")), time.time()

    def start_one(record: Record) -> Process:
        log = logs / f"{record.name}.log"
        if start is not None:
            return start(record, log)
        name = machine.environment_of(record.trainer)
        return Process(record, pythons[name], log, machine.variables_of(name, options.threads))

    def say(text: str) -> None:
        print(f"{time.time() - begun:6.0f} s  {text}", flush=True)

    for group in filter(None, groups.values()):
        if peaks:
            machine.measure_peak(outcome.peaks)
        alternate(group, start_one, options.limits, say)
    if peaks:
        machine.measure_peak(outcome.peaks)
    outcome.others = load.share()
    return outcome


def conclude(name: str, options: argparse.Namespace, outcome: Outcome, text: str) -> None:
    """Publishes the section, unless only a part was run; exits with 1 if a trainer failed."""
    part = getattr(options, "quick", False) or getattr(options, "only", None)
    report.publish(name, text, options.output or (None if part else report.RESULTS))
    if any(record.failure for record in outcome.records):
        sys.exit(1)


def select(groups: dict[str, list[Record]], only: str | None) -> dict[str, list[Record]]:
    """Returns the records whose names begin with a part of `only`, commas between; all if None."""
    parts = tuple(part.strip() for part in (only or "").split(","))
    names = [record.name for group in groups.values() for record in group]
    for part in parts:
        if not any(name.startswith(part) for name in names):
            known = ", ".join(names)
            raise ValueError(f"--only {part}: no trainer of that name; there are {known}.")
    return {key: [r for r in group if r.name.startswith(parts)] for key, group in groups.items()}


class Command(argparse.ArgumentParser):
    """The command line of `python -m benchmarks.NAME`."""

    def __init__(self, name: str, description: str, output: bool = True, data: bool = False):
        super().__init__(prog=f"python -m benchmarks.{name}", description=description)
        if output:
            text = "file to write the section to (RESULTS.md)"
            self.add_argument("--output", type=Path, default=report.RESULTS, help=text)
        if data:
            text = "folder of the data (the environment's TFRECS_DATA)"
            self.add_argument("--data", type=Path, help=text)

    def add_turns(self, minutes: float, quick: Limits, environment: str = "peers") -> None:
        """Adds the flags of trainers that alternate, and their limits to what is read."""
        add = self.add_argument
        add("--minutes", type=float, default=minutes, help="most of a trainer (%(default)s)")
        add("--turn", type=float, default=10, help="seconds of a turn (%(default)s)")
        add("--quick", action="store_true", help="a few seconds a trainer; writes nothing")
        add("--only", metavar="NAMES", help="beginnings of names, such as tfrecs; writes nothing")
        self.set_defaults(output=None, quick_limits=quick)
        self.add_peers(environment)

    def add_peers(self, environment: str) -> None:
        add = self.add_argument
        add("--threads", type=int, default=2, help="processors of each trainer (%(default)s)")
        text = "the peers' virtual environment (in tfrecs's cache folder)"
        add("--peers-venv", type=Path, dest=f"{environment}_venv", metavar="FOLDER", help=text)
        add("--peers-python", type=Path, help="the Python to make environments with")

    def read(self, arguments: Sequence[str] | None, *always: str) -> Any:
        """Parses the command line; `command` of the result is what RESULTS.md names.

        It has the flags in `always`, and those that are not defaults nor paths of this machine.
        """
        options = self.parse_args(arguments)
        words = [self.prog]
        for name in (action.dest for action in self._actions if action.dest in options):
            value = getattr(options, name)
            changed = value != self.get_default(name) and not isinstance(value, Path)
            if changed or name in always:
                given = [] if value is True else value if isinstance(value, list) else [value]
                given = [f"{each:g}" if isinstance(each, float) else str(each) for each in given]
                words += [f"--{name}", *given]
        options.command = " ".join(words)
        if hasattr(options, "quick_limits"):
            patience = getattr(options, "patience", Limits.patience)
            full = Limits(60 * options.minutes, options.turn, patience=patience)
            options.limits = options.quick_limits if options.quick else full
        return options

    def checked(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function whose ValueError ends the command with one line."""
        try:
            return function(*arguments)
        except ValueError as error:
            return self.error(str(error))

    def folder(self, given: Path | None, *files: str) -> Path:
        """Returns the folder of the data; ends with an error if it or one of `files` is missing."""
        folder = given or os.environ.get("TFRECS_DATA")
        missing = [name for name in files or [""] if not folder or not Path(folder, name).exists()]
        if missing:
            what = ", ".join(filter(None, missing)) or "the data"
            self.error(f"{what} not found in {folder}: set TFRECS_DATA or give --data")
        return Path(folder)


def in_turns(runs: dict[str, Callable], times: int, once: Any = ()) -> dict[str, np.ndarray]:
    """Times runs in turns in this process, after a first turn that also compiles.

    Runs in `once` have one turn. Returns elapsed and processor seconds of each run, `[times, 2]`.
    """
    seconds: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    for turn in range(times + 1):
        for name in (name for name in runs if turn == 1 or name not in once):
            begun = np.array([time.perf_counter(), time.process_time()])
            value = runs[name]()
            took = np.array([time.perf_counter(), time.process_time()]) - begun
            if turn:
                seconds[name].append(took)
            found = f", {value:.5f}" if isinstance(value, float) else ""
            print(f"{name}: {took[0]:.4f} s, {took[1]:.4f} s of CPU{found}", flush=True)
    return {name: np.array(turns) for name, turns in seconds.items()}


def fit_best(
    model: Any, batches: Any, split: Any, epochs: int, patience: int | None, *callbacks: Any
) -> tuple[int, float]:
    """Trains a model to its best epoch on validation; returns that epoch, and seconds."""
    from tfrecs.training import BestWeights

    best, begun = BestWeights("val_NDCG@10", patience=patience), time.perf_counter()
    best.set_model(model)
    given = {"validation_data": split.validation, "callbacks": [*callbacks, best], "verbose": 0}
    model.fit(batches, epochs=epochs, **given)
    return best.best_epoch, time.perf_counter() - begun
